"""Asterisk's side of one AudioSocket connection: what `AudioSocket()` sends, and what it takes without hanging up.

It is as strict as res_audiosocket.c of 22.10: kinds that only Asterisk may send, unknown kinds and empty frames end
the call. A payload that comes more than 5 ms behind its header would, too; here it is counted (`late_payloads`),
because in a busy test process the delay may be our own.
"""

import asyncio
from collections import deque
from typing import Literal, cast
from uuid import UUID

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.utterance import Speech
from sovereign_pbx.wire import audiosocket as wire
from sovereign_pbx.wire.malformed import Malformed

PAYLOAD_DEADLINE_S = 0.005
STUCK_BYTES = 4_000_000  # what the kernel's buffers took on loopback before Asterisk's own write failed

Ending = Literal["server closed", "server hung up", "server broke the protocol", "reset", "we hung up", "stuck"]


class AudioSocketLeg(asyncio.Protocol):
    """Times are the loop's clock. `ended` is set when the connection is over, `ending` says how. Its rate is that of
    `heard`: 8 kHz as the application AudioSocket() has it, or what Dial(AudioSocket/…/c(slin16)) was told."""

    def __init__(self, call: UUID, heard: Heard) -> None:
        size = frame_bytes(heard.rate)
        self.heard = heard
        self.speech = Speech(size)
        self._kind = wire.KIND_OF_RATE[heard.rate]
        self._header = wire.audio_header(heard.rate, size)
        self._silence = self._header + bytes(size)
        self.ending: Ending | None = None
        self.ended = asyncio.Event()
        self.frames_sent = 0
        self.late_payloads = 0
        self.odd_frames = 0
        self._call = call
        self._digits: deque[str] = deque()
        self._parser = wire.Parser(0xFFFF)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unfinished_since: float | None = None

    # For the caller

    def tick(self, now: float) -> None:
        """Send this 20 ms: a digit first if one was pressed, then speech or silence."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > STUCK_BYTES:
            self._end("stuck")
            return
        frame = self.speech.next_frame(now)
        audio = self._silence if frame is None else self._header + frame
        if self._digits:
            audio = wire.encode(wire.DTMF, self._digits.popleft().encode()) + audio
        transport.write(audio)
        self.frames_sent += 1

    def press(self, digits: str) -> None:
        """One digit goes out with each of the next frames, as Asterisk sends it: at the key's release."""
        self._digits.extend(digits)

    def hang_up(self) -> None:
        self._end("we hung up")

    # For asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # not asked: uvloop's is no subclass of it
        self._transport = transport
        transport.write(wire.encode(wire.ID, self._call.bytes))

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        if self._unfinished_since is not None:
            self.late_payloads += now - self._unfinished_since > PAYLOAD_DEADLINE_S
        try:
            frames = self._parser.feed(data)
        except Malformed:
            self._end("server broke the protocol")
            return
        self._unfinished_since = now if self._parser.pending > 2 else None
        for kind, payload in frames:
            self._take(kind, payload, now)

    def eof_received(self) -> None:
        self._end("server closed")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("server closed" if exc is None else "reset")
        self.ended.set()

    # Private

    def _take(self, kind: int, payload: bytes, now: float) -> None:
        if kind == wire.HANGUP:
            self._end("server hung up")
        elif kind not in wire.RATE_OF_KIND or not payload:
            self._end("server broke the protocol")
        elif kind == self._kind and len(payload) <= wire.MAX_PAYLOAD:
            self.odd_frames += len(payload) % 2
            self.heard.add(now, payload[: len(payload) // 2 * 2])
        else:
            # another rate would be transcoded, and a frame of more than 8096 samples is dropped in silence
            self.odd_frames += 1

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.speech.hush(self._loop.time())
        if self._transport is not None:
            self._transport.close() if ending != "stuck" else self._transport.abort()
