"""What callers of other systems complain about on the line itself: choppy, starving, sped-up and never-ending sound."""

import struct

from tests.media.test_clock import HUSH, Bench


def counting(frames: int) -> bytes:
    """Speech in which every 20 ms frame is unlike every other."""
    return b"".join(struct.pack("<160h", *([1000 + number] * 160)) for number in range(frames))


def number_of(frame: bytes) -> int:
    return int(struct.unpack("<160h", frame)[80]) - 1000


def test_a_loop_that_is_late_again_and_again_costs_the_caller_no_sound() -> None:
    """Choppy audio on a clock that re-anchors at every delay: pipecat 3315, 3222, 3092, 2551, 826."""
    bench = Bench()
    line, link, _ = bench.line()
    line.playout.open(1)
    line.playout.add(1, counting(500))
    line.playout.finish(1)
    bench.clock.catch_up(100.0)
    for cycle in range(125):  # 12.5 s in which two ticks of five come with the next one, 35 ms late
        for at in (0.02, 0.04, 0.095, 0.1):
            bench.clock.catch_up(100.0 + cycle * 0.1 + at)
    spoken = [number for frame in link.sent if (number := number_of(frame)) >= 0]
    assert spoken == list(range(500))
    assert len(link.sent) == 626  # 12.5 s of frames in 12.5 s: the stream has not fallen behind the clock


def test_a_reply_that_comes_in_one_burst_is_heard_at_its_own_pace() -> None:
    """Long replies that speed up, or of which only the tail is heard: AVA 13, 128, 183, 279."""
    bench = Bench()
    line, link, _ = bench.line()
    line.playout.open(1)
    line.playout.add(1, counting(1000))
    line.playout.finish(1)
    for tick in range(1, 1001):
        bench.run(1)
        assert len(link.sent) == tick
    assert [number_of(frame) for frame in link.sent] == list(range(1000))


def test_a_reply_that_drips_in_is_neither_repeated_nor_cut() -> None:
    """Each packet restarts the playback, or the gap swallows it: mod_audio_stream 87, Fonoster 725."""
    bench = Bench()
    line, link, _ = bench.line()
    line.playout.open(1)
    frames = counting(50)
    for start in range(0, len(frames), 320):
        line.playout.add(1, frames[start : start + 320])
        bench.run(3)
    line.playout.finish(1)
    bench.run(3)
    assert [number for frame in link.sent if (number := number_of(frame)) >= 0] == list(range(50))


def test_neither_hold_nor_a_pause_nor_a_starving_link_stops_the_frames() -> None:
    """A peer that gets no frames hangs the call up, or freezes: asterisk 234 and 2089, AVA 616."""
    bench = Bench()
    line, link, _ = bench.line()
    bench.run(50)
    line.playout.open(1)
    line.playout.add(1, counting(10))
    line.playout.pause()
    bench.run(50, feed=lambda: link.incoming.append(HUSH))
    line.held = True
    bench.run(50)
    assert len(link.sent) == 150
