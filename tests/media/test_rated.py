"""A link at another rate than its call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import LinkFinished
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.rated import at_rate, call_rate
from tests.media.scripted import Diary, ScriptedLink


def tone(rate: int, seconds: float, hertz: float = 440.0) -> bytes:
    at = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes()


def pitch(pcm: bytes, rate: int) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / samples.size)


def test_a_link_of_the_calls_own_rate_is_left_alone() -> None:
    link = ScriptedLink(16000)
    assert at_rate(link, 16000) is link


@pytest.mark.parametrize(("linked", "called"), [(8000, 16000), (16000, 8000), (48000, 16000), (24000, 16000)])
def test_both_ways_frames_stay_whole_and_sound_stays_what_it_was(linked: int, called: int) -> None:
    link = ScriptedLink(linked)
    rated = at_rate(link, called)
    pcm, size = tone(linked, 1.0), frame_bytes(linked)
    link.incoming.extend(pcm[at : at + size] for at in range(0, len(pcm), size))
    heard = [rated.take() for _ in range(50)]
    assert {len(frame) for frame in heard if frame is not None} == {frame_bytes(called)}
    assert pitch(b"".join(frame or b"" for frame in heard), called) == pytest.approx(440, abs=1)
    assert rated.take() is None
    pcm, size = tone(called, 1.0), frame_bytes(called)
    for at in range(0, len(pcm), size):
        rated.put(pcm[at : at + size])
    assert pitch(b"".join(link.sent), linked) == pytest.approx(440, abs=1)  # and the link refuses frames that are odd


def test_a_line_on_it_hears_of_digits_and_of_its_end() -> None:
    link, diary = ScriptedLink(8000), Diary()
    line = Line(at_rate(link, 16000), diary)
    line.digit("5")
    link.end(LinkFinished("gone"))
    assert diary.told == [("digit", "5"), ("line_ended", "LinkFinished")]
    assert isinstance(line.link.ended, LinkFinished)


def test_closing_it_closes_the_link() -> None:
    link = ScriptedLink(8000)
    at_rate(link, 16000).close()
    assert link.ended is not None


@given(st.sampled_from([8000, 11025, 12000, 16000, 24000, 32000, 44100, 48000]))
def test_a_call_is_held_at_the_telephones_rate_or_at_wideband(rate: int) -> None:
    assert call_rate(rate) == (16000 if rate >= 16000 else 8000)
