"""The test call's own ear and mouth: whoever Asterisk connects, at the pace of a telephone."""

import asyncio
import wave
from collections.abc import Callable
from importlib.resources import files
from typing import Final, TypeVar

import numpy as np

from sovereign_pbx.core.audio import PHONE_RATE, frame_bytes
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.levels import dbfs
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.heard import SPEECH_DBFS, Heard, Sound
from sovereign_pbx.testing.utterance import Speech, Utterance

T = TypeVar("T")

POLL_S: Final = 0.05
LEVEL_WINDOW_S: Final = 0.02
_SILENCE: Final = bytes(frame_bytes(PHONE_RATE))


def question() -> bytes:
    """What the caller asks: a short English sentence, 8 kHz PCM."""
    with files("sovereign_pbx.testing").joinpath("sounds/question.wav").open("rb") as file, wave.open(file) as sound:
        pcm: bytes = sound.readframes(sound.getnframes())
    return pcm


class Caller:
    """Hears and speaks on the link that it is given. `connected` is set with the link, `gone` with its end."""

    def __init__(self, ticker: CallerTicker) -> None:
        self.heard = Heard(PHONE_RATE)
        self.connected = asyncio.Event()
        self.gone = asyncio.Event()
        self.answered_at = 0.0
        self._speech = Speech(frame_bytes(PHONE_RATE))
        self._ticker = ticker
        self._link: AudioSocketLink | None = None

    def take(self, call_id: str, link: AudioSocketLink) -> None:
        """The PBX has answered."""
        self._link = link
        self.answered_at = asyncio.get_running_loop().time()
        self._ticker.add(self.tick)
        self.connected.set()

    def ended(self, call_id: str, link: AudioSocketLink, how: LinkEnded) -> None:
        self._ticker.remove(self.tick)
        self.gone.set()

    def tick(self, now: float) -> None:
        assert self._link is not None
        while (frame := self._link.take()) is not None:
            self.heard.add(now, frame)
        self._link.put(self._speech.next_frame(now) or _SILENCE)

    def say(self, pcm: bytes) -> Utterance:
        return self._speech.say(pcm)

    def hang_up(self) -> None:
        if self._link is not None:
            self._link.close()

    async def sound(self, after: float, within_s: float) -> Sound | None:
        """The first sound that begins at or after `after`; None when there is none, or the call ends before."""
        return await self._until(lambda: next((one for one in self.sounds() if one.start >= after), None), within_s)

    async def quiet(self, for_s: float, within_s: float) -> None:
        """Wait until nothing was heard for `for_s`, but not for longer than `within_s`."""
        loop = asyncio.get_running_loop()
        await self._until(lambda: not self.sounds() or self.sounds()[-1].end < loop.time() - for_s or None, within_s)

    def sounds(self) -> list[Sound]:
        return self.heard.sounds() if self.heard.frames else []

    def level_dbfs(self) -> float:
        """How loud the other side is while it speaks: the mean power of what is louder than a telephone's noise."""
        size = int(PHONE_RATE * LEVEL_WINDOW_S)
        samples = np.frombuffer(self.heard.audio(), "<i2")
        windows = samples[: len(samples) // size * size].reshape(-1, size)
        loud = [window for window in windows if dbfs(window) > SPEECH_DBFS]
        return dbfs(np.concatenate(loud)) if loud else dbfs(b"")

    async def _until(self, look: Callable[[], T | None], within_s: float) -> T | None:
        try:
            async with asyncio.timeout(within_s):
                while not self.gone.is_set():
                    found = look()
                    if found is not None:
                        return found
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            pass
        return None
