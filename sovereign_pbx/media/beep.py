"""The beep of a mailbox, told from everything else that sounds like one: 20 ms at a time, while somebody waits for it.

A beep is one frequency, two at once, or a short glide: at least 100 ms (180 below 650 Hz) that hold nearly all the
energy, even to a few parts in a thousand, and with a sudden end. Voices waver, notes fade, keys have two tones of their
own, and what networks play comes in a rhythm. So a tone is judged when it has ended, by what it was and what follows.

Measured through µ-law at -40 to -5 dBFS with 20 and 10 dB of noise: it is known 60 to 100 ms after its end. In three
hours of voice prompts in five languages and of music on hold nothing but their own `beep.wav` is one.

    detector = BeepDetector()
    for frame in frames:              # 20 ms of 16-bit samples
        tone = detector.feed(frame)   # once it is known what it was
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.core.audio import FRAME_S, PHONE_RATE
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.resample import Resampler

ToneKind = Literal["beep", "not_in_service", "fax"]

_HOP: Final = round(PHONE_RATE * FRAME_S)
_SPAN: Final = 2 * _HOP  # 40 ms, so that a line is 25 Hz wide: the two tones of a network (440 and 480 Hz) stay apart
_LINE_HZ: Final = PHONE_RATE / _SPAN
_FIRST: Final = int(300 / _LINE_HZ)
_LINES: Final = int(2250 / _LINE_HZ) - _FIRST + 1
_WINDOW: Final = np.hanning(_SPAN + 1)[:_SPAN].astype(np.float32)
# A product with 158 rows costs a third of an FFT's call here (5 µs and 14-25).
_ANGLES: Final = 2 * np.pi * np.outer(np.arange(_FIRST, _FIRST + _LINES), np.arange(_SPAN)) / _SPAN
_TRANSFORM: Final = np.concatenate([np.cos(_ANGLES), np.sin(_ANGLES)]).astype(np.float32)
_WHOLE: Final = _SPAN / 2  # Parseval: the energy of the window times this is that of all lines

_LOWEST_HZ: Final = 340.0
_HIGHEST_HZ: Final = 2120.0
_FLOOR: Final = (32768 * 10 ** (-47 / 20)) ** 2 * _SPAN * 0.375  # -47 dBFS in a Hann window
_TONAL: Final = 0.75  # of all energy; 10 dB of white noise leaves 0.9
_SECOND: Final = 0.08  # a second tone has at least so much of it (11 dB below)
_GLIDE_HZ: Final = 45.0  # in 20 ms
_GLIDING_HZ: Final = 600.0  # below that it is somebody's melody of speech
_FLAT: Final = 1.8  # 2.5 dB
_JITTER_HZ: Final = 2.5  # what 10 dB of noise does to a tone; a steady vowel moves 1 % in 20 ms
_JITTER: Final = 0.003
_CUT: Final = 0.75
_SHORT_S: Final = 0.17  # what is shorter must come out of silence: there are steady vowels and notes of that length
_SHORTEST_S: Final = 0.075  # of what is a hundred or more, with noise at both edges
_DEEP_HZ: Final = 650.0  # below this there are steady vowels and notes of a tenth of a second
_SHORTEST_DEEP_S: Final = 0.125
_LONGEST_S: Final = 3.0
_MOST_HOPS: Final = round(_LONGEST_S / FRAME_S) + 2
_FALL: Final = 0.25  # -6 dB: the noise that 10 dB leaves is not silence
_QUIET_HOPS: Final = 2
_PAUSES_HOPS: Final = 3  # between the three tones of a number that is not in service there may be 30 ms
_RHYTHM_S: Final = 0.6  # the longest pause of a busy tone is half a second

_ROWS: Final = (697.0, 770.0, 852.0, 941.0)
_COLUMNS: Final = (1209.0, 1336.0, 1477.0, 1633.0)
# ITU-T E.180: dialling, ringing and busy tones of two frequencies; and of one, which most of the world has
_NETWORK_PAIRS: Final = ((350.0, 440.0), (400.0, 450.0), (440.0, 480.0), (480.0, 620.0), (400.0, 425.0))
_NETWORK_HZ: Final = (385.0, 460.0)
_RINGING_S: Final = 0.75
# ITU-T E.180 §7.3, and the variants of North America
_NOT_IN_SERVICE: Final = ((900.0, 1000.0), (1350.0, 1450.0), (1750.0, 1810.0))
# ITU-T T.30: a calling fax machine, 0.5 s within 15 %; an answering one, 2.6 to 4 s
_CALLING_FAX_HZ: Final = 1100.0
_CALLING_FAX_S: Final = (0.42, 0.59)
_ANSWERING_FAX_HZ: Final = 2100.0
_ANSWERING_FAX_S: Final = 1.5
_FAX_TOLERANCE_HZ: Final = 20.0


@dataclass(frozen=True, slots=True)
class Tone:
    """What was heard. `ago_s`: how long before the end of the frame just fed it ended."""

    kind: ToneKind
    hz: float
    seconds: float
    ago_s: float


@dataclass(slots=True)
class _Lines:
    """What 40 ms hold."""

    energy: float
    hz: float = 0.0  # 0: no tone
    second_hz: float = 0.0


@dataclass(slots=True)
class _Run:
    """Tonal frames in a row, the first and the last of them touched by an edge."""

    hz: list[float]
    energies: list[float]
    seconds_hz: list[float]
    peak: float
    before: float  # the energy of the window that ended where it began
    quiet: int = 0  # hops since its end

    @property
    def place(self) -> float:
        """Its frequency, without what its edges make of it."""
        first, last = self._inside
        inside = sorted(self.hz[first:last]) or self.hz
        return inside[len(inside) // 2]

    @property
    def second_hz(self) -> float:
        """Of the tone above it; 0 where there is none."""
        first, last = self._inside
        inside = sorted(self.seconds_hz[first:last]) or self.seconds_hz
        return inside[len(inside) // 2]

    @property
    def seconds(self) -> float:
        """A tone touches one window more than it fills."""
        return (len(self.hz) - 1) * FRAME_S

    @property
    def made(self) -> bool:
        """By a machine: as loud at the end as at the beginning, and as high, or gliding evenly. Nobody sings so."""
        first, last = self._inside
        energies, hz = self.energies[first:last], self.hz[first:last]
        if len(hz) < 2 or max(energies) > _FLAT * min(energies):
            return False
        if self.seconds < _SHORT_S and self.before > _FALL * self.peak:
            return False
        if max(hz) - min(hz) <= _JITTER_HZ + _JITTER * hz[0]:
            return True
        steps = [after - before for before, after in pairwise(hz)]
        return hz[0] >= _GLIDING_HZ and not self.second_hz and (min(steps) > 0 or max(steps) < 0)

    @property
    def _inside(self) -> tuple[int, int]:
        """Where the windows that an edge cuts into end and begin: two at most on either side."""
        first, last = 1, len(self.hz) - 1
        first += last - first > 3 and self.energies[1] < _CUT * self.peak
        last -= last - first > 3 and self.energies[last - 1] < _CUT * self.peak
        return first, last


class BeepDetector:
    """For one direction of one call at `rate` Hz. `feed` takes 10 to 25 µs where there is sound, 2 where there is none.

    Nothing that it knows lies above 2.3 kHz, so wideband is brought down to the telephone's rate first.
    """

    def __init__(self, rate: int = PHONE_RATE) -> None:
        self._down = Resampler(rate, PHONE_RATE) if rate != PHONE_RATE else None
        self._samples = np.zeros(_SPAN, np.float32)
        self._run: _Run | None = None
        self._pieces: list[float] = []  # of the runs shortly before, for tones in a row
        self._rhythm: _Run | None = None  # would be a beep, unless it comes again
        self._rhythm_hops = 0
        self._energies = (0.0, 0.0)  # of the last two windows
        self._faxed = False  # said already, and nothing that follows is a beep
        self._spoilt = False  # the same tone has come in a rhythm: none of its kind is a beep

    def feed(self, frame: NDArray[np.int16]) -> Tone | None:
        """Take 20 ms; says what has ended, once that is sure."""
        if self._down is not None:
            frame = samples_of(self._down.process(frame.tobytes()))
        samples = self._samples
        samples[:_HOP] = samples[_HOP:]
        samples[_HOP:] = frame
        lines = _lines(samples)
        found = self._follow(lines)
        self._energies = (self._energies[1], lines.energy)
        return found if found is not None else self._wait_for_rhythm()

    def _follow(self, lines: _Lines) -> Tone | None:
        run = self._run
        if run is not None and not run.quiet and self._goes_on(run, lines):
            return self._too_long(run)
        if run is None:
            self._run = self._begin(lines)
            return None
        return self._ends(run, lines)

    def _goes_on(self, run: _Run, lines: _Lines) -> bool:
        if not lines.hz or bool(lines.second_hz) != bool(run.seconds_hz[-1]) or lines.energy < _FALL * run.peak / 4:
            return False
        if abs(lines.hz - run.hz[-1]) > _GLIDE_HZ:
            return False
        if len(run.hz) > _MOST_HOPS:  # it is no beep any more
            return True
        run.hz.append(lines.hz)
        run.energies.append(lines.energy)
        run.seconds_hz.append(lines.second_hz)
        run.peak = max(run.peak, lines.energy)
        return True

    def _begin(self, lines: _Lines) -> _Run | None:
        before = self._energies[0]
        return _Run([lines.hz], [lines.energy], [lines.second_hz], lines.energy, before) if lines.hz else None

    def _too_long(self, run: _Run) -> Tone | None:
        if not self._faxed and run.seconds >= _ANSWERING_FAX_S and _near(run.hz[-1], _ANSWERING_FAX_HZ):
            self._faxed = True
            return Tone("fax", run.hz[-1], run.seconds, 0.0)
        return None

    def _ends(self, run: _Run, lines: _Lines) -> Tone | None:
        """The run has broken off: into silence, or into something else."""
        run.quiet += 1
        if lines.energy >= _FALL * run.peak and run.quiet > 1:
            self._pieces = [*self._pieces, run.place][-3:] if run.seconds >= _SHORTEST_S else []
            self._run = self._begin(lines)
            return None
        if run.quiet <= (_PAUSES_HOPS if self._may_go_up(run) else _QUIET_HOPS):
            return None
        self._run = self._begin(lines)
        return self._judge(run)

    def _may_go_up(self, run: _Run) -> bool:
        """The first or second of three rising tones."""
        return any(low <= run.place <= high for low, high in _NOT_IN_SERVICE[:2]) and run.seconds >= 0.2

    def _judge(self, run: _Run) -> Tone | None:
        pieces, self._pieces = [*self._pieces, run.place], []
        least = _SHORTEST_S if run.place >= _DEEP_HZ else _SHORTEST_DEEP_S
        if self._faxed or not least <= run.seconds <= _LONGEST_S or not run.made:
            return None
        tone = Tone("beep", run.place, run.seconds, run.quiet * FRAME_S)
        if len(pieces) >= 3 and _rise(pieces[-3:]):
            return Tone("not_in_service", tone.hz, tone.seconds, tone.ago_s)
        if run.second_hz and _is_known_pair(run.place, run.second_hz):
            return None
        if not run.second_hz and _near(tone.hz, _CALLING_FAX_HZ) and _within(tone.seconds, _CALLING_FAX_S):
            return Tone("fax", tone.hz, tone.seconds, tone.ago_s)
        if not run.second_hz and _within(tone.hz, _NETWORK_HZ):
            return self._perhaps_network(run)
        return tone

    def _perhaps_network(self, run: _Run) -> Tone | None:
        if run.seconds >= _RINGING_S or self._spoilt or self._rhythm is not None:
            self._spoilt, self._rhythm = True, None
            return None
        self._rhythm, self._rhythm_hops = run, 0
        return None

    def _wait_for_rhythm(self) -> Tone | None:
        waiting = self._rhythm
        if waiting is None:
            return None
        self._rhythm_hops += 1
        if self._rhythm_hops * FRAME_S < _RHYTHM_S or self._run is not None:
            return None
        self._rhythm = None
        return Tone("beep", waiting.place, waiting.seconds, (waiting.quiet + self._rhythm_hops) * FRAME_S)


def _lines(samples: NDArray[np.float32]) -> _Lines:
    windowed = samples * _WINDOW
    energy = float(windowed @ windowed)
    if energy < _FLOOR:
        return _Lines(energy)
    parts = _TRANSFORM @ windowed
    parts *= parts
    # Plain numbers from here on: on 79 of them they take a fifth of what as many calls of numpy do.
    power: list[float] = (parts[:_LINES] + parts[_LINES:]).tolist()
    first, share = _peak(power, energy)
    if share < _TONAL / 2.5:
        return _Lines(energy)
    hz = _place(power, first)
    if share >= _TONAL:
        return _Lines(energy, hz if _LOWEST_HZ <= hz <= _HIGHEST_HZ else 0.0)
    rest = power.copy()
    rest[max(0, first - 2) : first + 3] = [0.0] * (min(_LINES, first + 3) - max(0, first - 2))
    second, other = _peak(rest, energy)
    if other < _SECOND or share + other < _TONAL + 0.05:
        return _Lines(energy)
    low, high = sorted((hz, _place(power, second)))
    return _Lines(energy, low, high) if low >= _LOWEST_HZ else _Lines(energy)


def _peak(power: list[float], energy: float) -> tuple[int, float]:
    """The strongest line, and what share of all energy it and its neighbours have."""
    line = power.index(max(power))
    return line, sum(power[max(0, line - 2) : line + 3]) / (energy * _WHOLE)


def _place(power: list[float], line: int) -> float:
    """The frequency of a peak, between the lines: by its neighbours' amplitudes under a Hann window."""
    if not 0 < line < _LINES - 1 or not power[line]:
        return (_FIRST + line) * _LINE_HZ
    sign = 1 if power[line + 1] > power[line - 1] else -1
    ratio = math.sqrt(power[line + sign] / power[line])
    return (_FIRST + line + sign * max(0.0, (2 * ratio - 1) / (ratio + 1))) * _LINE_HZ


def _rise(pieces: list[float]) -> bool:
    return all(low <= hz <= high for hz, (low, high) in zip(pieces, _NOT_IN_SERVICE, strict=True))


def _is_known_pair(low: float, high: float) -> bool:
    key = any(_within(low / row, (0.97, 1.03)) for row in _ROWS)
    key = key and any(_within(high / column, (0.97, 1.03)) for column in _COLUMNS)
    return key or any(abs(low - one) <= 15 and abs(high - other) <= 15 for one, other in _NETWORK_PAIRS)


def _near(hz: float, wanted: float) -> bool:
    return abs(hz - wanted) <= _FAX_TOLERANCE_HZ


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]
