"""FreeSWITCH's end of `unicast`, as strict as the measured one, and stricter where that one would only sound bad.

It sends a frame every 20 ms and plays what it is sent from a queue of one frame a tick. What the real one does badly
with, or not at all, is written into `faults`; a test looks there.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

from sovereign_pbx.core.audio import FRAME_S, frame_bytes

MOST_QUEUED: Final = 168  # 3.4 s; beyond that the kernel drops (measured)
FAULTY_DEPTH: Final = 6  # frames: 120 ms more of delay than need be
FILL: Final = 0xFF


class UnicastSwitch(asyncio.DatagramProtocol):
    """One channel's socket within FreeSWITCH, from `begin` to `end`.

    `speech` is what the caller says, cut into frames as they are sent, filled up with 0xFF; `played` is what he heard,
    silence where there was nothing to play.
    """

    def __init__(self, rate: int = 8000) -> None:
        self.size = frame_bytes(rate)
        self.speech = b""
        self.played = bytearray()
        self.faults: list[str] = []
        self.deepest = 0
        self._queue: deque[bytes] = deque()
        self._deaf = False
        self._transport: asyncio.DatagramTransport | None = None
        self._remote = ("", 0)
        self._ticking: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Frames that wait to be played."""
        return len(self._queue)

    async def begin(self, request: Mapping[str, str]) -> None:
        """As `sendmsg … unicast` asks."""
        if request["transport"] != "udp" or request.get("flags"):
            self.faults.append("another transport or flags")
        self._remote = (request["remote-ip"], int(request["remote-port"]))
        loop = asyncio.get_running_loop()
        local = (request["local-ip"], int(request["local-port"]))
        await loop.create_datagram_endpoint(lambda: self, local_addr=local)
        self._ticking = loop.create_task(self._tick())

    async def end(self) -> None:
        """It stops, and nobody is told."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # what an endpoint for datagrams gives

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data:
            self._deaf = True
            self.faults.append("an empty datagram")
        elif len(data) != self.size:
            self.faults.append(f"a datagram of {len(data)} bytes where a frame has {self.size}")
        elif not self._deaf and len(self._queue) < MOST_QUEUED:
            self._queue.append(data)
            self.deepest = max(self.deepest, len(self._queue))
            if len(self._queue) == FAULTY_DEPTH:
                self.faults.append("a queue that delays everything")

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while True:
            assert self._transport is not None
            self._transport.sendto(self.speech[: self.size].ljust(self.size, bytes([FILL])), self._remote)
            self.speech = self.speech[self.size :]
            self.played += self._queue.popleft() if self._queue else bytes(self.size)
            number = max(number + 1, int((loop.time() - began) / FRAME_S))  # a tick that was slept through is lost
            await asyncio.sleep(max(0.0, began + number * FRAME_S - loop.time()))
