"""What the media clock costs: microseconds a tick, and percent of one core a call, for a growing number of lines.

    python scripts/bench_media.py [--lines 1,50,100,250] [--seconds 10] [--speech FILE.wav] [--echo]

Every line hears speech half of the time (synthetic, or FILE) over a faint line noise, and half of the lines speak. With
`--echo` what these play comes back 12 dB softer and 60 ms later, and has to be taken away.
Links are in memory: sockets, providers and the recorder's disk are not in these numbers.
"""

import argparse
import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

from sovereign_pbx.core.audio import FRAME_S, frame_bytes
from sovereign_pbx.core.errors import ConfigError, LinkEnded
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.link import LinkKind, LinkListener
from sovereign_pbx.media.scorer import CONTEXT, WINDOW, SileroScorer
from sovereign_pbx.media.vad import EnergyDetector, SpeechDetector
from sovereign_pbx.media.wav import read_wav
from sovereign_pbx.speech.models import locate

RATE = 8000


class MemoryLink:
    """Hands out frames from a loop; forgets what it is given, or returns it as an echo."""

    kind: LinkKind = "scripted"
    rate = RATE
    ended: LinkEnded | None = None

    def __init__(self, frames: Iterator[bytes], *, echo: bool = False) -> None:
        self.listener: LinkListener | None = None
        self._frames = frames
        self._given = False
        self._returning: deque[bytes] | None = deque([bytes(frame_bytes(RATE))] * 3) if echo else None

    def take(self) -> bytes | None:
        self._given = not self._given  # one frame a tick, then nothing
        if not self._given or self._returning is None:
            return next(self._frames) if self._given else None
        both = samples_of(next(self._frames)) // 2 + samples_of(self._returning.popleft()) // 4
        return both.astype("<i2").tobytes()

    def put(self, frame: bytes) -> None:
        if self._returning is not None:
            self._returning.append(frame)

    def flush(self) -> None: ...

    def quality(self) -> None: ...

    def close(self) -> None: ...

    def statistics(self) -> dict[str, int]:
        return {}


class Nobody:
    """A listener that does nothing."""

    def heard(self, frame: bytes) -> None: ...

    def speech_started(self, at: float) -> None: ...

    def speech_stopped(self, at: float) -> None: ...

    def playout_started(self, segment: int) -> None: ...

    def playout_finished(self, segment: int) -> None: ...

    def line_ended(self, how: LinkEnded) -> None: ...

    def digit(self, digit: str) -> None: ...


def speech_audio(speech: Path | None, hertz: float = 130) -> list[bytes]:
    """Six seconds in frames: three of speech, three of line noise."""
    noise = np.random.default_rng(1).standard_normal(RATE * 6) * 30
    if speech is None:
        at = np.arange(RATE * 3) / RATE
        syllables = 6000 * (1 + np.sin(2 * np.pi * 4 * at)) * np.sign(np.sin(2 * np.pi * hertz * at))
    else:
        syllables = read_wav(speech)[1][0][: RATE * 3].astype(float)
    noise[: syllables.size] += syllables
    pcm = np.clip(noise, -32768, 32767).astype("<i2").tobytes()
    size = frame_bytes(RATE)
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def tick_costs(
    detector: SpeechDetector, lines: int, seconds: float, audio: list[bytes], *, echo: bool = False
) -> np.ndarray:
    """Microseconds of each tick with `lines` lines."""
    spoken = b"".join(speech_audio(None, 190)) * 19  # unlike the caller, or every word of his would be an echo
    clock = MediaClock(detector, now=time.monotonic)
    for number in range(lines):
        start = number * 37 % len(audio)
        line = Line(MemoryLink(cycle(audio[start:] + audio[:start]), echo=echo), Nobody())
        if number % 2:
            line.playout.open(1)
            line.playout.add(1, spoken)
        clock.add(line)
        clock.tick(number * FRAME_S)  # lines begin at different ticks, so their windows are full at different ticks
    costs = []
    gc.collect()
    for number in range(int(seconds / FRAME_S)):
        began = time.process_time_ns()
        clock.tick((lines + number) * FRAME_S)
        costs.append((time.process_time_ns() - began) / 1000)
    for line in clock.lines:
        clock.remove(line)
    return np.array(costs)


def table(
    name: str,
    make: Callable[[], SpeechDetector],
    counts: list[int],
    seconds: float,
    audio: list[bytes],
    *,
    echo: bool = False,
) -> None:
    print(f"\n{name}\n{'lines':>6} {'median µs':>10} {'p99 µs':>8} {'µs a line':>10} {'% of a core a call':>19}")
    for lines in counts:
        costs = tick_costs(make(), lines, seconds, audio, echo=echo)
        each = costs.mean() / lines
        print(
            f"{lines:>6} {np.median(costs):>10.0f} {np.percentile(costs, 99):>8.0f}"
            f" {each:>10.1f} {each / (FRAME_S * 1e6) * 100:>19.3f}"
        )


def batching(scorer: SileroScorer, sizes: list[int]) -> None:
    print(f"\nSilero alone\n{'windows':>8} {'one by one µs':>14} {'together µs':>12} {'µs a window':>12}")
    for size in sizes:
        scorer.reserve(size)
        windows = np.random.default_rng(2).standard_normal((size, CONTEXT + WINDOW)).astype(np.float32) * np.float32(
            0.1
        )
        slots = np.arange(size, dtype=np.intp)
        parts = [(slots[i : i + 1], windows[i : i + 1]) for i in range(size)]
        single = _timed(partial(_score_each, scorer, parts), 3)
        together = _timed(partial(scorer.score, slots, windows), max(5, 2000 // size))
        print(f"{size:>8} {single:>14.0f} {together:>12.0f} {together / size:>12.1f}")


def _score_each(scorer: SileroScorer, parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for slots, windows in parts:
        scorer.score(slots, windows)


def _timed(work: Callable[[], object], rounds: int) -> float:
    """Median microseconds."""
    costs = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        costs.append((time.perf_counter() - began) * 1e6)
    return float(np.median(costs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", default="1,50,100,250")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement, in call time")
    parser.add_argument("--speech", type=Path, help="8 kHz WAV to let the callers say")
    parser.add_argument("--echo", action="store_true", help="lines return what is played on them")
    arguments = parser.parse_args()
    counts = [int(part) for part in arguments.lines.split(",")]
    audio = speech_audio(arguments.speech)
    table("energy detector", EnergyDetector, counts, arguments.seconds, audio, echo=arguments.echo)
    try:
        model = locate("silero-vad")
    except ConfigError as exc:
        print(f"\nno neural numbers: {exc}")
        return
    table("neural detector", lambda: SpeechDetector(model), counts, arguments.seconds, audio, echo=arguments.echo)
    batching(SileroScorer(model), counts)


if __name__ == "__main__":
    main()
