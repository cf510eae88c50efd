import asyncio
import gc
import random
import struct
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import structlog

from sovereign_pbx.core.errors import LinkBroken, LinkFinished
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.recorder import Recorder
from sovereign_pbx.media.recording_writer import RecordingInfo
from sovereign_pbx.media.vad import EnergyDetector
from tests.media.scripted import Diary, ScriptedLink

LOUD = struct.pack("<160h", *([9000, -9000] * 80))
# unlike anything that is played, or it would be taken for an echo of it
CALLER = struct.pack("<160h", *(random.Random(1).randint(-12000, 12000) for _ in range(160)))
HUSH = bytes(320)


class Bench:
    """A clock on virtual time with lines on scripted links."""

    def __init__(self) -> None:
        self.now = 100.0
        self.clock = MediaClock(EnergyDetector(), now=lambda: self.now)

    def line(self, raises: str = "") -> tuple[Line, ScriptedLink, Diary]:
        link, diary = ScriptedLink(), Diary(raises)
        line = Line(link, diary)
        self.clock.add(line)
        return line, link, diary

    def run(self, ticks: int, feed: Callable[[], None] = lambda: None) -> None:
        for _ in range(ticks):
            self.now += 0.02
            feed()
            self.clock.tick(self.now)


def test_the_first_frame_leaves_on_the_tick_after_add_and_then_one_a_tick() -> None:
    bench = Bench()
    _, link, _ = bench.line()
    bench.run(1)
    assert len(link.sent) == 1
    bench.run(9)
    assert len(link.sent) == 10


def test_while_nobody_speaks_the_caller_hears_a_faint_noise_and_never_digital_silence() -> None:
    bench = Bench()
    _, link, _ = bench.line()
    bench.run(200)
    for frame in link.sent:
        samples = struct.unpack("<160h", frame)
        assert 5 < (sum(s * s for s in samples) / 160) ** 0.5 < 40


def test_speech_goes_out_in_its_tick_and_its_beginning_and_end_are_told() -> None:
    bench = Bench()
    line, link, diary = bench.line()
    line.playout.open(4)
    line.playout.add(4, LOUD * 2)
    line.playout.finish(4)
    bench.run(3)
    assert link.sent[:2] == [LOUD, LOUD]
    assert diary.told == [("playout_started", 4), ("playout_finished", 4)]


def test_what_the_caller_says_reaches_the_listener_frame_by_frame() -> None:
    bench = Bench()
    _, link, diary = bench.line()
    bench.run(4, lambda: link.incoming.append(LOUD))
    assert diary.frames == [LOUD] * 4


def test_a_backlog_melts_by_one_frame_a_tick() -> None:
    bench = Bench()
    line, link, diary = bench.line()
    link.incoming.extend([HUSH] * 5)
    bench.run(5, lambda: link.incoming.append(HUSH))
    assert not link.incoming
    assert len(diary.frames) == 10
    bench.run(2)
    assert line.statistics()["ticks_without_input"] == 2


def test_speech_is_told_with_the_time_at_which_it_was_spoken() -> None:
    bench = Bench()
    _, link, diary = bench.line()
    bench.run(50, lambda: link.incoming.append(HUSH))
    began = bench.now
    bench.run(50, lambda: link.incoming.append(LOUD))
    ended = bench.now
    bench.run(50, lambda: link.incoming.append(HUSH))
    (started, start_at), (stopped, stop_at) = diary.told
    assert (started, stopped) == ("speech_started", "speech_stopped")
    assert isinstance(start_at, float) and isinstance(stop_at, float)
    assert abs(start_at - began) <= 0.04
    assert ended - 0.07 <= stop_at <= ended


def test_a_listener_that_pauses_at_the_callers_first_word_silences_that_very_tick() -> None:
    bench = Bench()
    line, link, diary = bench.line()

    class Pausing(Diary):
        def speech_started(self, at: float) -> None:
            super().speech_started(at)
            line.playout.pause()

    line.listener = pausing = Pausing()
    del diary
    line.playout.open(1)
    line.playout.add(1, LOUD * 200)
    bench.run(20, lambda: link.incoming.append(HUSH))
    while not pausing.told or pausing.told[-1][0] != "speech_started":
        bench.run(1, lambda: link.incoming.append(CALLER))
    assert link.sent[-2] == LOUD
    assert link.sent[-1] != LOUD and link.sent[-1][-200:] == bytes(200)
    bench.run(1)
    assert max(struct.unpack("<160h", link.sent[-1])) < 200


@pytest.mark.parametrize("event", ["heard", "speech_started", "playout_started", "playout_finished"])
def test_a_listener_that_raises_ends_its_own_line_and_no_other(event: str) -> None:
    bench = Bench()
    bad, bad_link, bad_diary = bench.line(raises=event)
    good, good_link, good_diary = bench.line()
    for line in (bad, good):
        line.playout.open(1)
        line.playout.add(1, LOUD)
        line.playout.finish(1)

    def feed() -> None:
        bad_link.incoming.append(LOUD)
        good_link.incoming.append(LOUD)

    with structlog.testing.capture_logs() as logs:
        bench.run(20, feed)
    assert bench.clock.lines == (good,)
    assert isinstance(bad.over, LinkBroken)
    assert bad_diary.told[-1] == ("line_ended", "LinkBroken")
    assert bad_link.ended is not None
    assert len(good_link.sent) == 20 and len(good_diary.frames) == 20
    assert [entry["event"] for entry in logs] == ["line_failed"]


def test_a_verdict_on_an_echo_that_fails_ends_its_own_line_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bad, bad_link, _ = bench.line()
    good, good_link, _ = bench.line()

    def singular() -> bool:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(bad._guard_echo, "refuses", singular)
    with structlog.testing.capture_logs() as logs:
        bench.run(20, lambda: bad_link.incoming.append(LOUD))
    assert bench.clock.lines == (good,)
    assert isinstance(bad.over, LinkBroken)
    assert len(good_link.sent) == 20
    assert [entry["event"] for entry in logs] == ["line_failed"]


def test_a_link_that_raises_ends_its_own_line_and_no_other() -> None:
    bench = Bench()
    _, link, diary = bench.line()
    good, good_link, _ = bench.line()

    def broken(frame: bytes) -> None:
        raise OSError("broken")

    link.put = broken  # type: ignore[method-assign]  # the fault under test
    bench.run(3)
    assert bench.clock.lines == (good,)
    assert diary.told == [("line_ended", "LinkBroken")]
    assert len(good_link.sent) == 3


def test_a_listener_that_raises_at_the_end_too_is_let_go_all_the_same() -> None:
    bench = Bench()
    _, link, _ = bench.line(raises="line_ended")
    link.end(LinkFinished("hung up"))
    bench.run(1)
    assert bench.clock.lines == ()


def test_a_link_that_ends_is_told_once_and_leaves_the_clock() -> None:
    bench = Bench()
    _, link, diary = bench.line()
    bench.run(2)
    link.end(LinkFinished("hung up"))
    bench.run(2)
    assert diary.told == [("line_ended", "LinkFinished")]
    assert bench.clock.lines == ()
    assert len(link.sent) == 2


def test_a_link_that_ended_without_telling_is_noticed() -> None:
    bench = Bench()
    _, link, diary = bench.line()
    link.listener = None
    link.end(LinkFinished("hung up"))
    bench.run(1)
    assert diary.told == [("line_ended", "LinkFinished")]


def test_a_line_removed_within_a_tick_gets_no_frame_of_that_tick() -> None:
    bench = Bench()
    line, link, diary = bench.line()

    class Leaving(Diary):
        def heard(self, frame: bytes) -> None:
            bench.clock.remove(line)

    line.listener = Leaving()
    link.incoming.append(HUSH)
    bench.run(3)
    assert link.sent == []
    assert diary.told == []


def test_a_line_added_within_a_tick_is_served_from_the_next_one() -> None:
    bench = Bench()
    line, link, _ = bench.line()
    added: list[ScriptedLink] = []

    class Adding(Diary):
        def heard(self, frame: bytes) -> None:
            added.append(bench.line()[1])

    line.listener = Adding()
    link.incoming.append(HUSH)
    bench.run(1)
    assert added[0].sent == []
    bench.run(1)
    assert len(added[0].sent) == 1


def test_lines_that_come_and_go_leave_no_slot_of_the_detector_behind() -> None:
    detector = EnergyDetector()
    clock = MediaClock(detector, now=lambda: 0.0)
    for _ in range(50):
        line = Line(ScriptedLink(), Diary())
        clock.add(line)
        clock.add(line)
        clock.tick(0.0)
        clock.remove(line)
        clock.remove(line)
    assert detector.statistics()["lines"] == 0


def test_a_held_line_is_not_listened_to_and_speech_in_progress_ends_with_the_hold() -> None:
    bench = Bench()
    line, link, diary = bench.line()
    bench.run(30, lambda: link.incoming.append(HUSH))
    bench.run(20, lambda: link.incoming.append(LOUD))
    line.held = True
    assert [name for name, _ in diary.told] == ["speech_started", "speech_stopped"]
    bench.run(50, lambda: link.incoming.append(LOUD))
    assert len(diary.told) == 2
    line.held = False
    bench.run(20, lambda: link.incoming.append(LOUD))
    assert [name for name, _ in diary.told] == ["speech_started", "speech_stopped", "speech_started"]


def test_digits_are_passed_on() -> None:
    bench = Bench()
    _, link, diary = bench.line()
    assert link.listener is not None
    link.listener.digit("5")
    assert diary.told == [("digit", "5")]


def test_what_a_listener_logs_carries_the_call_in_which_its_line_was_made() -> None:
    bench = Bench()
    seen: list[object] = []

    class Asking(Diary):
        def heard(self, frame: bytes) -> None:
            seen.append(structlog.contextvars.get_contextvars().get("call_id"))

    with structlog.contextvars.bound_contextvars(call_id="abc"):
        line, link, _ = bench.line()
    line.listener = Asking()
    link.incoming.append(HUSH)
    bench.run(1)
    assert seen == ["abc"]


def test_late_by_two_ticks_every_link_gets_the_missed_frames_at_once() -> None:
    bench = Bench()
    _, link, _ = bench.line()
    bench.clock.catch_up(bench.now)
    bench.clock.catch_up(bench.now + 0.065)
    assert len(link.sent) == 4
    assert bench.clock.statistics()["caught_up"] == 2


def test_later_than_that_the_clock_starts_afresh_and_says_so_once_a_second() -> None:
    bench = Bench()
    _, link, _ = bench.line()
    with structlog.testing.capture_logs() as logs:
        bench.clock.catch_up(bench.now)
        for n in range(1, 5):
            bench.clock.catch_up(bench.now + n * 0.2)
    assert len(link.sent) == 5
    assert bench.clock.statistics()["reanchored"] == 4
    assert [entry["event"] for entry in logs] == ["media_clock_late"]


def test_a_recording_keeps_the_time_that_the_clock_gave_up(tmp_path: Path) -> None:
    async def scenario() -> RecordingInfo:
        bench = Bench()
        link, recorder = ScriptedLink(), Recorder(tmp_path / "a.wav", 8000)
        bench.clock.add(Line(link, Diary(), recorder=recorder))
        for at in (0.0, 0.02, 0.04, 1.0, 1.02, 1.04):
            link.incoming.append(LOUD)
            bench.clock.catch_up(bench.now + at)
        return await recorder.close()

    with structlog.testing.capture_logs():
        info = asyncio.run(scenario())
    assert info.duration_s == pytest.approx(1.06, abs=0.021)


def test_the_clock_runs_on_a_real_loop_until_it_is_cancelled() -> None:
    async def scenario() -> tuple[int, dict[str, float]]:
        loop = asyncio.get_running_loop()
        clock = MediaClock(EnergyDetector(), now=loop.time)
        link = ScriptedLink()
        clock.add(Line(link, Diary()))
        ten = asyncio.Event()

        class Counting(Diary):
            def heard(self, frame: bytes) -> None:
                if len(link.sent) >= 10:
                    ten.set()
                link.incoming.append(HUSH)

        clock.lines[0].listener = Counting()
        link.incoming.append(HUSH)
        began = loop.time()
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            running = group.create_task(clock.run())
            await ten.wait()
            running.cancel()
        assert loop.time() - began >= 0.19
        return len(link.sent), clock.statistics()

    sent, statistics = asyncio.run(scenario())
    assert sent >= 10
    assert statistics["ticks"] == sent
    assert statistics["tick_us_p99"] >= statistics["tick_us_median"] > 0


def test_a_fault_of_the_clock_itself_is_not_swallowed() -> None:
    async def scenario() -> None:
        clock = MediaClock(EnergyDetector(), now=asyncio.get_running_loop().time)

        def broken(now: float) -> None:
            raise ZeroDivisionError

        clock.tick = broken  # type: ignore[method-assign]  # the fault under test
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(5):
                await clock.run()

    asyncio.run(scenario())


def test_the_collector_leaves_alone_what_was_loaded_before_the_first_call_as_long_as_there_is_one() -> None:
    bench = Bench()
    first, _, _ = bench.line()
    second, _, _ = bench.line()
    assert gc.get_freeze_count() > 10_000  # pytest and numpy alone are more
    bench.clock.remove(first)
    assert gc.get_freeze_count() > 10_000
    bench.clock.remove(second)
    assert gc.get_freeze_count() == 0


class Circle:
    """Something that only the collector can find."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_hidden_from_the_collector_with_a_first_line_goes_when_the_last_of_many_has_left() -> None:
    bench = Bench()
    gc.disable()
    try:
        left = weakref.ref(Circle())  # of a call that is over
        for number in range(1, 33):
            line, _, _ = bench.line()
            assert left() is not None, f"it costs 70 ms, so not after every line ({number})"
            bench.clock.remove(line)
        assert left() is None
    finally:
        gc.enable()


def test_the_time_that_sweeping_takes_is_no_lateness() -> None:
    bench = Bench()
    clock = bench.clock
    lines = [bench.line()[0] for _ in range(32)]
    clock.catch_up(bench.now)
    bench.now += 0.5  # as if it had taken so long
    for line in lines:
        clock.remove(line)
    clock.catch_up(bench.now + 0.02)
    assert clock.statistics()["late"] == 0
