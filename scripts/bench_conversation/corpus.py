"""The corpus: `load()` gives items of human speech on a telephone line, mixed with fixed seeds, always the same.

    from scripts.bench_conversation import corpus
    for item in corpus.load("train", kinds=("paused", "number")):
        item.audio, item.spans, item.pauses, item.words, item.asked

The first call fetches the recordings (240 MB of Debian packages, see `packages`) and takes a minute; later ones mix
what is asked for in seconds.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np

from scripts.bench_conversation import mixing, recordings
from scripts.bench_conversation.item import TURNS, Item, Kind, Split
from scripts.bench_conversation.mixing import Signal
from scripts.bench_conversation.recipes import RECIPES, Voice, able
from scripts.bench_conversation.recordings import Recording
from scripts.bench_conversation.timeline import Timeline
from sovereign_pbx.testing.debian_packages import Progress, quiet

LEAD_S: Final = 0.8
GOLDEN: Final = 0.6180339887
TAIL_S: Final = 4.5  # longer than any policy waits
COUNTS: Final[dict[Kind, int]] = {
    "sentence": 90,
    "paused": 120,
    "joined": 40,
    "answer": 60,
    "number": 60,
    "spelled": 30,
}
# How often each state of the line comes: telephone calls are mostly made from quiet places.
CONDITIONS: Final = (
    *("clean",) * 8,
    *("hiss",) * 2,
    *("talk20", "talk10", "talk5", "music20", "music10", "music5"),
    *("talk20", "music20"),
)
_HISS_DBFS: Final = -45.0


def load(
    split: Split | None = None, *, kinds: Iterable[Kind] | None = None, share: float = 1.0, progress: Progress = quiet
) -> list[Item]:
    """Items of one split or of both, of all `kinds` of turns or of those given; `share` of them (spread evenly)."""
    source = _source(progress)
    wanted = tuple(kinds) if kinds is not None else TURNS
    splits: tuple[Split, ...] = (split,) if split else ("train", "test")
    return [item for one in splits for kind in wanted for item in _items(source, one, kind, share)]


class Source:
    """The recordings by what they are good for."""

    def __init__(self, everything: Sequence[Recording]) -> None:
        by_voice: dict[str, list[Recording]] = defaultdict(list)
        for recording in everything:
            if recording.kind == "speech":
                by_voice[recording.voice].append(recording)
        self.music = [recording for recording in everything if recording.kind == "music"]
        self.sounds = [recording for recording in everything if recording.kind == "sound"]
        self.voices: dict[Split, list[Voice]] = {
            split: [Voice(spoken, split) for _, spoken in sorted(by_voice.items())] for split in ("train", "test")
        }


@cache
def _source(progress: Progress) -> Source:
    return Source(recordings.load(progress))


def _items(source: Source, split: Split, kind: Kind, share: float) -> Iterator[Item]:
    voices = [voice for voice in source.voices[split] if able(voice, kind)]
    for place in _spread(COUNTS[kind], share):
        yield turn(source, voices[place % len(voices)], kind, place)


def _spread(everything: int, share: float) -> list[int]:
    """Which items a share is: the same ones whatever is asked for beside it, and of all voices alike."""
    if share >= 1:
        return list(range(everything))
    steps = (number * GOLDEN % 1 for number in range(max(1, round(everything * share))))
    return sorted({int(step * everything) for step in steps})


def turn(source: Source, voice: Voice, kind: Kind, number: int) -> Item:
    """Item `number` of its kind, in the voice given."""
    name = f"{voice.split}-{kind}-{number:03}-{voice.name}"
    seed = zlib.crc32(name.encode())
    random = np.random.default_rng(seed)
    line = Timeline(LEAD_S, float(random.uniform(-32, -20)))
    asked = RECIPES[kind](voice, line, random)
    line.tail(TAIL_S)
    condition = CONDITIONS[int(random.integers(len(CONDITIONS)))]
    speech = line.signal
    signal = speech + surroundings(source, voice, speech, condition, seed)
    words = tuple(line.words)
    return Item(
        name=name,
        kind=kind,
        split=voice.split,
        language=voice.language,
        voice=voice.name,
        condition=condition,
        audio=mixing.coded(signal),
        text=" ".join(word.text for word in words),
        words=words,
        spans=tuple(line.spans),
        pauses=tuple(sorted(line.pauses, key=lambda pause: pause.start)),
        asked=asked,
    )


def surroundings(source: Source, voice: Voice, speech: Signal, condition: str, seed: int) -> Signal:
    """What is heard beside the caller: a good line's hiss at least."""
    hiss = mixing.line_noise(speech.size, _HISS_DBFS if condition == "hiss" else mixing.LINE_DBFS, seed)
    if condition.startswith("talk"):
        return hiss + mixing.below(speech, _talk(source, voice, speech.size, seed), float(condition[4:]))
    if condition.startswith("music"):
        music = source.music[seed % len(source.music)].audio
        return hiss + mixing.below(speech, mixing.looped(music, speech.size, seed), float(condition[5:]))
    return hiss


def _talk(source: Source, voice: Voice, length: int, seed: int) -> Signal:
    """Two other voices that talk without a break, as in a room or beside a television."""
    others = [other for other in source.voices[voice.split] if other.name != voice.name and other.sentences]
    random = np.random.default_rng(seed)
    talk = np.zeros(length)
    for other in random.choice(len(others), 2, replace=False):
        said = others[int(other)].sentences
        order = random.permutation(len(said))[:12]
        talk += mixing.looped(np.concatenate([mixing.at_level(said[at].audio, -26) for at in order]), length, seed)
    return talk
