"""Asterisk's side of one chan_websocket connection, for hundreds of scripted callers in one process.

The handshake, MEDIA_START in JSON as 22.10 sends it, and 20 ms of sound in binary messages both ways. What Asterisk
would refuse (a masked message of a server's, an unknown command) ends the connection.
"""

import asyncio
import base64
import json
import os
from typing import cast
from uuid import UUID

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.testing.audiosocket_leg import Ending
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.utterance import Speech
from sovereign_pbx.wire import chan_websocket as wire

_TEXT, _BINARY, _CLOSE, _PING = 0x1, 0x2, 0x8, 0x9
_NO_MASK = bytes(4)  # a mask of zeros is a mask (RFC 6455 §5.3), and costs nothing
_STUCK_BYTES = 4_000_000


class WebSocketLeg(asyncio.Protocol):
    """Times are the loop's clock. `ended` is set when the connection is over, `ending` says how."""

    def __init__(self, call: UUID, heard: Heard) -> None:
        self.heard = heard
        self._size = frame_bytes(heard.rate)
        self.speech = Speech(self._size)
        self._silence = bytes(self._size)
        self.ending: Ending | None = None
        self.ended = asyncio.Event()
        self.frames_sent = self.late_payloads = self.odd_frames = 0
        self.flushed = 0
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._open = False

    # For the caller

    def tick(self, now: float) -> None:
        """Send this 20 ms, speech or silence."""
        transport = self._transport
        if not self._open or self.ending is not None or transport is None:
            return
        if transport.get_write_buffer_size() > _STUCK_BYTES:
            self._end("stuck")
            return
        self._send(_BINARY, self.speech.next_frame(now) or self._silence)
        self.frames_sent += 1

    def press(self, digits: str) -> None:
        """Each digit as Asterisk tells it, at the key's release."""
        for digit in digits if self._open and self.ending is None else "":
            self._send(_TEXT, json.dumps({"event": "DTMF_END", "digit": digit}).encode())

    def hang_up(self) -> None:
        if self._open and self.ending is None:
            self._send(_CLOSE, (1000).to_bytes(2, "big"))
        self._end("we hung up")

    # For asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # not asked: uvloop's is no subclass of it
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        lines = (
            f"GET /media?token={self._call} HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: media",
        )
        transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._end("server broke the protocol")
                return
            self._buffer, self._open = rest, True
            self._begin()
        while self._message():
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("server closed" if exc is None else "reset")
        self.ended.set()

    # Private

    def _begin(self) -> None:
        start = {
            "event": "MEDIA_START",
            "connection_id": "sovereign",
            "channel": f"WebSocket/sovereign/{self._call}",
            "channel_id": str(self._call),
            "format": wire.FORMAT_OF_RATE[self.heard.rate],
            "optimal_frame_size": self._size,
            "ptime": 20,
            "channel_variables": {"SOVEREIGN_MEDIA": str(self._call)},
        }
        self._send(_TEXT, json.dumps(start).encode())

    def _message(self) -> bool:
        """Take the next whole message; False when there is none."""
        data = self._buffer
        if len(data) < 2:
            return False
        length, start = data[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(data) < start:
                return False
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return False
        self._buffer = data[start + length :]
        if data[1] & 0x80 or not data[0] & 0x80:
            self._end("server broke the protocol")
            return False
        self._take(data[0] & 0x0F, data[start : start + length])
        return True

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _BINARY:
            self.odd_frames += len(payload) % 2
            self.heard.add(self._loop.time(), payload[: len(payload) // 2 * 2])
        elif kind == _CLOSE:
            self._end("server closed")
        elif kind == _PING:
            self._send(0xA, payload)
        elif kind == _TEXT:
            name = json.loads(payload).get("command", "")
            if name not in wire.COMMANDS:
                self._end("server broke the protocol")
            elif name == "HANGUP":
                self._end("server hung up")
            elif name == "GET_STATUS":  # what has come is heard at once: nothing is queued
                status = {"event": "STATUS", "channel_id": str(self._call), "queue_length": 0}
                self._send(_TEXT, json.dumps(status).encode())
            self.flushed += name == "FLUSH_MEDIA"

    def _send(self, kind: int, payload: bytes) -> None:
        assert self._transport is not None
        size = len(payload)
        head = bytes([0x80 | kind, 0x80 | size]) if size < 126 else bytes([0x80 | kind, 0xFE]) + size.to_bytes(2, "big")
        self._transport.write(head + _NO_MASK + payload)

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.speech.hush(self._loop.time())
        if self._transport is not None:
            self._transport.close() if ending != "stuck" else self._transport.abort()
