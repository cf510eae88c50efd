"""The beep of a mailbox through a telephone line, and everything that is none. Fixed seeds, synthesised sound."""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import sovereign_pbx.testing
from sovereign_pbx.media.beep import BeepDetector, Tone
from sovereign_pbx.media.resample import resample
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm

RATE, FRAME = 8000, 160
Sound = NDArray[np.float64]
Hertz = float | tuple[float, float]
LEVELS = (-40, -25, -5)
RATIOS = (20, 10)
# 1100 Hz for half a second is a fax machine, and what networks have for themselves is told apart below
BEEPS: Sequence[Hertz] = (500, 620, 700, 853, 950, 1000, 1062, 1250, 1400, 1600, 1777, 2000, 2100)
SOUNDS = Path(sovereign_pbx.testing.__file__).parent / "sounds"


def tone(hertz: Hertz, seconds: float, level_db: float = -20.0) -> Sound:
    """A tone with edges of 5 ms; 0 Hz is silence."""
    time = np.arange(round(seconds * RATE)) / RATE
    parts = hertz if isinstance(hertz, tuple) else (hertz,)
    sound = sum((np.sin(2 * np.pi * hz * time + hz) for hz in parts), np.zeros(len(time))) / len(parts)
    edge = np.minimum(1.0, np.arange(len(time)) / 40)
    return np.asarray(sound * edge * edge[::-1] * 10 ** (level_db / 20))


def glide(low: float, high: float, seconds: float) -> Sound:
    hertz = np.linspace(low, high, round(seconds * RATE))
    return np.asarray(np.sin(2 * np.pi * np.cumsum(hertz) / RATE) * 0.1)


def line(*sounds: Sound, noise_db: float = -50.0, lead: int = 4000, seed: int = 1) -> list[tuple[float, Tone]]:
    """What is found, each with the time at which it is known, when `sounds` come in a row on a µ-law line."""
    whole = np.concatenate([np.zeros(lead), *sounds, np.zeros(RATE)])
    noise = np.random.default_rng(seed).normal(0, 10 ** (noise_db / 20) / np.sqrt(2), len(whole))
    pcm = (np.clip(whole + noise, -1, 1) * 32767).astype("<i2")
    coded = np.frombuffer(ulaw_to_pcm(pcm_to_ulaw(pcm.tobytes())), "<i2")
    return heard(coded)


def heard(samples: NDArray[np.int16], rate: int = RATE) -> list[tuple[float, Tone]]:
    detector, size = BeepDetector(rate), rate // 50
    found = []
    for at in range(0, len(samples) - size + 1, size):
        one = detector.feed(samples[at : at + size])
        if one is not None:
            found.append(((at + size) / rate, one))
    return found


def kinds(found: list[tuple[float, Tone]]) -> list[str]:
    return [one.kind for _, one in found]


# what is one


@pytest.mark.parametrize("ratio_db", RATIOS)
@pytest.mark.parametrize("level_db", LEVELS)
def test_a_beep_is_known_within_a_tenth_of_a_second_of_its_end(level_db: float, ratio_db: float) -> None:
    for number, hertz in enumerate(BEEPS):
        for seconds in (0.2, 0.4, 1.0):
            lead = 4000 + 13 * number
            found = line(tone(hertz, seconds, level_db), noise_db=level_db - ratio_db, lead=lead, seed=number)
            end = lead / RATE + seconds
            assert kinds(found) == ["beep"], (hertz, seconds)
            known_at, beep = found[0]
            assert 0.0 < known_at - end <= 0.11, (hertz, seconds, known_at - end)
            assert abs(known_at - beep.ago_s - end) <= 0.03
            assert abs(beep.seconds - seconds) <= 0.05
            assert abs(beep.hz - (hertz if isinstance(hertz, int | float) else min(hertz))) <= 5


@pytest.mark.parametrize("hertz", [700, 1000, 1400, 2000])
def test_a_tenth_of_a_second_is_enough_where_voices_are_not(hertz: float) -> None:
    assert kinds(line(tone(hertz, 0.12))) == ["beep"]


@pytest.mark.parametrize("pair", [(700.0, 900.0), (1000.0, 1500.0), (600.0, 1200.0)])
def test_two_tones_at_once_are_a_beep_too(pair: tuple[float, float]) -> None:
    assert kinds(line(tone(pair, 0.4))) == ["beep"]


@pytest.mark.parametrize(("low", "high", "seconds"), [(800, 1100, 0.3), (1500, 1200, 0.25), (900, 1000, 0.15)])
def test_a_short_glide_is_a_beep_too(low: float, high: float, seconds: float) -> None:
    assert kinds(line(glide(low, high, seconds))) == ["beep"]


def test_a_deep_beep_is_known_once_it_is_sure_that_it_does_not_come_in_a_rhythm() -> None:
    ((known_at, beep),) = line(tone(425, 0.4))
    assert beep.kind == "beep"
    assert 0.5 < known_at - 0.9 < 0.8


def test_the_end_is_told_and_not_the_middle() -> None:
    ((known_at, beep),) = line(tone(1000, 2.0))
    assert abs(known_at - beep.ago_s - 2.5) <= 0.03


def wideband(*sounds: Sound) -> list[tuple[float, Tone]]:
    """The same on a line of 16 kHz, with noise up to 8."""
    whole = np.concatenate([np.zeros(4000), *sounds, np.zeros(RATE)])
    up = resample((whole * 32767).astype("<i2").tobytes(), RATE, 2 * RATE)
    samples = np.frombuffer(up, "<i2") + np.random.default_rng(1).normal(0, 60, 2 * len(whole))
    return heard(samples.astype(np.int16), 2 * RATE)


@pytest.mark.parametrize("hertz", [500, 1000, 2000, (700.0, 900.0)])
def test_on_a_wideband_line_a_beep_is_known_at_the_same_time(hertz: Hertz) -> None:
    ((known_at, beep),) = wideband(tone(hertz, 0.4))
    ((expected_at, expected),) = line(tone(hertz, 0.4))
    assert beep.kind == expected.kind
    assert beep.seconds == pytest.approx(expected.seconds, abs=0.03)
    assert known_at == pytest.approx(expected_at, abs=0.021)
    assert beep.hz == pytest.approx(expected.hz, abs=3)


def test_on_a_wideband_line_other_tones_have_their_names_too() -> None:
    assert kinds(wideband(*(tone(hertz, 0.33) for hertz in (950, 1400, 1800)))) == ["not_in_service"]
    assert kinds(wideband(tone(1100, 0.5))) == ["fax"]


# what is something else with a name


@pytest.mark.parametrize(
    "tones",
    [
        [(950, 0.33), (1400, 0.33), (1800, 0.33)],
        [(914, 0.274), (1371, 0.274), (1777, 0.38)],
        [(985, 0.38), (1429, 0.38), (1777, 0.38)],
        [(950, 0.33), (0, 0.03), (1400, 0.33), (0, 0.03), (1780, 0.33)],
    ],
)
def test_three_rising_tones_say_that_a_number_is_not_in_service(tones: list[tuple[float, float]]) -> None:
    assert kinds(line(*(tone(hertz, seconds) for hertz, seconds in tones))) == ["not_in_service"]


def test_a_fax_machine_that_calls_is_known_by_its_tone() -> None:
    assert kinds(line(tone(1100, 0.5))) == ["fax"]


def test_a_fax_machine_that_answers_is_known_while_it_does() -> None:
    ((known_at, found),) = line(tone(2100, 3.0))
    assert found.kind == "fax"
    assert known_at < 2.5


# what is nothing


@pytest.mark.parametrize("row", [697, 770, 852, 941])
@pytest.mark.parametrize("column", [1209, 1336, 1477, 1633])
def test_keys_are_no_beeps(row: float, column: float) -> None:
    assert line(tone((row, column), 0.1), tone(0, 0.1), tone((row, column), 0.25)) == []


@pytest.mark.parametrize(
    ("hertz", "on", "off", "times"),
    [
        (425, 1.0, 4.0, 2),  # ringing in most of the world
        (425, 0.5, 0.5, 5),  # busy
        (425, 0.25, 0.25, 6),  # congestion
        (400, 0.375, 0.375, 4),  # busy in the United Kingdom
        ((440, 480), 2.0, 4.0, 1),  # ringing in North America
        ((480, 620), 0.5, 0.5, 4),
        ((400, 450), 0.4, 0.2, 4),
        ((350, 440), 3.0, 0.0, 1),  # to be dialled on
    ],
)
def test_what_networks_play_is_no_beep(hertz: Hertz, on: float, off: float, times: int) -> None:
    assert line(*[part for _ in range(times) for part in (tone(hertz, on), tone(0, off))]) == []


def test_noise_and_silence_are_no_beeps() -> None:
    assert line(noise_db=-10.0) == line(noise_db=-60.0) == []


def test_a_note_that_fades_is_no_beep() -> None:
    note = tone(620, 0.8) * np.linspace(1, 0, round(0.8 * RATE)) ** 2
    assert line(note, note, note) == []


def test_a_short_tone_in_the_middle_of_sound_is_no_beep() -> None:
    sound = np.random.default_rng(7).normal(0, 0.07, 4000)
    assert line(sound, tone(700, 0.12)) == []
    assert kinds(line(sound, tone(0, 0.1), tone(700, 0.12))) == ["beep"]


def test_notes_in_a_row_are_no_beeps_until_they_end() -> None:
    melody = [tone(hertz, 0.25) for hertz in (660, 740, 880, 740)] * 3
    assert len(line(*melody)) <= 1


@pytest.mark.parametrize("name", ["question", "interruption"])
def test_speech_is_no_beep(name: str) -> None:
    with wave.open(str(SOUNDS / f"{name}.wav")) as file:
        assert heard(np.frombuffer(file.readframes(file.getnframes()), "<i2")) == []


def test_the_beep_behind_speech_is_one() -> None:
    with wave.open(str(SOUNDS / "question.wav")) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    assert kinds(line(speech, tone(0, 0.4), tone(1000, 0.4))) == ["beep"]


def test_a_tone_without_end_is_not_remembered_without_end() -> None:
    detector = BeepDetector()
    frames = (tone(1000, 60.0) * 32767).astype(np.int16).reshape(-1, FRAME)
    assert [one for frame in frames if (one := detector.feed(frame))] == []
    assert detector._run is not None
    assert len(detector._run.hz) < 200
