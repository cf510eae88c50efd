"""A room behind the voice."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sovereign_pbx.media.background import DUCK, FADE_S, Background, loop
from sovereign_pbx.media.levels import dbfs, samples_of, window_dbfs
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.rooms import CLIPS, LOOP_S, room
from tests.media.scripted import Diary, ScriptedLink

RATE = 8000
FRAMES = int(FADE_S / 0.02)


def faded(clip: str = "office", volume: float = 0.3) -> Background:
    background = Background(loop(clip, volume, RATE), RATE)
    for _ in range(FRAMES):
        background.mix(None)
    return background


def speech(level: float = 3000.0) -> bytes:
    return (np.sin(np.arange(160) / 3) * level).astype("<i2").tobytes()


def played(background: Background, frames: int, said: bytes | None = None) -> NDArray[np.int16]:
    return samples_of(b"".join(background.mix(said) for _ in range(frames)))


@pytest.mark.parametrize("clip", CLIPS)
def test_a_clip_at_the_usual_volume_lies_at_minus_forty_decibels(clip: str) -> None:
    samples = loop(clip, 0.3, RATE).rows.reshape(-1)
    assert samples.size == LOOP_S * RATE
    assert dbfs(samples) == pytest.approx(-40.0, abs=0.3)
    assert np.abs(samples).max() < 4500  # -17 dBFS: no key stroke makes anybody jump


@pytest.mark.parametrize("clip", CLIPS)
def test_a_loop_has_no_seam(clip: str) -> None:
    wave = room(clip, RATE)
    steps = np.abs(np.diff(wave))
    assert abs(wave[0] - wave[-1]) <= np.percentile(steps, 99.9)
    border = samples_of((np.concatenate([wave[-RATE:], wave[:RATE]]) * 1000).astype("<i2").tobytes())
    level = window_dbfs(border, RATE, 250)
    assert abs(float(level[:4].mean() - level[4:].mean())) < 6


def test_no_clip_ever_falls_silent() -> None:
    for clip in CLIPS:
        assert window_dbfs(loop(clip, 0.3, RATE).rows.reshape(-1), RATE, 100).min() > -52


def test_clips_differ_and_are_the_same_every_time() -> None:
    assert len({room(clip, RATE)[:100].tobytes() for clip in CLIPS}) == len(CLIPS)
    assert (room("city", RATE) == room("city", RATE)).all()


def test_louder_is_louder_by_as_much() -> None:
    assert dbfs(loop("city", 1.0, RATE).rows.reshape(-1)) == pytest.approx(-29.5, abs=0.5)
    assert dbfs(loop("city", 0.05, RATE).rows.reshape(-1)) == pytest.approx(-55.5, abs=0.5)


def test_it_fades_in_with_equal_power() -> None:
    rise = played(Background(loop("city", 1.0, RATE), RATE), FRAMES)
    level = window_dbfs(rise, RATE, 100)
    assert abs(int(rise[0])) <= 1
    assert level[0] < level[-1] - 15
    half = dbfs(rise[int(0.45 * RATE) : int(0.55 * RATE)])
    assert half == pytest.approx(dbfs(rise[int(0.9 * RATE) :]) - 3, abs=2.5)


def test_it_never_stops_and_gives_way_a_little_under_speech() -> None:
    background = faded("city")
    quiet = bytes(320)
    alone, under, again = played(background, 50), played(background, 50, quiet), played(background, 50)
    assert dbfs(under) == pytest.approx((dbfs(alone) + dbfs(again)) / 2 + 20 * np.log10(DUCK), abs=2.0)
    usual = np.percentile(np.abs(np.diff(loop("city", 0.3, RATE).rows.reshape(-1).astype(int))), 99.9)
    for before, after in ((alone, under), (under, again)):
        assert abs(int(after[0]) - int(before[-1])) <= usual  # no click where it gives way
        assert np.abs(np.diff(after[:160].astype(int))).max() <= 1.5 * usual


def test_speech_stays_what_it_was() -> None:
    background, other = faded(), Background(loop("office", 0.3, RATE), RATE)
    other._at, other._faded, other._gain = background._at, FRAMES, 1.0
    said = samples_of(speech()).astype(int)
    behind = [samples_of(other.mix(bytes(320))).astype(int) for _ in range(5)]
    mixed = [samples_of(background.mix(speech())).astype(int) for _ in range(5)]
    assert all((one == said + two).all() for one, two in zip(mixed, behind, strict=True))


def test_what_is_too_loud_together_is_limited_not_wrapped() -> None:
    loud = np.full(160, 32767, dtype="<i2").tobytes()
    mixed = played(faded("crowded_room", 1.0), 100, loud)
    assert mixed.min() > 30000 - 9000
    low = played(faded("crowded_room", 1.0), 100, np.full(160, -32768, dtype="<i2").tobytes())
    assert low.max() < 0


def test_two_calls_do_not_begin_at_the_same_place() -> None:
    assert played(faded(), 5).tobytes() != played(faded(), 5).tobytes()


def test_a_line_with_a_room_sends_it_instead_of_comfort_noise_and_records_it() -> None:
    link, listener = ScriptedLink(RATE), Diary()
    line = Line(link, listener)
    line.background = faded("city")
    for _ in range(20):
        line.take()
        line.put()
    assert dbfs(b"".join(link.sent)) == pytest.approx(-40, abs=4)
