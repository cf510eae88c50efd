"""What is new in the call database since the last look: `calls tail`, one look at a time."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.text import Text

from sovereign_pbx.commands import timeline
from sovereign_pbx.commands.call_page import local_time, parties, plain
from sovereign_pbx.core.values import TurnRecord
from sovereign_pbx.store import CallRow, reading

# Calls that can change are among the newest; a machine takes far fewer at once.
_LOOK_BACK = 500


@dataclass(slots=True)
class _Known:
    answered: bool = False
    ended: bool = False
    turns: int = 0


@dataclass(slots=True)
class CallFeed:
    """`news` gives one line for every call that came, was answered, ended, and for each of its turns."""

    connection: sqlite3.Connection
    _known: dict[str, _Known] = field(default_factory=dict)
    _version: int | None = None

    def news(self) -> Iterator[Text]:
        """Lines since the last time; the first time, the calls in progress. Raises sqlite3.Error."""
        version = int(self.connection.execute("PRAGMA data_version").fetchone()[0])
        if version == self._version:  # nobody has written: no table needs to be read
            return
        first, self._version = self._version is None, version
        newest = reading.calls(self.connection, _LOOK_BACK, 0, None)
        for call in reversed(newest):
            yield from self._news_of(call, silent=first and call.ended_at is not None)
        present = {call.id for call in newest}
        self._known = {call_id: known for call_id, known in self._known.items() if call_id in present}

    def _news_of(self, call: CallRow, *, silent: bool) -> Iterator[Text]:
        known = self._known.get(call.id)
        if known is None:
            known = self._known[call.id] = _Known()
            if silent:
                known.answered = known.ended = True
                return
            who = " → ".join(party or "?" for party in parties(call))
            what = "dials" if call.direction == "outbound" else "calls"
            yield _line(call, call.created_at, what, f"{who}  {call.assistant_name or ''}", "cyan")
        if known.ended:
            return
        if call.started_at and not known.answered:
            known.answered = True
            yield _line(call, call.started_at, "answered", "", "green")
        for turn in reading.turns_after(self.connection, call.id, known.turns):
            known.turns = turn.number
            yield from _turn_lines(call, turn)
        if call.ended_at:
            known.ended = True
            length = f" after {call.duration_seconds} s" if call.duration_seconds is not None else ""
            why = f"{call.end_reason or call.status}{length}" + (f": {call.error}" if call.error else "")
            yield _line(call, call.ended_at, "ended", why, "red" if call.status == "failed" else "bright_black")


def _turn_lines(call: CallRow, turn: TurnRecord) -> Iterator[Text]:
    if turn.said:
        yield _line(call, None, "callee" if call.direction == "outbound" else "caller", turn.said, "bold")
    if turn.heard:
        cut = " ⟨interrupted⟩" if turn.interrupted else ""
        yield _line(call, None, "assistant", turn.heard + cut, "magenta")
    if turn.timing is not None:
        yield _line(call, None, f"turn {turn.number}", timeline.sum_of_parts(turn.timing), "bright_black")


def _line(call: CallRow, at: str | None, what: str, text: str, style: str) -> Text:
    line = Text(f"{local_time(at) if at else '':8}  {call.id[:8]}  ")
    line.append(f"{what:<10}", style=style)
    return line.append_text(plain(text))
