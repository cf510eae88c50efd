"""What a caller heard, on one absolute time axis: every frame with its arrival, and what can be measured from it.

Times are the event loop's clock. A listener plays a frame when it has arrived and the one before it has ended:
frames that come too early wait their turn, a late one leaves a hole.
"""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL_BLOCK_S = 0.005
SPEECH_DBFS = -40.0  # above comfort noise, below the faintest syllable that a telephone carries
SILENCE_DBFS = -100.0
JITTER_S = 0.02

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sound:
    """A stretch of speech as heard: first and last audible moment, in seconds of the loop's clock."""

    start: float
    end: float


class Heard:
    """Audio as it arrived at one caller.

    With `keep_audio=False` only the levels are kept (four numbers for each 20 ms), which is what a load test wants.
    """

    def __init__(self, rate: int = 8000, *, keep_audio: bool = True) -> None:
        self.rate = rate
        self._keep = keep_audio
        self._arrivals = array("d")
        self._samples = array("q")
        self._pcm = bytearray()
        self._fresh = bytearray()
        self._levels: list[Floats] = []

    def add(self, at: float, pcm: bytes) -> None:
        """One frame that arrived at `at`."""
        self._arrivals.append(at)
        self._samples.append(len(pcm) // 2)
        if self._keep:
            self._pcm += pcm
        self._fresh += pcm
        if len(self._fresh) >= self.rate * 4:  # two seconds: often enough for memory, seldom enough for numpy
            self._measure_levels()

    # Public: arrivals

    @property
    def frames(self) -> int:
        return len(self._arrivals)

    @property
    def first_at(self) -> float | None:
        return self._arrivals[0] if self._arrivals else None

    @property
    def last_at(self) -> float | None:
        return self._arrivals[-1] if self._arrivals else None

    def duration_s(self) -> float:
        """How much audio arrived."""
        return sum(self._samples) / self.rate

    def burst(self, within_s: float = 0.005) -> int:
        """The most frames that arrived within `within_s`."""
        arrivals = np.array(self._arrivals)
        if not len(arrivals):
            return 0
        after = np.searchsorted(arrivals, arrivals + within_s, side="right")
        return int((after - np.arange(len(arrivals))).max())

    def hole_s(self) -> float:
        """The longest time between two arrivals."""
        return float(np.diff(np.array(self._arrivals)).max()) if self.frames > 1 else 0.0

    def real_time_ratio(self) -> float:
        """Audio delivered for each second of wall clock; 1.0 is right, less is a stream that falls behind."""
        if self.frames < 2:
            return 0.0
        before_last = sum(self._samples[:-1]) / self.rate
        return before_last / (self._arrivals[-1] - self._arrivals[0])

    # Public: sound

    def played_at(self, slack_s: float = 0.0) -> Floats:
        """When each frame begins to be heard: behind the one before it, or on arrival when that is later.

        With `slack_s` a frame that is late by less still joins on, as a phone's jitter buffer would have it.
        """
        starts = np.empty(self.frames)
        ready = -np.inf
        for number, (arrival, samples) in enumerate(zip(self._arrivals, self._samples, strict=True)):
            starts[number] = ready if arrival <= ready + slack_s else arrival
            ready = starts[number] + samples / self.rate
        return starts

    def sounds(self, threshold_dbfs: float = SPEECH_DBFS, join_s: float = 0.3) -> list[Sound]:
        """Stretches louder than `threshold_dbfs`, pauses shorter than `join_s` bridged."""
        loud = np.flatnonzero(self._all_levels() > threshold_dbfs)
        if not len(loud):
            return []
        starts = self._block_times()[loud]
        breaks = np.flatnonzero(np.diff(starts) > join_s + LEVEL_BLOCK_S)
        firsts = starts[np.concatenate([[0], breaks + 1])]
        lasts = starts[np.concatenate([breaks, [len(starts) - 1]])] + LEVEL_BLOCK_S
        return [Sound(float(first), float(last)) for first, last in zip(firsts, lasts, strict=True)]

    def recording(self, origin: float | None = None) -> bytes:
        """PCM as it was heard, from `origin` (the first frame unless told otherwise), holes as silence."""
        assert self._keep, "made with keep_audio=False"
        if not self.frames:
            return b""
        played = self.played_at(JITTER_S)
        start = played[0] if origin is None else origin
        ends = np.cumsum(np.array(self._samples))
        places = np.rint((played - start) * self.rate).astype(int)
        heard = np.zeros(max(int(places[-1]) + self._samples[-1], 0), "<i2")
        audio = np.frombuffer(bytes(self._pcm), "<i2")
        for place, end, count in zip(places, ends, self._samples, strict=True):
            if place >= 0:
                heard[place : place + count] = audio[end - count : end][: len(heard) - place]
        return heard.tobytes()

    def audio(self) -> bytes:
        """PCM end to end, without regard to time."""
        assert self._keep, "made with keep_audio=False"
        return bytes(self._pcm)

    # Private

    def _block(self) -> int:
        return int(self.rate * LEVEL_BLOCK_S)

    def _measure_levels(self) -> None:
        size = self._block() * 2
        whole = len(self._fresh) // size * size
        samples = np.frombuffer(bytes(self._fresh[:whole]), "<i2").astype(np.float64)
        del self._fresh[:whole]
        power = (samples.reshape(-1, self._block()) ** 2).mean(axis=1)
        self._levels.append(10 * np.log10(np.maximum(power / 32768.0**2, 10 ** (SILENCE_DBFS / 10))))

    def _all_levels(self) -> Floats:
        self._measure_levels()
        return np.concatenate(self._levels)

    def _block_times(self) -> Floats:
        """When each level block is heard."""
        firsts = np.arange(sum(map(len, self._levels))) * self._block()
        ends = np.cumsum(np.array(self._samples))
        frame = np.minimum(np.searchsorted(ends, firsts, side="right"), self.frames - 1)
        begins = ends - np.array(self._samples)
        times: Floats = self.played_at()[frame] + (firsts - begins[frame]) / self.rate
        return times
