"""What happens while the assistant speaks: interruptions, and everything that is none."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from scripts.bench_conversation.barge_call import EchoPath
from scripts.bench_conversation.mixing import Signal, at_level, faded, looped, seconds
from scripts.bench_conversation.recipes import LONGEST_S, split_of
from scripts.bench_conversation.recordings import Recording, activity
from scripts.bench_conversation.words import spoken
from sovereign_pbx.core.interjection import kind

What = Literal["interruption", "order", "backchannel", "mumble", "oh", "sound", "music", "talk", "echo"]

LENGTH_S: Final = 9.0
LONG_S: Final = 4.0  # of music and talk
LOUD_DBFS, SOFT_DBFS = -20.0, -32.0  # callers
SURROUNDINGS_DB: Final = (20.0, 10.0, 5.0)  # below a caller of the nominal level
NOMINAL_DBFS: Final = -26.0
_HUM_S: Final = (0.15, 0.35)


@dataclass(frozen=True, slots=True)
class Case:
    """`near`: what the caller's side brings, without echo. `at`: when the sound in it begins, in seconds.

    `own`: it is meant to interrupt.
    """

    what: What
    name: str
    language: str
    near: Signal = field(repr=False)
    at: float
    text: str = ""
    echo: EchoPath | None = field(default=None, repr=False)

    @property
    def own(self) -> bool:
        return self.what in ("interruption", "order")

    @property
    def seed(self) -> int:
        return zlib.crc32(f"{self.what} {self.name}".encode())


def cases(recordings: Sequence[Recording], share: float = 1.0) -> Iterator[Case]:
    """All cases, or a share of each kind, drawn always the same."""
    for made in (_interruptions, _words, _oh, _sounds, _surroundings, _echoes):
        everything = list(made(recordings))
        count = max(1, round(len(everything) * share))
        yield from (everything[at] for at in sorted(np.random.default_rng(14).permutation(len(everything))[:count]))


def _case(what: What, name: str, language: str, sound: Signal, text: str = "", echo: EchoPath | None = None) -> Case:
    dice = np.random.default_rng(zlib.crc32(f"{what} {name}".encode()))
    at = float(dice.uniform(1.2, 4.0))
    near = np.zeros(seconds(LENGTH_S + 6.0))
    near[seconds(at) : seconds(at) + sound.size] = sound[: near.size - seconds(at)]
    loud = np.flatnonzero(activity(np.clip(sound, -32768, 32767).astype("<i2")))
    first = float(loud[0]) * 0.010 if loud.size else 0.0
    return Case(what, name, language, near, at + first, text, echo)


def _interruptions(recordings: Sequence[Recording]) -> Iterator[Case]:
    """Sentences of three words and more; half of them over an echo."""
    usable = [
        each
        for each in recordings
        if each.kind == "speech" and each.whole and split_of(each) == "test" and len(spoken(each.text)) >= 3
        if 0.8 <= each.audio.size / 8000 <= min(LONGEST_S, 4.0)
    ]
    dice = np.random.default_rng(11)
    for number, at in enumerate(dice.choice(len(usable), 120, replace=False)):
        each = usable[int(at)]
        sound = at_level(each.audio, float(dice.uniform(SOFT_DBFS, LOUD_DBFS)))
        echo = _path(dice) if number % 2 else None
        yield _case("interruption", f"{number} {each.voice} {each.name}", each.language, sound, each.text, echo)


def _words(recordings: Sequence[Recording]) -> Iterator[Case]:
    for each in recordings:
        found = kind(each.text, each.language) if each.kind == "speech" and each.audio.size < 1.5 * 8000 else "other"
        if found in ("backchannel", "command") and len(each.text) > 2:
            what: What = "backchannel" if found == "backchannel" else "order"
            for level in (LOUD_DBFS, SOFT_DBFS):
                name = f"{each.voice} {each.name} {level:g}"
                yield _case(what, name, each.language, at_level(each.audio, level), each.text)
                if what == "backchannel":
                    yield _case("mumble", name, each.language, at_level(each.audio, level), each.text)


def _oh(recordings: Sequence[Recording]) -> Iterator[Case]:
    """The vowel of "oh", cut short."""
    dice = np.random.default_rng(12)
    hums = [each for each in recordings if each.kind == "speech" and each.text.casefold() == "oh"]
    for number in range(20):
        each = hums[number % len(hums)]
        start = int(np.flatnonzero(activity(each.audio))[0]) * 80
        short = each.audio[start : start + seconds(float(dice.uniform(*_HUM_S)))]
        sound = faded(at_level(short, float(dice.uniform(SOFT_DBFS, LOUD_DBFS))))
        yield _case("oh", f"{number} {each.voice}", each.language, sound, "oh")


def _sounds(recordings: Sequence[Recording]) -> Iterator[Case]:
    for each in recordings:
        if each.kind == "sound":
            for level in (LOUD_DBFS, SOFT_DBFS):
                yield _case("sound", f"{each.name} {level:g}", "en", at_level(each.audio[: seconds(LONG_S)], level))


def _surroundings(recordings: Sequence[Recording]) -> Iterator[Case]:
    """Music, and people who speak to each other, without the caller."""
    length = seconds(LONG_S)
    music = [each for each in recordings if each.kind == "music"]
    talk = [each for each in recordings if each.kind == "speech" and each.audio.size > 2 * 8000]
    for below in SURROUNDINGS_DB:
        for number in range(8):
            piece = looped(music[number % len(music)].audio, length, number)
            sound = faded(piece / np.sqrt(np.mean(piece**2)) * 32768 * 10 ** ((NOMINAL_DBFS - below) / 20))
            yield _case("music", f"{below:g} dB {number}", "en", sound)
            mixed = np.zeros(length)
            for each in (talk[(number * 331 + 7) % len(talk)], talk[(number * 577 + 91) % len(talk)]):
                mixed += looped(at_level(each.audio, NOMINAL_DBFS - below), length, number)
            yield _case("talk", f"{below:g} dB {number}", "en", faded(mixed))


def _echoes(_: Sequence[Recording]) -> Iterator[Case]:
    dice = np.random.default_rng(13)
    for number in range(60):
        path = _path(dice)
        name = f"{number} {path.loss_db:.0f} dB {path.delay_s * 1000:.0f} ms"
        yield _case("echo", name, "en", np.zeros(8), echo=path)


def _path(dice: np.random.Generator) -> EchoPath:
    """A hybrid (over within 7 ms) or a room and a loud handset (60 ms), 6 to 20 dB and 20 to 300 ms."""
    length = int(dice.choice([56, 56, 480]))
    decay: NDArray[np.float64] = np.exp(-np.arange(length) / (length / 5))
    path = np.convolve(dice.standard_normal(length) * decay, [0.25, 0.5, 0.25])
    return EchoPath(float(dice.uniform(6, 20)), float(dice.uniform(0.02, 0.3)), path)
