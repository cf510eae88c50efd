"""When each word of a recording is said, and where a speaker could have paused.

Words get a share of the time in which there is speech, by their length; borders then move to the nearest dip in the
energy. That is right to about a tenth of a second, which is what the scripted recogniser needs; pauses are only put
where a dip is.
"""

import re
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scripts.bench_conversation.recordings import Samples, activity, levels

Seconds = NDArray[np.float64]

FRAME_S: Final = 0.010
_PAUSE_FRAMES: Final = 8  # shorter stretches without sound are closures of consonants
_NEAR_S: Final = 0.15
_DIP_DB: Final = 14.0  # below the median of the speech
_LEAST_SIDE_S: Final = 0.5
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class Word(NamedTuple):
    """A word with the seconds at which it begins and ends."""

    text: str
    start: float
    end: float


class Border(NamedTuple):
    """A place for a pause: the sample to cut at, and how many words lie before it."""

    sample: int
    words: int


def spoken(text: str) -> list[str]:
    """The words without punctuation, as a recogniser without formatting writes them."""
    return _WORD.findall(text.casefold())


def timed(audio: Samples, text: str) -> tuple[Word, ...]:
    """The words of `text` with their times in `audio`."""
    words = spoken(text)
    if not words:
        return ()
    clock = _speech_clock(audio)
    weights = np.array([len(word) + 1.5 for word in words])
    shares = np.concatenate(([0.0], np.cumsum(weights) / weights.sum())) * clock[-1]
    edges = np.searchsorted(clock, shares, side="left") * FRAME_S
    edges[-1] = _last_sound(audio)
    inner = _to_dips(edges[1:-1], np.array([dip * FRAME_S for dip, _ in dips(audio)]))
    edges[1:-1] = np.maximum.accumulate(np.clip(inner, edges[0], edges[-1]))
    return tuple(Word(word, float(edges[at]), float(edges[at + 1])) for at, word in enumerate(words))


def borders(audio: Samples, text: str) -> list[Border]:
    """Where a pause can be: at dips that lie between two words, not at the end of a sentence, not near either end."""
    words, ends = timed(audio, text), _sentence_ends(text)
    duration, found = audio.size / 8000, []
    for frame, _ in dips(audio):
        at = frame * FRAME_S
        if not _LEAST_SIDE_S <= at <= duration - _LEAST_SIDE_S:
            continue
        before = min(range(1, len(words)), key=lambda count: abs(words[count - 1].end - at), default=0)
        if before and abs(words[before - 1].end - at) < 0.06 and before not in ends:
            found.append(Border(frame * 80, before))
    return found


def dips(audio: Samples) -> list[tuple[int, float]]:
    """(frame of 10 ms, dB below the speech) of the middles of the stretches in which the energy is low."""
    level = levels(audio)
    loud = activity(audio)
    if not loud.any():
        return []
    typical = float(np.median(level[loud]))
    low = level < typical - _DIP_DB
    found = []
    for start, end in runs(low):
        if end - start >= 3 and start > 0 and end < len(level):
            found.append(((start + end) // 2, typical - float(level[start:end].min())))
    return found


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _speech_clock(audio: Samples) -> Seconds:
    """Seconds of speech up to each 10 ms: stands still in pauses."""
    speech = activity(audio).copy()
    for start, end in runs(~speech):
        if end - start < _PAUSE_FRAMES:
            speech[start:end] = True
    return np.cumsum(np.where(speech, FRAME_S, 0.0), dtype=np.float64)


def _last_sound(audio: Samples) -> float:
    return float(np.flatnonzero(activity(audio))[-1] + 1) * FRAME_S


def _to_dips(edges: Seconds, places: Seconds) -> Seconds:
    if not places.size or not edges.size:
        return edges
    nearest = places[np.abs(edges[:, None] - places[None]).argmin(axis=1)]
    moved: Seconds = np.where(np.abs(nearest - edges) < _NEAR_S, nearest, edges)
    return moved


def _sentence_ends(text: str) -> set[int]:
    """How many words lie before each end of a sentence."""
    return {len(spoken(text[: match.end()])) for match in re.finditer(r"[.!?;]", text)}
