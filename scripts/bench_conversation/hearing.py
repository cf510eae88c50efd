"""What the daemon's own models make of an item: the voice detector's events, and the turn model's scores.

Both are computed once and kept in the cache by what they depend on, so that a policy can be tried in seconds.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from scripts.bench_conversation.item import Item
from scripts.bench_conversation.recordings import Samples
from sovereign_pbx.core.audio import FRAME_S, PHONE_RATE
from sovereign_pbx.media import scorer, silero_graph, upsample, vad, vad_state
from sovereign_pbx.media.turn import TurnModel
from sovereign_pbx.media.upsample import upsample as to_model_rate
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.media.vad_state import VadEvent
from sovereign_pbx.speech.models import locate
from sovereign_pbx.testing.debian_packages import Progress, quiet
from sovereign_pbx.testing.private_tree import cache_dir

Told = tuple[float, VadEvent]
"""When the detector said it, and what. Seconds in the item."""

FRAME: Final = 160
LOOKED_AT_S: Final = 8.0  # what the daemon hands the turn model
_LINES: Final = 64
_THREADS: Final = 2
_SAVED_EVERY: Final = 256


class Kept:
    """Numbers by key in one JSON file of the cache; `save` after new ones."""

    def __init__(self, name: str, depends_on: Iterable[bytes]) -> None:
        digest = hashlib.sha256(b"".join(depends_on)).hexdigest()[:12]
        self._path = cache_dir() / "conversation-scores" / f"{name}-{digest}.json"
        self._new = 0
        self._values = self._read()

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def get(self, key: str) -> object | None:
        return self._values.get(key)

    def put(self, key: str, value: object) -> None:
        self._values[key] = value
        self._new += 1
        if self._new >= _SAVED_EVERY:
            self.save()

    def save(self) -> None:
        if self._new:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._values = self._read() | self._values  # somebody else may have been at it meanwhile
            partial = self._path.with_suffix(f".{os.getpid()}.partial")
            partial.write_text(json.dumps(self._values), encoding="utf-8")
            partial.rename(self._path)
            self._new = 0


def speech_events(items: Sequence[Item], progress: Progress = quiet) -> dict[str, list[Told]]:
    """What the daemon's voice detector says about each item, as if each were a line of its own."""
    sources = [Path(str(module.__file__)) for module in (vad, vad_state, scorer, silero_graph, upsample)]
    model = locate("silero-vad")
    kept = Kept("vad", [path.read_bytes() for path in (*sources, model)])
    missing = [item for item in items if kept.get(_digest(item.audio)) is None]
    for start in range(0, len(missing), _LINES):
        progress("detecting speech", start / len(missing))
        batch = missing[start : start + _LINES]
        for item, told in zip(batch, _listened(model, batch), strict=True):
            kept.put(_digest(item.audio), told)
    kept.save()
    return {item.name: _events(kept.get(_digest(item.audio))) for item in items}


def _listened(model: Path, items: Sequence[Item]) -> list[list[tuple[float, str, float]]]:
    detector = SpeechDetector(model)
    states = [detector.attach() for _ in items]
    told: list[list[tuple[float, str, float]]] = [[] for _ in items]
    for tick in range(max(item.audio.size for item in items) // FRAME):
        now = (tick + 1) * FRAME_S
        frames = [item.audio[tick * FRAME : (tick + 1) * FRAME].tobytes() or None for item in items]
        for number, event in enumerate(detector.step(states, frames, now)):
            if event is not None:
                told[number].append((round(now, 3), event.kind, event.at))
    return told


def _events(kept: object) -> list[Told]:
    assert isinstance(kept, list)
    return [(now, VadEvent(kind, at)) for now, kind, at in kept]


class Scoring(Protocol):
    """Where a policy has the turn model's scores from."""

    def score(self, item: Item, at_s: float) -> float:
        """The probability that the turn is over, by all that has arrived at `at_s`."""


class Scores:
    """The turn model's probabilities, on what the daemon would have handed it. Close it."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._model = TurnModel(locate("smart-turn"), threads=_THREADS, most_waiting=64, timeout_s=60)
        # what a score depends on is not which lines the code has but what it makes of sound: these tell
        probes = self._runner.run(self._run([_probe(seconds) for seconds in (0.5, 3, 9)]))
        self._kept = Kept("turn", [json.dumps([round(value, 4) for value in probes]).encode()])

    def score(self, item: Item, at_s: float) -> float:
        """The probability that the turn is over, by all that has arrived at `at_s`."""
        return self.scored([(item, at_s)])[0]

    def scored(self, asked: Sequence[tuple[Item, float]], progress: Progress = quiet) -> list[float]:
        """Many of them, on all processors."""
        heard = [_heard(item, at_s) for item, at_s in asked]
        keys = [_digest(audio) for audio in heard]
        missing = list(
            {key: audio for key, audio in zip(keys, heard, strict=True) if self._kept.get(key) is None}.items()
        )
        for start in range(0, len(missing), 32):
            progress("scoring turns", start / len(missing))
            batch = missing[start : start + 32]
            for (key, _), value in zip(batch, self._runner.run(self._run([audio for _, audio in batch])), strict=True):
                self._kept.put(key, round(value, 5))
        return [_number(self._kept.get(key)) for key in keys]

    async def _run(self, batch: Sequence[Samples]) -> list[float]:
        model = self._model
        found = await asyncio.gather(*(model.score(partial(to_model_rate, audio)) for audio in batch))
        return [0.5 if value is None else value for value in found]

    def close(self) -> None:
        self._kept.save()
        self._runner.run(self._model.close())
        self._runner.close()


def _probe(seconds: float) -> Samples:
    """A tone that swells and fades twice a second over noise."""
    at = np.arange(round(seconds * PHONE_RATE)) / PHONE_RATE
    noise = np.random.default_rng(1).standard_normal(at.size)
    return (3000 * np.sin(2 * np.pi * 2 * at) * np.sin(2 * np.pi * 150 * at) + 100 * noise).astype("<i2")


def _heard(item: Item, at_s: float) -> Samples:
    """The whole frames that have arrived at `at_s`, as many as the daemon keeps."""
    end = int(at_s / FRAME_S + 1e-6) * FRAME
    return item.audio[max(0, end - round(LOOKED_AT_S * PHONE_RATE)) : end]


def _number(value: object) -> float:
    assert isinstance(value, float | int)
    return float(value)


def _digest(audio: Samples) -> str:
    return hashlib.blake2b(np.ascontiguousarray(audio).tobytes(), digest_size=9).hexdigest()
