"""Where a word begins, found by ear."""

import numpy as np
import pytest

from sovereign_pbx.media.dip import word_start

RATE = 8000


def buzz(ms: int, level: int = 8000) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    at = np.arange(ms * RATE // 1000)
    return (level * np.sign(np.sin(2 * np.pi * 120 * at / RATE))).astype(np.int16)


@pytest.mark.parametrize("since_ms", [40, 150, 400])
def test_the_word_begins_behind_the_last_gap(since_ms: int) -> None:
    lately = np.concatenate((buzz(500), buzz(60, 20), buzz(since_ms)))
    assert abs(lately.size - word_start(lately, RATE) - since_ms * 8) <= 160


def test_of_two_gaps_the_nearer_one_counts() -> None:
    lately = np.concatenate((buzz(200), buzz(60, 20), buzz(150), buzz(60, 20), buzz(100)))
    assert abs(lately.size - word_start(lately, RATE) - 800) <= 160


def test_without_a_gap_the_quietest_moment_between_two_syllables_is_taken() -> None:
    lately = np.concatenate((buzz(300), buzz(40, 2000), buzz(120)))
    assert 960 - 80 <= lately.size - word_start(lately, RATE) <= 960 + 320


def test_speech_without_any_dip_goes_on_where_it_was() -> None:
    assert word_start(buzz(600), RATE) == buzz(600).size


def test_in_silence_it_goes_on_where_it_was() -> None:
    lately = np.concatenate((buzz(300), buzz(100, 10)))
    assert word_start(lately, RATE) == lately.size


def test_nothing_played_is_nothing_to_go_back_to() -> None:
    assert word_start(np.zeros(0, np.int16), RATE) == 0
    assert word_start(np.zeros(50, np.int16), RATE) == 50
