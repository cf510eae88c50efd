"""The minutes of a conversation: what it wants kept goes into the call's record, to observers and into the log."""

from dataclasses import asdict

import structlog

from sovereign_pbx.calls.record import CallRecord
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.core.commands import CloseTurn, Note, Remember

log = structlog.get_logger(__name__)


class Minutes:
    """Performs `Remember`, `CloseTurn` and `Note`. No words of anybody get into the log."""

    def __init__(self, record: CallRecord, tracer: Tracer) -> None:
        self._record = record
        self._tracer = tracer

    def message(self, command: Remember) -> None:
        self._record.message(command.message)

    def turn(self, command: CloseTurn) -> None:
        """The parts of its wait, in milliseconds, sum to `total_ms`."""
        turn = command.turn
        self._record.turn(turn)
        self._tracer.emit("turn", turn=turn)
        parts = {} if turn.timing is None else {"total_ms": turn.timing.total_ms, **asdict(turn.timing)}
        spent = {name: round(ms) for name, ms in parts.items() if ms >= 0.5}
        log.info("turn", number=turn.number, interrupted=turn.interrupted, **spent)

    def note(self, command: Note) -> None:
        self._record.event(command.name, command.values)
        self._tracer.emit("note", note=command)
        log.info(command.name, **command.values)
