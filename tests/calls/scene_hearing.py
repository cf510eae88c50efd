"""What a caller heard, in words: the scripted voice is read back from the telephone's own audio.

The voice makes a burst of 60 ms for every letter and a gap for everything else, so a phrase is known by its pattern of
letters and gaps, after two passes of G.711 and a jitter of RTP. The administrator's fallback is a steady tone.
"""

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.testing.providers.voice_sound import CHAR_MS
from sovereign_pbx.testing.rtp_ear import RtpEar

RATE = 8000
FALLBACK = "the fallback's tone"
FALLBACK_HZ = 1004  # Milliwatt()
UNKNOWN = "a sound"

_BLOCK_MS = 5
_SLOT = CHAR_MS // _BLOCK_MS  # blocks of a letter
_LOUD = 32768 * 10 ** (-40.0 / 20)  # above comfort noise
_BLOCK_BYTES = RATE * _BLOCK_MS // 1000 * 2
_TONE = 200 // _BLOCK_MS
_HOLE_S = 1.0  # less is the jitter of a busy machine, even within a word
_CLOCK_S = 3.0  # more than the jitter of a busy machine
_PAUSE = 400 // _BLOCK_MS  # between the clauses of a phrase, when the voice is late
_SURE = 6  # letters and gaps in a row that are no accident
_FRAME = 20 // _BLOCK_MS

Loud = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Heard:
    """A phrase (or the tone) from its first to its last audible moment, in seconds of the loop's clock."""

    start: float
    end: float
    what: str
    cut: bool = False  # it ended before its last letter

    def __str__(self) -> str:
        return f"{self.what}{' (cut off)' if self.cut else ''}"


@dataclass(frozen=True, slots=True)
class _Match:
    """How far a phrase goes from some moment on: letters and gaps, and the block behind the last letter."""

    phrase: str
    slots: int
    end: int
    whole: bool


def read(ear: RtpEar, phrases: Iterable[str]) -> list[Heard]:
    """Everything that was audible at a telephone, in order.

    Words are read from the packets laid end to end: on a busy machine they come late, and holes in the time axis would
    tear letters apart. When something was heard is told by the packets' timestamps.
    """
    pcm, times = _end_to_end(ear)
    level = _level(pcm)
    tone = _steady(level)
    voice = (level > _LOUD) & ~tone
    patterns = {phrase: [char.isalnum() for char in phrase.rstrip(".!?… ")] for phrase in sorted(set(phrases))}
    found: list[Heard] = []
    at = 0
    while (at := min(_onset(voice, at), _onset(tone, at))) < len(level):
        if tone[at]:
            end = at + int(np.argmin(np.append(tone[at:], False)))
            what, cut = FALLBACK if _is_fallback(pcm, end) else UNKNOWN, False
        else:
            what, end, cut = _phrase_at(voice, at, patterns)
        begin = _time(times, at)
        if found and what == found[-1].what == UNKNOWN and begin - found[-1].end < _PAUSE * _BLOCK_MS / 1000:
            begin = found.pop().start
        found.append(Heard(begin, _time(times, end - 1) + _BLOCK_MS / 1000, what, cut))
        at = end
    return found


def _end_to_end(ear: RtpEar) -> tuple[bytes, list[tuple[int, float]]]:
    """PCM in which only long pauses are left; and (first block, time) of each packet."""
    packets = ear.audio_packets()
    pcm, times, until = bytearray(), [], 0.0
    first, origin = (packets[0], 0.0) if packets else (None, 0.0)
    for packet in packets:
        assert first is not None
        since = origin + ((packet.timestamp - first.timestamp) & 0xFFFFFFFF) / RATE
        if abs(since - (packet.at - packets[0].at)) > _CLOCK_S:
            # Another clock: of music, of ringing, of the colleague to whom the caller was put through
            first, origin = packet, max(until, packet.at - packets[0].at)
            since = origin
        if since - until > _HOLE_S:
            times.append((len(pcm) // _BLOCK_BYTES, packets[0].at + until))
            pcm += bytes(round((since - until) * 1000 / _BLOCK_MS) * _BLOCK_BYTES)
        times.append((len(pcm) // _BLOCK_BYTES, packets[0].at + since))
        sound = packet.pcm
        pcm += sound
        until = since + len(sound) / 2 / RATE
    return bytes(pcm), times


def _time(times: Sequence[tuple[int, float]], block: int) -> float:
    first, at = times[bisect.bisect_right(times, (block, float("inf"))) - 1]
    return at + (block - first) * _BLOCK_MS / 1000


def _phrase_at(voice: Loud, at: int, patterns: dict[str, list[bool]]) -> tuple[str, int, bool]:
    """(what begins here, the block behind its end, whether it was cut off)."""
    best = _best(voice, at, patterns)
    if best.whole:
        return best.phrase, best.end, False
    # What follows closely may have gone on as this phrase would have, for a letter or two: look for where it begins.
    for begin in range(max(at + 1, best.end - 3 * _SLOT), best.end + _FRAME):
        if begin < len(voice) and voice[begin] and _best(voice, begin, patterns).slots > max(_SURE, best.slots // 3):
            return (best.phrase if best.slots >= _SURE else UNKNOWN), begin, True
    end = at + int(np.argmin(np.append(voice[at:], False)))
    return (best.phrase, best.end, True) if best.slots >= _SURE else (UNKNOWN, end, True)


def _best(loud: Loud, at: int, patterns: dict[str, list[bool]]) -> _Match:
    matches = [_match(loud, at, phrase, pattern) for phrase, pattern in patterns.items()]
    return max(matches, key=lambda match: (match.whole, match.slots))


def _match(loud: Loud, at: int, phrase: str, pattern: Sequence[bool]) -> _Match:
    """Follow the pattern. Each clause is spoken by itself: its last gap may be missing, or longer."""
    place, end, slot = at, at, 0
    while slot < len(pattern):
        letter = _is_letter(loud, place)
        if letter is not pattern[slot]:
            later = _onset(loud, place)
            if letter and slot + 1 < len(pattern) and pattern[slot + 1]:
                slot += 1  # the gap between two clauses was left out
            elif pattern[slot] and not pattern[slot - 1] and later - place < _PAUSE:
                place = later
            else:
                break
            if not _is_letter(loud, place):
                break
        if pattern[slot]:
            end = place + _SLOT
        place += _SLOT
        slot += 1
        if slot < len(pattern) and pattern[slot] and not pattern[slot - 1]:
            place = _aligned(loud, place)
    return _Match(phrase, slot, end, slot == len(pattern))


def _is_letter(loud: Loud, place: int) -> bool:
    """Whether the middle of these 60 ms is audible: a letter fades in and out."""
    middle = loud[place + 3 : place + _SLOT - 3]
    return bool(len(middle) and middle.mean() > 0.5)


def _aligned(loud: Loud, place: int) -> int:
    """The beginning of a word, at most a frame away from where it was expected."""
    for off in range(_FRAME + 1):
        for begin in (place - off, place + off):
            if 0 < begin < len(loud) and loud[begin] and not loud[begin - 1]:
                return begin
    return place


def _onset(loud: Loud, at: int) -> int:
    found = np.flatnonzero(loud[at:])
    return at + int(found[0]) if len(found) else len(loud)


def _level(pcm: bytes) -> NDArray[np.float64]:
    """RMS of each block."""
    blocks = len(pcm) // _BLOCK_BYTES
    samples = np.frombuffer(pcm[: blocks * _BLOCK_BYTES], "<i2").astype(np.float64).reshape(blocks, _BLOCK_BYTES // 2)
    level: NDArray[np.float64] = np.sqrt((samples**2).mean(axis=1))
    return level


def _steady(level: NDArray[np.float64]) -> Loud:
    """Where a tone sounds: a loud stretch whose level does not change, which no stretch of a voice is."""
    steady = np.zeros(len(level), bool)
    if len(level) >= _TONE:
        windows = np.lib.stride_tricks.sliding_window_view(level, _TONE)
        even = (windows.min(axis=1) > _LOUD) & (windows.std(axis=1) < 0.05 * windows.mean(axis=1))
        for offset in range(_TONE):
            steady[offset : offset + len(even)] |= even
    return steady


def _is_fallback(pcm: bytes, end: int) -> bool:
    """Whether the tone that ends there is the administrator's."""
    last = end * _BLOCK_BYTES // 2
    samples = np.frombuffer(pcm, "<i2")[last - 1600 : last].astype(np.float64)
    spectrum = abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return abs(float(spectrum.argmax()) * RATE / len(samples) - FALLBACK_HZ) <= 10
