"""Autonomous silence handling (contract §15.2): ask, ask again, say goodbye."""

from dataclasses import dataclass
from typing import Final

from sovereign_pbx.core.plan import SilencePlan

SOON_S: Final = 0.5  # what is overdue is not said into the end of the sound that delayed it


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to do about a silence: say `text`, or have the model find words when it is empty. `last`: then hang up."""

    text: str
    last: bool


class Silence:
    """Counts unanswered prompts, and the time since anybody said anything. Words and keys of the caller reset it; a
    sound without words does neither: on a noisy line nobody would ever be asked.

    `given_up`: the last prompt has been said, or is being said.
    """

    __slots__ = ("_attempts", "_plan", "_since", "given_up")

    def __init__(self, plan: SilencePlan | None) -> None:
        self._plan = plan
        self._attempts = 0
        self._since: float | None = None
        self.given_up = False

    def due(self, now: float) -> float | None:
        """Nobody says anything from `now` on: when to say something; None where silence is not handled."""
        if self._plan is None:
            return None
        if self._since is None:
            self._since = now
        return max(self._since + (self._plan.interval if self._attempts else self._plan.first_check), now + SOON_S)

    def reset(self) -> None:
        """The caller has said something, or pressed a key."""
        self._attempts = 0
        self._since = None
        self.given_up = False

    def spoken(self) -> None:
        """The assistant has said something of its own accord: the time counts from its end."""
        self._since = None

    def prompt(self) -> Prompt:
        """The prompt that is due now."""
        if self._plan is None:
            return Prompt("", last=False)
        self._attempts += 1
        self._since = None
        messages = self._plan.messages
        text = messages[min(self._attempts, len(messages)) - 1] if messages else ""
        if self._attempts < self._plan.max_attempts:
            return Prompt(text, last=False)
        self.given_up = True
        return Prompt(self._plan.final_message or text, last=True)
