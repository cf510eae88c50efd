"""When each word of a recording is said, and where a speaker could have paused.

Commas and full stops are put where the speaker was silent. Between them words get a share of the time in which there
is speech, by their length; borders then move to the nearest dip in the energy. That is right to about a tenth of a
second, which is what the scripted recogniser needs; pauses are only put where a dip is.
"""

import re
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scripts.bench_conversation.recordings import Samples, activity, levels

Seconds = NDArray[np.float64]
Anchor = tuple[int, float]
"""How many words lie before it, and when it is."""

FRAME_S: Final = 0.010
_PAUSE_FRAMES: Final = 8  # shorter stretches without sound are closures of consonants
_STOP_FRAMES: Final = 14
_STOP_NEAR_S: Final = 0.7
_LEAST_WORD_S: Final = 0.1
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
    weights = np.cumsum([0.0, *(len(word) + 1.5 for word in words)])
    clock = _speech_clock(audio)
    edges = _spread(clock, weights, [(0, 0.0), (len(words), _last_sound(audio))])
    anchors = _anchors(audio, text, edges)
    edges = _spread(clock, weights, anchors)
    edges = _to_dips(edges, np.array([dip * FRAME_S for dip, _ in dips(audio)]))
    for count, at in anchors:
        edges[count] = at
    edges = np.minimum(np.maximum.accumulate(edges), edges[-1])
    return tuple(Word(word, float(edges[at]), float(edges[at + 1])) for at, word in enumerate(words))


def _spread(clock: Seconds, weights: Seconds, anchors: list[Anchor]) -> Seconds:
    """When each word begins, and the last ends: by their weights within the speech between two anchors."""
    edges = np.zeros(len(weights))
    for (first, start), (last, end) in pairwise(anchors):
        spoken_before, spoken_after = np.interp([start, end], np.arange(len(clock)) * FRAME_S, clock)
        part = (weights[first : last + 1] - weights[first]) / (weights[last] - weights[first])
        at = spoken_before + part * (spoken_after - spoken_before)
        edges[first : last + 1] = np.searchsorted(clock, at, side="left") * FRAME_S
        edges[first], edges[last] = start, end
    return edges


def _anchors(audio: Samples, text: str, edges: Seconds) -> list[Anchor]:
    """Where the speaker stopped at a comma or a full stop: the silence is known, so is the word before it."""
    silences = [(a * FRAME_S, b * FRAME_S) for a, b in runs(~activity(audio)) if b - a >= _STOP_FRAMES and a > 0]
    found: list[Anchor] = [(0, 0.0)]
    for count in sorted(_word_counts(text, r"[.!?;,:]")):
        near = [(abs((a + b) / 2 - edges[count]), b) for a, b in silences if b > found[-1][1] + _LEAST_WORD_S]
        if 0 < count < len(edges) - 1 and near and min(near)[0] < _STOP_NEAR_S and count > found[-1][0]:
            found.append((count, min(near)[1]))
    last = _last_sound(audio)
    return [*(anchor for anchor in found if anchor[1] < last - _LEAST_WORD_S), (len(edges) - 1, last)]


def borders(audio: Samples, text: str) -> list[Border]:
    """Where a pause can be: at dips that lie between two words, not at the end of a sentence, not near either end."""
    words, ends = timed(audio, text), _word_counts(text, r"[.!?;]")
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


def _word_counts(text: str, signs: str) -> set[int]:
    """How many words lie before each of the signs."""
    return {len(spoken(text[: match.end()])) for match in re.finditer(signs, text)}
