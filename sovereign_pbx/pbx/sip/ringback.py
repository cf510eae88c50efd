"""What a caller hears while somebody is rung for him: the tone of a telephone that rings, in its cadence."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np

from sovereign_pbx.core.audio import FRAME_S, frame_samples
from sovereign_pbx.media.comfort import ComfortNoise

# ITU-T E.180 supplement 2: 425 Hz, one second of every five, is what most of Europe and much of the world has.
TONE_HZ: Final = 425
TONE_S: Final = 1.0
PAUSE_S: Final = 4.0
_LEVEL_DBM0: Final = -20.0
_FULL_SCALE_SINE_DBM0: Final = 3.14  # G.711
_RAMP_S: Final = 0.005  # without it each tone begins and ends with a click


@lru_cache(maxsize=4)
def _tone(rate: int) -> tuple[bytes, ...]:
    samples = round(TONE_S * rate)
    amplitude = 32767 * 10 ** ((_LEVEL_DBM0 - _FULL_SCALE_SINE_DBM0) / 20)
    wave = np.sin(2 * np.pi * TONE_HZ / rate * np.arange(samples)) * amplitude
    ramp = np.linspace(0, 1, round(_RAMP_S * rate))
    wave[: len(ramp)] *= ramp
    wave[-len(ramp) :] *= ramp[::-1]
    rows = np.rint(wave).astype("<i2").reshape(-1, frame_samples(rate))
    return tuple(row.tobytes() for row in rows)


def ringing(rate: int) -> Iterator[bytes]:
    """Frames of 20 ms at `rate` Hz, for ever: the tone first."""
    tone, noise = _tone(rate), ComfortNoise(rate)
    while True:
        yield from tone
        for _ in range(round(PAUSE_S / FRAME_S)):
            yield noise.next_frame()


def quiet(rate: int) -> Iterator[bytes]:
    """Comfort noise, for ever."""
    noise = ComfortNoise(rate)
    while True:
        yield noise.next_frame()
