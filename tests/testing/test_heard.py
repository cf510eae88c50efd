"""What can be measured from the frames that arrived."""

import pytest

from sovereign_pbx.testing.heard import Heard
from tests.testing.signals import tone

LOUD = tone(0.02)
QUIET = bytes(320)


def heard(*frames: tuple[float, bytes], keep_audio: bool = True) -> Heard:
    result = Heard(keep_audio=keep_audio)
    for at, pcm in frames:
        result.add(at, pcm)
    return result


def steady(count: int, pcm: bytes = QUIET, start: float = 100.0) -> list[tuple[float, bytes]]:
    return [(start + 0.02 * number, pcm) for number in range(count)]


def test_a_steady_stream_has_no_burst_no_hole_and_a_ratio_of_one() -> None:
    result = heard(*steady(500))
    assert result.burst() == 1
    assert result.hole_s() == pytest.approx(0.02)
    assert result.real_time_ratio() == pytest.approx(1.0)
    assert result.duration_s() == pytest.approx(10.0)
    assert (result.frames, result.first_at) == (500, 100.0)
    assert result.last_at == pytest.approx(109.98)


def test_frames_sent_at_once_are_a_burst() -> None:
    assert heard(*steady(10), *[(101.0 + 0.001 * n, QUIET) for n in range(5)]).burst() == 5


def test_a_stream_at_half_speed_has_half_the_ratio() -> None:
    assert heard(*[(0.04 * n, QUIET) for n in range(100)]).real_time_ratio() == pytest.approx(0.5)


def test_a_missing_half_second_is_a_hole() -> None:
    assert heard(*steady(10), *steady(10, start=100.7)).hole_s() == pytest.approx(0.52)


def test_speech_is_found_where_it_was_heard() -> None:
    (sound,) = heard(*steady(50), *steady(25, LOUD, 101.0), *steady(50, start=101.5)).sounds()
    assert sound.start == pytest.approx(101.0)
    assert sound.end == pytest.approx(101.5)


def test_a_pause_between_words_does_not_end_the_speech() -> None:
    frames = [*steady(10, LOUD), *steady(10, start=100.2), *steady(10, LOUD, 100.4)]
    assert len(heard(*frames).sounds()) == 1
    assert len(heard(*frames).sounds(join_s=0.1)) == 2


def test_silence_holds_no_speech() -> None:
    assert heard(*steady(100)).sounds() == []
    assert heard().sounds() == []


def test_audio_that_comes_too_early_is_heard_when_its_turn_has_come() -> None:
    burst = [(100.0, LOUD), *[(100.0, QUIET)] * 49, (100.0, LOUD)]
    assert [round(sound.start, 3) for sound in heard(*burst).sounds()] == [100.0, 101.0]


def test_a_recording_puts_silence_where_frames_were_missing() -> None:
    pcm = heard((100.0, LOUD), (100.5, LOUD)).recording(origin=99.9)
    assert len(pcm) == (4800 + 160) * 2
    assert pcm[1600:1920] == LOUD
    assert pcm[9600:] == LOUD
    assert not any(pcm[1920:9600])


def test_a_frame_late_by_jitter_joins_on() -> None:
    assert heard((100.0, LOUD), (100.025, LOUD), (100.04, LOUD)).recording() == LOUD * 3


def test_levels_alone_find_the_same_speech() -> None:
    frames = [*steady(200), *steady(25, LOUD, 104.0), *steady(200, start=104.5)]
    assert heard(*frames, keep_audio=False).sounds() == heard(*frames).sounds()


def test_nothing_heard_is_nothing_measured() -> None:
    result = heard()
    assert (result.frames, result.burst(), result.hole_s(), result.real_time_ratio()) == (0, 0, 0.0, 0.0)
    assert result.recording() == b""
