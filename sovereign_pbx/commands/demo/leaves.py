"""What the demo leaves behind: recording, picture, the call as JSON, the report, and what the caller heard."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sovereign_pbx.commands.demo.judge import Verdict
from sovereign_pbx.core.values import Message, TurnRecord
from sovereign_pbx.media.picture import draw
from sovereign_pbx.media.wav import write_wav
from sovereign_pbx.store import CallRow, reading, schema

_RATE = 8000


@dataclasses.dataclass(frozen=True, slots=True)
class StoredCall:
    """The demo's call as the daemon filed it."""

    row: CallRow
    messages: list[Message]
    turns: list[TurnRecord]
    events: list[tuple[str, str, dict[str, Any]]]

    def as_json(self) -> dict[str, Any]:
        row = dataclasses.asdict(self.row)
        row["messages"] = [dataclasses.asdict(message) for message in self.messages]
        row["turns"] = [dataclasses.asdict(turn) for turn in self.turns]
        for shown, turn in zip(row["turns"], self.turns, strict=True):
            shown["latency_ms"] = round(turn.timing.total_ms, 1) if turn.timing and turn.said else None
        row["events"] = [{"at": at, "name": name, **values} for at, name, values in self.events]
        return row


def stored_call(database: Path) -> StoredCall:
    """The newest call in the database."""
    connection = schema.connect_reader(database)
    try:
        row = reading.calls(connection, limit=1, offset=0, status=None)[0]
        return StoredCall(
            row,
            reading.messages(connection, row.id),
            reading.turns(connection, row.id),
            reading.events(connection, row.id),
        )
    finally:
        connection.close()


def leave(
    folder: Path, call: StoredCall, report: dict[str, Any], heard: bytes, verdicts: Sequence[Verdict]
) -> list[Path]:
    """Write everything; the files in the order in which one would look at them."""
    wav, picture = folder / "call.wav", folder / "call.png"
    if call.row.recording_path:
        shutil.copyfile(call.row.recording_path, wav)
        draw(wav, call.turns, picture, "Nova Dental: what both sides said, and how long each answer took")
    write_wav(folder / "caller-heard.wav", _RATE, heard)
    _write(folder / "call.json", call.as_json())
    _write(folder / "end-of-call-report.json", report)
    _write(folder / "judged.json", [_judged(verdict) for verdict in verdicts])
    names = ("call.wav", "call.png", "call.json", "end-of-call-report.json", "caller-heard.wav", "judged.json")
    return [folder / name for name in names if (folder / name).exists()]


def _judged(verdict: Verdict) -> dict[str, Any]:
    exchange = verdict.exchange
    return {
        "said": exchange.line.text,
        "expected": exchange.line.expected,
        "heard": verdict.heard,
        "right": verdict.right,
        "latency_at_the_ear_ms": round(exchange.latency_ms),
        "interruption_cut_ms": None if exchange.cut_ms is None else round(exchange.cut_ms),
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", "utf-8")
