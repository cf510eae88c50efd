"""One call as a page for a person, or as JSON for a program."""

import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sovereign_pbx.calls.media_quality import in_a_line
from sovereign_pbx.commands import timeline
from sovereign_pbx.commands.call_usage import usage_rows
from sovereign_pbx.core.values import Message, TurnRecord
from sovereign_pbx.store import CallRow, reading
from sovereign_pbx.store.reading import Delivery

_BAR = 40


@dataclass(frozen=True, slots=True)
class CallPage:
    """Everything that is known of a call."""

    call: CallRow
    messages: list[tuple[str, Message]]
    turns: list[TurnRecord]
    events: list[tuple[str, str, dict[str, Any]]]
    deliveries: list[Delivery]

    @classmethod
    def read(cls, connection: sqlite3.Connection, call: CallRow) -> "CallPage":
        return cls(
            call,
            reading.messages_with_times(connection, call.id),
            reading.turns(connection, call.id),
            reading.events(connection, call.id),
            reading.deliveries(connection, call.id),
        )

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "call": asdict(self.call),
            "messages": [{"at": at, **asdict(message)} for at, message in self.messages],
            "turns": [
                {**asdict(turn), "total_ms": None if turn.timing is None else turn.timing.total_ms}
                for turn in self.turns
            ],
            "events": [{"at": at, "name": name, "values": values} for at, name, values in self.events],
            "webhooks": [asdict(delivery) for delivery in self.deliveries],
        }

    def render(self) -> RenderableType:
        """For a terminal."""
        parts: list[RenderableType] = [_facts(self.call)]
        if usage := self.call.statistics.get("usage"):
            parts += [_title("Usage"), _usage(usage)]
        if self.call.analysis_result:
            parts += [_title("Analysis"), _analysis(self.call.analysis_result)]
        if self.messages:
            parts += [_title("Transcript"), _transcript(self.messages)]
        if self.turns:
            parts += [_title("Turns"), *_turns(self.turns)]
        if self.events:
            parts += [_title("Events"), _events(self.events)]
        if self.deliveries:
            parts += [_title("Webhooks"), _webhooks(self.deliveries)]
        return Group(*parts)


def parties(call: CallRow) -> tuple[str, str]:
    """Who calls and who is called, "" where nobody knows. Of an outbound call, too, `caller_phone` is the other side
    and `assistant_phone` ours (contract §5.3)."""
    other, ours = call.caller_phone or "", call.assistant_phone or ""
    return (ours, other) if call.direction == "outbound" else (other or "(withheld)", ours)


def plain(text: object) -> Text:
    """Text from the network, without control characters: they could drive the administrator's terminal."""
    kept = "".join(
        character if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs") else "�"
        for character in str(text)
    )
    return Text(kept)


def local_time(at: str | None, form: str = "%H:%M:%S") -> str:
    """A stored UTC time on the administrator's clock; the text itself if it is none."""
    if not at:
        return ""
    try:
        return datetime.fromisoformat(at).astimezone().strftime(form)
    except ValueError:
        return at


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=bool(names), header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _facts(call: CallRow) -> Table:
    table = _columns()
    table.show_header = False
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    length = None if call.duration_seconds is None else f"{call.duration_seconds} s"
    how = " ".join(part for part in (call.status, call.end_reason) if part)
    caller, called = parties(call)
    shown = {
        "call": call.id,
        "direction": call.direction,
        "from": caller,
        "to": called,
        "assistant": call.assistant_name or call.assistant_id,
        "began": local_time(call.created_at, "%Y-%m-%d %H:%M:%S"),
        "answered": local_time(call.started_at),
        "ended": local_time(call.ended_at),
        "length": length,
        "status": how,
        "error": call.error,
        "recording": call.recording_path or _no_recording(call),
        "summary": call.summary,
        "transfers": "\n".join(map(_transfer, call.transfers)),
        "sound": in_a_line(call.media_quality) if call.media_quality else None,
        **{name.replace("_", " "): _told(value) for name, value in call.statistics.items() if name != "usage"},
    }
    for name, value in shown.items():
        if value not in (None, ""):
            table.add_row(name, plain(value))
    return table


def _no_recording(call: CallRow) -> str:
    """Why there is none, where there ought to be one."""
    about = call.recording or {}
    why = about.get("removed_because") or about.get("error")
    return f"none: {why}" if why else ""


def _transfer(attempt: Mapping[str, Any]) -> str:
    """One attempt to put the caller through."""
    seconds = "" if attempt.get("seconds") is None else f" after {attempt['seconds']:g} s"
    why = f" ({attempt['why']})" if attempt.get("why") else ""
    outcome = attempt.get("outcome") or "under way"
    return f"{attempt.get('destination')}, {attempt.get('mode')}: {outcome}{seconds}{why}"


def _told(value: Any) -> Any:
    return ", ".join(f"{name}={part}" for name, part in value.items()) if isinstance(value, Mapping) else value


def _usage(usage: Mapping[str, Any]) -> Table:
    table = _columns("part", "who", "used", "cost")
    table.columns[-1].justify = "right"
    for row in usage_rows(usage):
        table.add_row(*map(plain, row))
    return table


def _analysis(found: Mapping[str, Any]) -> Table:
    table = _columns("", "")
    table.show_header = False
    table.columns[0].style = "dim"
    for name, value in found.items():
        table.add_row(plain(name), plain(value if isinstance(value, str) else msgspec.json.encode(value).decode()))
    return table


def _transcript(messages: Sequence[tuple[str, Message]]) -> Table:
    table = _columns("at", "who", "")
    for at, message in messages:
        text = plain(message.content)
        for call in message.tool_calls:
            text.append_text(plain(f"{call.name}({call.arguments})"))
        if message.interrupted:
            text.append(" ⟨interrupted⟩", style="yellow")
        table.add_row(local_time(at), message.role, text)
    return table


def _turns(turns: Sequence[TurnRecord]) -> Iterator[RenderableType]:
    longest = max((turn.timing.total_ms for turn in turns if turn.timing), default=0.0)
    table = _columns("turn", "at", "latency", "")
    for turn in turns:
        if turn.timing is None:
            table.add_row(str(turn.number), f"{turn.started_at:.1f} s", "", "")
            continue
        bar = Text()
        width = timeline.bar_width(turn.timing, longest, _BAR)
        for (_, letter, style), share in zip(timeline.PARTS, timeline.shares(turn.timing, width), strict=True):
            bar.append(letter * share, style=style)
        bar.append(f"  {timeline.sum_of_parts(turn.timing)}")
        table.add_row(str(turn.number), f"{turn.started_at:.1f} s", f"{turn.timing.total_ms:.0f} ms", bar)
    yield table
    yield Text(timeline.LEGEND, style="dim")


def _events(events: Sequence[tuple[str, str, dict[str, Any]]]) -> Table:
    table = _columns("at", "event", "")
    for at, name, values in events:
        table.add_row(local_time(at), plain(name), plain(_told(values)))
    return table


def _webhooks(deliveries: Sequence[Delivery]) -> Table:
    styles = {"delivered": "green", "pending": "yellow", "dead": "red"}
    table = _columns("event", "state", "tries", "when", "to", "")
    for one in deliveries:
        # one that was put back is pending, and has `done_at` nevertheless
        ahead = f"next {local_time(one.due_at)}" if one.due_at else "now"
        when = ahead if one.state == "pending" else local_time(one.done_at)
        state = Text(one.state, style=styles.get(one.state, ""))
        table.add_row(one.event, state, str(one.attempts), when, plain(one.url), plain(one.last_error or ""))
    return table
