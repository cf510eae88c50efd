"""The caller of the demo: a voice, an ear, and the manners to wait until the other has finished."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sovereign_pbx.commands.demo.scene import Line
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.testing.heard import Heard, Sound
from sovereign_pbx.testing.utterance import Utterance

_ANSWER_S = 30.0  # a 1.5-billion-parameter model on two old cores takes its time
_FINISHED_S = 1.4  # a pause this long means that the assistant has finished
_LONGEST_S = 45.0
_MOMENT_S = 1.5  # "One moment, please." and the like
_PATIENCE_S = 20.0
_LOOK_S = 0.05
_HANG_S = 5.0


class NoAnswer(SovereignError):
    """The assistant fell silent."""


class Phone(Protocol):
    """What the demo needs of a call, over SIP or over AudioSocket."""

    def say(self, pcm: bytes) -> Utterance: ...


@dataclass(slots=True)
class Exchange:
    """A line as it went, on the loop's clock. `cut_ms`: interruption's first sample to the last one heard."""

    line: Line
    said_from: float
    said_until: float
    heard_from: float = 0.0
    heard_until: float = 0.0
    cut_ms: float | None = None

    @property
    def latency_ms(self) -> float:
        """From the caller's last sample to the first one of the answer, at his ear."""
        return (self.heard_from - self.said_until) * 1000


class Person:
    """Speaks the lines in turn. `voice` has the PCM of each line."""

    def __init__(self, phone: Phone, heard: Heard, voice: Callable[[str], bytes]) -> None:
        self._phone = phone
        self._heard = heard
        self._voice = voice
        self._now = asyncio.get_running_loop().time
        self.exchanges: list[Exchange] = []
        self.greeted = (0.0, 0.0)

    async def hear_greeting(self) -> None:
        """Let the assistant greet, and finish."""
        sound = await self._begin(0.0)
        self.greeted = (sound.start, await self._end(sound.start))

    async def say(self, line: Line) -> Exchange:
        """Say the line when its moment has come, and hear the answer out (unless the next line will interrupt it)."""
        exchange = await self._speak(line)
        self.exchanges.append(exchange)
        sound = await self._begin(exchange.said_until)
        exchange.heard_from = sound.start
        return exchange

    async def hear_out(self, exchange: Exchange) -> None:
        """Wait until the answer has ended."""
        exchange.heard_until = await self._end(exchange.heard_from)

    async def interrupt(self, line: Line, over: Exchange) -> Exchange:
        """Talk into the answer to `over` once `line.interrupts` seconds of it have been heard, "one moment, please" not
        among them."""
        assert line.interrupts is not None
        await self._heard_of(over, line.interrupts)
        exchange = await self._speak(line)
        self.exchanges.append(exchange)
        before = [sound for sound in self._heard.sounds(join_s=0.1) if sound.start < exchange.said_from + 1.0]
        over.heard_until = before[-1].end
        exchange.cut_ms = (over.heard_until - exchange.said_from) * 1000
        sound = await self._begin(exchange.said_until)
        exchange.heard_from = sound.start
        return exchange

    async def _speak(self, line: Line) -> Exchange:
        pcm = self._voice(line.text)
        utterance = self._phone.say(pcm)
        try:
            await asyncio.wait_for(utterance.finished.wait(), len(pcm) / 16000 + _HANG_S)
        except TimeoutError as exc:
            raise NoAnswer("the call ended while the caller was speaking") from exc
        assert utterance.started_at is not None and utterance.ended_at is not None
        return Exchange(line, utterance.started_at, utterance.ended_at)

    async def _heard_of(self, over: Exchange, seconds: float) -> None:
        """Until so much was said without a pause, or so much after a filler; or the answer is over, short as it is."""
        while self._now() < over.heard_from + _LONGEST_S:
            sounds = [sound for sound in self._heard.sounds() if sound.start >= over.heard_from - _LOOK_S]
            lengths = [sound.end - sound.start for sound in sounds]
            if max(lengths, default=0.0) >= seconds or sum(lengths) >= seconds + _MOMENT_S:
                return
            if sum(lengths) > _MOMENT_S and self._now() - sounds[-1].end > _FINISHED_S:
                return
            await asyncio.sleep(_LOOK_S)

    async def _begin(self, after: float) -> Sound:
        """The first sound that begins after `after`."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                while True:
                    for sound in self._heard.sounds(join_s=0.1):
                        if sound.start > after:
                            return sound
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as exc:
            raise NoAnswer(f"the caller heard nothing for {_ANSWER_S:g} s") from exc

    async def _end(self, begun: float) -> float:
        """When the answer that began at `begun` had ended. After no more than "one moment, please" he waits on."""
        while self._now() < begun + _LONGEST_S:
            sounds = [sound for sound in self._heard.sounds() if sound.start >= begun - _LOOK_S]
            last = sounds[-1].end
            said_s = sum(sound.end - sound.start for sound in sounds)
            if self._now() - last > (_FINISHED_S if said_s > _MOMENT_S else _PATIENCE_S):
                return last
            await asyncio.sleep(_LOOK_S)
        return self._now()
