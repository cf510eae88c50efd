"""One exchange in the making: what the caller said, what the assistant does about it, and when."""

from dataclasses import dataclass, field
from typing import Any

from sovereign_pbx.core.clauses import Clauses
from sovereign_pbx.core.commands import HandOver, HangUp
from sovereign_pbx.core.history import Entry
from sovereign_pbx.core.ledger import Segment
from sovereign_pbx.core.timeline import Timeline
from sovereign_pbx.core.values import ToolCall, TurnRecord
from sovereign_pbx.core.workflow import Way

Parting = HangUp | HandOver


@dataclass(slots=True, eq=False)
class Transfers:
    """Attempts to put the caller through."""

    attempts: int = 0
    bound_for: str = ""  # where the last of them went
    limit_passed: bool = False  # the call's greatest length, while it rang


@dataclass(slots=True, eq=False)
class Reply:
    """One answer of the model, from `Think` on."""

    number: int
    entry: Entry
    last_round: bool  # no tool may be used any more
    clauses: Clauses = field(default_factory=Clauses)
    streaming: bool = True
    held_tools: list[ToolCall] = field(default_factory=list)  # asked for while the caller was speaking
    parting: Parting | None = None  # the model ended or transferred the call
    announcement: str = ""  # what the administrator wants said before a transfer
    way: Way | None = None  # the model leaves the node of the workflow
    way_told: Entry | None = None  # what it was told about that
    hushed: bool = False  # the caller keys something in: its words are not said any more, its tools are used


@dataclass(slots=True, eq=False)
class Turn:
    """One exchange. Times on the conversation's clock."""

    started_at: float
    timeline: Timeline | None = None
    greeting: bool = False
    said: list[str] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    speech_ended_at: float | None = None
    reply_started_at: float | None = None
    ended_at: float | None = None
    rounds: int = 0
    guesses: int = 0  # answers begun on speculation
    guessed: str = ""  # the words that the last of them was for
    filled: int = 0  # fillers said, the tools' own words among them
    failed: bool = False
    wordless: bool = False  # tones were sent, or keys pressed, and nothing need be said to that
    cut: bool = False
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def audible(self) -> bool:
        """The caller has heard something of the assistant's side."""
        return any(segment.started_at is not None and not segment.flushing for segment in self.segments)

    @property
    def answered(self) -> bool:
        """Something other than a filler was said in it, and not taken back."""
        return any(segment.kind != "filler" and not segment.flushing for segment in self.segments)

    @property
    def came_through(self) -> bool:
        """Recogniser, model and voice have all done their part in it."""
        return not self.failed and any(each.kind == "reply" and each.started_at is not None for each in self.segments)

    @property
    def heard(self) -> str:
        return " ".join(filter(None, (segment.heard for segment in self.segments)))

    @property
    def settled(self) -> bool:
        return self.ended_at is not None and not any(segment.open for segment in self.segments)

    def add_usage(self, usage: dict[str, Any]) -> None:
        """Counts of several model rounds add up; anything else is kept from the last."""
        for key, value in usage.items():
            known = self.usage.get(key, 0)
            both = isinstance(value, int | float) and isinstance(known, int | float)
            self.usage[key] = known + value if both else value

    def record(self, number: int, answered_at: float, ended_at: float) -> TurnRecord:
        def since(at: float | None) -> float | None:
            return None if at is None else max(0.0, at - answered_at)

        return TurnRecord(
            number=number,
            said=" ".join(self.said),
            heard=self.heard,
            started_at=max(0.0, self.started_at - answered_at),
            speech_ended_at=since(self.speech_ended_at),
            reply_started_at=since(self.reply_started_at),
            ended_at=max(0.0, ended_at - answered_at),
            interrupted=self.cut,
            timing=self.timeline.timing() if self.timeline else None,
            usage=dict(self.usage),
        )
