"""Autonomous silence handling (contract §15.2): ask, ask again, say goodbye."""

from dataclasses import dataclass

from sovereign_pbx.core.plan import SilencePlan


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to do about a silence: say `text`, or have the model find words when it is empty. `last`: then hang up."""

    text: str
    last: bool


class Silence:
    """Counts unanswered prompts. Speech, words and digits of the caller reset it."""

    __slots__ = ("_attempts", "_plan")

    def __init__(self, plan: SilencePlan | None) -> None:
        self._plan = plan
        self._attempts = 0

    @property
    def wait(self) -> float | None:
        """Seconds of silence until the next prompt; None when silence is not handled."""
        if self._plan is None:
            return None
        return self._plan.interval if self._attempts else self._plan.first_check

    def reset(self) -> None:
        self._attempts = 0

    def prompt(self) -> Prompt:
        """The prompt that is due now."""
        if self._plan is None:
            return Prompt("", last=False)
        self._attempts += 1
        messages = self._plan.messages
        text = messages[min(self._attempts, len(messages)) - 1] if messages else ""
        if self._attempts < self._plan.max_attempts:
            return Prompt(text, last=False)
        return Prompt(self._plan.final_message or text, last=True)
