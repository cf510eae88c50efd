"""mod_audio_fork of a played FreeSWITCH, in the form of jambonz: a WebSocket client with a queue that is played.

What the real one takes for something else, forgets, or plays too late, is written into `faults`.
"""

import asyncio
import json
from collections import deque
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from sovereign_pbx.core.audio import FRAME_S, frame_bytes
from sovereign_pbx.testing.freeswitch_channel import Channel
from sovereign_pbx.testing.freeswitch_parked import ParkedSwitch

PREBUFFER: Final = 4  # frames: 80 ms are kept back before the first is played
FAULTY_DEPTH: Final = 16  # frames: more than the 177 ms that were measured, by as much again
MAX_MARKS: Final = 30

_RATES: Final = {"8k": 8000, "16k": 16000}


class Fork:
    """One fork, from `begin` to `end`. `speech` is what the caller says; `played` what he hears; `killed` how often his
    queue was emptied."""

    def __init__(self, rate: int, *, can_play: bool = True) -> None:
        self.size = frame_bytes(rate)
        self.speech = b""
        self.played = bytearray()
        self.faults: list[str] = []
        self.killed = 0
        self._can_play = can_play
        self._queue: deque[bytes | str] = deque()  # frames, and marks by name
        self._rest = b""
        self._playing = False
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, address: str, metadata: str, *, protocol: str = "audio.jambonz.org") -> None:
        """Raises WebSocketException, OSError."""
        self._socket = await connect(
            address, subprotocols=[Subprotocol(protocol)], compression=None, ping_interval=None
        )
        await self._socket.send(metadata)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._tick())]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def say_nothing_more(self) -> None:
        """graceful-shutdown: an empty message."""
        assert self._socket is not None
        await self._socket.send(b"")

    @property
    def depth(self) -> int:
        """Frames that wait to be played."""
        return sum(isinstance(one, bytes) for one in self._queue)

    @property
    def marks(self) -> list[str]:
        return [one for one in self._queue if isinstance(one, str)]

    async def _listen(self) -> None:
        assert self._socket is not None
        async for message in self._socket:
            if isinstance(message, bytes):
                self._take(message)
            else:
                await self._obey(message)

    def _take(self, data: bytes) -> None:
        if not data:
            self.faults.append("an empty message")
        if self.marks and any(data[at : at + 2] == b"\xff\xff" for at in range(0, len(data), 2)):
            self.faults.append("a sample of -1 while a mark is pending, which is taken for one")
        pcm = self._rest + data
        for at in range(0, len(pcm) - self.size + 1, self.size):
            self._queue.append(pcm[at : at + self.size])
        self._rest = pcm[len(pcm) // self.size * self.size :]
        if self.depth > FAULTY_DEPTH:
            self.faults.append("a queue that delays everything")

    async def _obey(self, text: str) -> None:
        order: dict[str, Any] = json.loads(text)
        match order["type"]:
            case "mark":
                self._queue.append(order["data"]["name"])
                if len(self.marks) > MAX_MARKS:
                    self.faults.append("more marks than it keeps")
            case "killAudio":
                self.killed += 1
                self._playing = False
                marks = self.marks
                self._queue.clear()
                self._rest = b""
                for name in marks:
                    await self._tell(name, "cleared")
            case other:
                self.faults.append(f"an order that becomes an event, and nothing else: {other}")

    async def _tell(self, name: str, event: str) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps({"type": "mark", "data": {"name": name, "event": event}}))

    async def _tick(self) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while True:
            try:
                await self._socket.send(self.speech[: self.size].ljust(self.size, b"\0"))
            except WebSocketException:
                return
            self.speech = self.speech[self.size :]
            await self._play()
            number = max(number + 1, int((loop.time() - began) / FRAME_S))
            await asyncio.sleep(max(0.0, began + number * FRAME_S - loop.time()))

    async def _play(self) -> None:
        self._playing = self._playing or self.depth >= PREBUFFER
        while self._queue and isinstance(self._queue[0], str) and self._playing:
            await self._tell(str(self._queue.popleft()), "playout")
        frame = self._queue.popleft() if self._queue and self._playing and self._can_play else bytes(self.size)
        assert isinstance(frame, bytes)
        self.played += frame


class ForkSwitch(ParkedSwitch):
    """`forks` are those that run, by channel."""

    def __init__(self, *, faster: float = 1.0) -> None:
        super().__init__(faster=faster)
        self.forks: dict[str, Fork] = {}
        self._apis["uuid_audio_fork"] = self._audio_fork

    async def _end(self, channel: Channel, cause: str) -> None:
        await self.unfork(channel.uuid)
        await super()._end(channel, cause)

    async def unfork(self, uuid: str) -> None:
        fork = self.forks.pop(uuid, None)
        if fork is not None:
            await fork.end()
            self.esl.faults.extend(fork.faults)
            self.heard.setdefault(uuid, bytearray()).extend(fork.played)

    async def _audio_fork(self, argument: str) -> str:
        uuid, order, *words = argument.split(" ")
        channel = self.channels.get(uuid)
        if channel is None:
            return "-ERR Operation Failed\n"
        if order == "stop":
            await self.unfork(uuid)
            return "+OK Success\n"
        if order != "start" or len(words) != 8 or words[5:7] != ["true", "true"]:
            self.esl.faults.append("not the ten words: what is sent would be thrown away")
            return "-USAGE: <uuid> start | stop …\n"
        if "read_codec" not in channel.variables or uuid in self.forks:
            self.esl.faults.append("a fork of a channel without media, or a second one")
            return "-ERR Operation Failed\n"
        address, _, rate, _, metadata = words[:5]
        can_play = "send_silence_when_idle" in channel.variables
        if not can_play:
            self.esl.faults.append("nothing is played on a parked channel without send_silence_when_idle")
        fork = Fork(_RATES[rate], can_play=can_play)
        self._own(self._begin(uuid, fork, address, metadata))
        return "+OK Success\n"

    async def _begin(self, uuid: str, fork: Fork, address: str, metadata: str) -> None:
        """ "+OK" has been said already."""
        try:
            await fork.begin(address, metadata)
        except (WebSocketException, OSError):
            return
        self.forks[uuid] = fork
        if uuid not in self.channels:
            await self.unfork(uuid)
