"""Where speech can be stopped without cutting into a sound."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sovereign_pbx.media.dip import next_dip

RATE = 8000


def buzz(ms: int, level: int = 8000) -> NDArray[np.int16]:
    at = np.arange(ms * RATE // 1000)
    return (level * np.sign(np.sin(2 * np.pi * 120 * at / RATE))).astype(np.int16)


@pytest.mark.parametrize("after_ms", [5, 20, 45])
def test_the_first_dip_is_found(after_ms: int) -> None:
    coming = np.concatenate((buzz(after_ms), buzz(20, 200), buzz(10), buzz(10, 10)))
    assert abs(next_dip(buzz(400), coming, RATE) - after_ms * 8) <= 40


def test_where_nothing_dips_there_is_none() -> None:
    assert next_dip(buzz(400), buzz(60), RATE) == 0
    assert next_dip(buzz(400), buzz(60, 4000), RATE) == 0


def test_in_a_dip_there_is_nothing_to_go_on_to() -> None:
    assert next_dip(buzz(400), np.concatenate((buzz(20, 20), buzz(40))), RATE) == 0


def test_silence_has_no_dips() -> None:
    assert next_dip(buzz(400, 5), np.zeros(480, np.int16), RATE) == 0


def test_nothing_played_or_nothing_coming_is_no_dip() -> None:
    nothing = np.zeros(0, np.int16)
    assert next_dip(nothing, buzz(60), RATE) == 0
    assert next_dip(buzz(60), nothing, RATE) == 0
