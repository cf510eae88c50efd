import numpy as np
import pytest

from sovereign_pbx.core.audio import frame_samples
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.vad import EnergyDetector
from tests.media.scripted import Diary, ScriptedLink


def spoken(rate: int, seconds: float) -> tuple[Line, np.ndarray]:
    link = ScriptedLink(rate)
    line = Line(link, Diary())
    clock = MediaClock(EnergyDetector(), now=lambda: 0.0)
    clock.add(line)
    at = np.arange(int(rate * seconds)) / rate
    tone = np.rint(16000 * np.sin(2 * np.pi * 440 * at)).astype("<i2")
    size = frame_samples(rate)
    for start in range(0, tone.size, size):
        link.incoming.append(tone[start : start + size].tobytes())
        clock.tick(start / rate)
    return line, tone


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_recent_audio_is_the_last_that_was_heard_at_16_khz_between_minus_one_and_one(rate: int) -> None:
    line, _ = spoken(rate, 2.0)
    recent = line.recent(0.5)()
    assert recent.dtype == np.float32 and recent.shape == (8000,)
    expected = 16000 / 32768 * np.sin(2 * np.pi * 440 * (np.arange(8000) / 16000 + 1.5))
    best = max(np.corrcoef(recent[200 + lag : -200], expected[200 : -200 - lag])[0, 1] for lag in range(40))
    assert best > 0.999
    assert abs(recent[500:-500]).max() == pytest.approx(16000 / 32768, rel=0.01)


def test_recent_audio_is_never_more_than_was_heard_nor_than_eight_seconds() -> None:
    line, _ = spoken(8000, 1.0)
    assert line.recent(5.0)().size == 16000
    assert line.recent(0.0)().size == 0
    line, _ = spoken(8000, 9.0)
    assert line.recent(60.0)().size == 8 * 16000


def test_nothing_heard_yet_is_no_audio() -> None:
    for rate in (8000, 16000):
        assert Line(ScriptedLink(rate), Diary()).recent(8.0)().size == 0


def test_close_ends_the_link_and_tells_the_listener_once() -> None:
    link, diary = ScriptedLink(), Diary()
    line = Line(link, diary)
    line.close()
    line.close()
    assert link.ended is not None
    assert diary.told == [("line_ended", "LinkClosed")]


def test_statistics_join_those_of_the_link_and_of_the_playout() -> None:
    line, _ = spoken(8000, 1.0)
    statistics = line.statistics()
    assert statistics["ticks"] == 50
    assert statistics["heard_s"] == 1.0
    assert statistics["link_frames_out"] == 50
    assert statistics["playout_underruns"] == 0


def test_speech_that_is_cut_is_cut_in_the_pbx_too() -> None:
    class Keeping(ScriptedLink):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    first, second = Keeping(), Keeping()
    line = Line(first, Diary())
    line.playout.open(1)
    line.playout.flush()
    Line(second, Diary(), playout=line.playout).playout.flush()  # the caller is back on another link
    assert (first.flushed, second.flushed) == (1, 1)
