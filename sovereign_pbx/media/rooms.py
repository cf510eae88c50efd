"""Rooms behind a voice (contract §4.5 `background_audio`), synthesised: nobody's recording, so nobody's licence.

Everything is made on a circle: noise is shaped in the frequency domain, and events that pass the end go on at the
beginning. So a loop has no seam. The same clip is the same samples on every machine.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float64]

LOOP_S: Final = 24.0
CLIPS: Final = ("office", "city", "forest", "crowded_room")
_TALKERS: Final = 14
# First three formants in Hz, roughly: a, e, i, o, u as in most European languages.
_VOWELS: Final = ((750, 1200, 2500), (500, 1800, 2500), (300, 2200, 2900), (480, 880, 2500), (320, 750, 2400))


class _Canvas:
    """A circle of `LOOP_S` seconds to paint on."""

    def __init__(self, seed: int, rate: int) -> None:
        self.dice = np.random.default_rng(seed)
        self.rate = rate
        self.size = int(LOOP_S * rate)
        self._hertz = np.fft.rfftfreq(self.size, 1 / rate)

    def noise(self, spectrum: Callable[[Wave], Wave]) -> Wave:
        """Noise with the amplitude that `spectrum` gives for each frequency in Hz, at rms 1."""
        return self.shaped(self.dice.standard_normal(self.size), spectrum)

    def shaped(self, wave: Wave, spectrum: Callable[[Wave], Wave]) -> Wave:
        """`wave` filtered, without delay and round the circle."""
        found = np.fft.irfft(np.fft.rfft(wave) * spectrum(np.maximum(self._hertz, 1.0)), self.size)
        level = max(float(np.sqrt(np.mean(found**2))), 1e-9)
        return np.asarray(found / level)

    def swell(self, slowest_s: float, depth: float) -> Wave:
        """A slow change of loudness about 1, nothing in it faster than `slowest_s`."""
        slow = self.noise(lambda hertz: np.where(hertz < 1 / slowest_s, 1.0, 0.0))
        return np.asarray(np.exp(depth * slow))

    def add(self, canvas: Wave, at_s: float, event: Wave) -> None:
        """Put an event down; what passes the end goes on at the beginning."""
        places = (int(at_s * self.rate) + np.arange(event.size)) % self.size
        canvas[places] += event

    def blank(self) -> Wave:
        return np.zeros(self.size)

    def seconds(self, length_s: float) -> Wave:
        return np.arange(int(length_s * self.rate)) / self.rate


def _band(low: float, high: float, *, tilt: float = 0.0) -> Callable[[Wave], Wave]:
    """A band with soft edges; `tilt` in powers of frequency (-1 is 6 dB down an octave)."""

    def spectrum(hertz: Wave) -> Wave:
        return (hertz / 1000) ** tilt / (1 + (low / hertz) ** 4) / (1 + (hertz / high) ** 4)

    return spectrum


def room(clip: str, rate: int) -> Wave:
    """The loop of a clip, rms 1, at `rate` Hz; takes up to a second."""
    seed = CLIPS.index(clip)
    painted = _PAINTERS[clip](_Canvas(seed, rate))
    painted = painted - painted.mean()
    return np.asarray(painted / np.sqrt(np.mean(painted**2)))


def _office(canvas: _Canvas) -> Wave:
    """Ventilation, people far away, somebody who types."""
    air = canvas.noise(_band(200, 1100, tilt=-0.7)) * canvas.swell(4, 0.12)
    people = canvas.shaped(_talking(canvas, 4), _band(250, 1400))
    return air + 0.22 * people * canvas.swell(3, 0.5) + 0.9 * _typing(canvas)


def _typing(canvas: _Canvas) -> Wave:
    keys = canvas.blank()
    at = 1.0
    while at < LOOP_S - 1:
        for _ in range(int(canvas.dice.integers(4, 16))):
            t = canvas.seconds(0.03)
            click = canvas.dice.standard_normal(t.size) * np.exp(-t / 0.004)
            thud = np.sin(2 * np.pi * canvas.dice.uniform(180, 320) * t) * np.exp(-t / 0.008)
            canvas.add(keys, at, canvas.dice.uniform(0.4, 1.0) * (0.6 * click + 0.5 * thud))
            at += canvas.dice.uniform(0.08, 0.26)
        at += canvas.dice.uniform(0.8, 3.0)
    return canvas.shaped(keys, _band(200, 2600)) * float(np.sqrt(np.mean(keys**2)))


def _city(canvas: _Canvas) -> Wave:
    """A street some way off: the rumble of it, and cars that pass."""
    street = canvas.noise(_band(140, 600, tilt=-1.0)) * canvas.swell(3, 0.15)
    passing = canvas.blank()
    t = canvas.seconds(8.0)
    for at in np.arange(0, LOOP_S, LOOP_S / 7):
        width = canvas.dice.uniform(0.7, 1.6)
        bump = canvas.dice.uniform(0.5, 1.2) * np.exp(-(((t - 4) / width) ** 2))
        canvas.add(passing, at + canvas.dice.uniform(-1, 1) + LOOP_S, bump)
    tyres = canvas.noise(_band(250, 1800, tilt=-0.4))
    return street + 0.8 * passing * tyres


def _forest(canvas: _Canvas) -> Wave:
    """Wind in the trees, and birds."""
    wind = canvas.noise(_band(220, 900, tilt=-0.7)) * canvas.swell(2.5, 0.35)
    leaves = canvas.noise(_band(1200, 3200)) * canvas.swell(1.5, 0.45)
    return wind + 0.2 * leaves + 1.0 * _birds(canvas)


def _birds(canvas: _Canvas) -> Wave:
    song = canvas.blank()
    at = 0.6
    while at < LOOP_S:
        pitch, reach = canvas.dice.uniform(1900, 2900), canvas.dice.uniform(-500, 450)
        loud = canvas.dice.uniform(0.25, 1.0)
        for number in range(int(canvas.dice.integers(2, 7))):
            t = canvas.seconds(canvas.dice.uniform(0.05, 0.13))
            sweep = 2 * np.pi * np.cumsum(pitch + reach * np.sin(np.pi * t / t[-1])) / canvas.rate
            canvas.add(song, at + 0.17 * number, loud * np.sin(sweep) * np.sin(np.pi * t / t[-1]) ** 2)
        at += canvas.dice.uniform(1.2, 3.4)
    return song


def _crowded_room(canvas: _Canvas) -> Wave:
    """Many who talk, none who can be understood, in a room that rings."""
    talk = _talking(canvas, _TALKERS)
    t = canvas.seconds(0.45)
    ringing = np.zeros(canvas.size)
    ringing[: t.size] = canvas.dice.standard_normal(t.size) * np.exp(-t / 0.09)
    ringing /= np.sqrt(np.sum(ringing**2))
    room_tone = np.fft.irfft(np.fft.rfft(talk) * np.fft.rfft(ringing), canvas.size)
    return talk + 0.9 * room_tone + 0.25 * canvas.noise(_band(120, 700, tilt=-0.8))


def _talking(canvas: _Canvas, talkers: int) -> Wave:
    """Voices without words: a buzz at each one's pitch, through vowels that change with the syllables."""
    together = canvas.blank()
    for _ in range(talkers):
        buzz = _buzz(canvas)
        voice = canvas.blank()
        for formants in canvas.dice.permutation(_VOWELS)[:3]:
            voice += canvas.shaped(buzz, _mouth(formants)) * _syllables(canvas)
        together += canvas.dice.uniform(0.4, 1.0) * voice
    return np.asarray(together / np.sqrt(np.mean(together**2)))


def _buzz(canvas: _Canvas) -> Wave:
    """A saw at a speaker's wandering pitch, a whole number of its periods round the circle, with some breath."""
    pitch = canvas.dice.uniform(95, 220) * canvas.swell(0.4, 0.1)
    turns = np.cumsum(pitch) / canvas.rate
    turns *= round(float(turns[-1])) / turns[-1]
    return 2 * (turns % 1.0) - 1 + 0.3 * canvas.dice.standard_normal(canvas.size)


def _mouth(formants: NDArray[np.int64]) -> Callable[[Wave], Wave]:
    def spectrum(hertz: Wave) -> Wave:
        peaks = [
            weight / (1 + ((hertz - centre) / width) ** 2)
            for centre, width, weight in zip(formants, (90, 110, 160), (1.0, 0.5, 0.2), strict=True)
        ]
        return np.asarray(sum(peaks) / (1 + (120 / hertz) ** 4))

    return spectrum


def _syllables(canvas: _Canvas) -> Wave:
    """Four or five in a second, in phrases with pauses."""
    loudness = canvas.blank()
    at = canvas.dice.uniform(0, 1)
    while at < LOOP_S:
        for _ in range(int(canvas.dice.integers(2, 7))):
            t = canvas.seconds(canvas.dice.uniform(0.14, 0.3))
            canvas.add(loudness, at, canvas.dice.uniform(0.3, 1.0) * np.sin(np.pi * t / t[-1]) ** 2)
            at += canvas.dice.uniform(0.25, 0.7)
        at += canvas.dice.uniform(0.2, 1.6)
    return loudness


_PAINTERS: Final[dict[str, Callable[[_Canvas], Wave]]] = {
    "office": _office,
    "city": _city,
    "forest": _forest,
    "crowded_room": _crowded_room,
}
