"""The answer to `assistant-request` (contract §9): its five forms, in every spelling they have had."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sovereign_pbx.assistants.model import ASSISTANT
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.shape import Opaque, Shape, Text
from sovereign_pbx.assistants.table import Key, Table

_OBJECT: Shape = Opaque()

ANSWER = Table(
    Key("assistant", _OBJECT, aliases=("agent",)),
    Key("assistant_id", Text(1, 200), aliases=("agent_id", "agentId")),
    Key(
        "assistant_override",
        _OBJECT,
        aliases=(
            "agent_override",
            "agent_config",
            "agentOverride",
            "agentConfig",
            "assistant_config",
            "assistantConfig",
        ),
    ),
    Key("max_duration_seconds", ASSISTANT.keys["max_duration_seconds"].shape),
    Key("error", Text(0, 1000)),
    Key("metadata", _OBJECT),
)


BESIDES = frozenset(("max_duration_seconds", "metadata"))
"""May accompany every form without making an assistant by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the webhook decided. `override` replaces top-level keys of `assistant_id`'s, else the saved, assistant."""

    assistant_id: str = ""
    override: Mapping[str, Any] | None = None
    rejection: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """saved | transient | hybrid: what the administrator is told about where the assistant came from."""
        if self.assistant_id:
            return "hybrid"
        return "transient" if set(self.override or ()) - BESIDES else "saved"


def read_answer(body: Any, report: Report) -> Answer | None:
    """The answer in a decoded JSON body, or None with the reasons in `report`."""
    checked = ANSWER.check(body, (), report)
    if report.errors:
        return None
    if checked.get("error"):
        return Answer(rejection=checked["error"])
    override = {**checked.get("assistant", {}), **checked.get("assistant_override", {})}
    override = {ASSISTANT.canonical(name, override): value for name, value in override.items()}
    if "max_duration_seconds" in checked:
        override["max_duration_seconds"] = checked["max_duration_seconds"]
    if "metadata" in checked:
        override.setdefault("metadata", checked["metadata"])
    warnings = tuple(str(problem) for problem in report.warnings)
    return Answer(assistant_id=checked.get("assistant_id", ""), override=override or None, warnings=warnings)
