import asyncio
import hashlib
import os
import stat
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog

from sovereign_pbx.media.recorder import Recorder
from sovereign_pbx.media.recording_writer import RecordingInfo, RecordingWriter
from sovereign_pbx.media.wav import read_wav

Ticks = list[tuple[bytes | None, bytes]]


def frame(value: int) -> bytes:
    return struct.pack("<h", value) * 160


def record(path: Path, ticks: Sequence[tuple[bytes | None, bytes]], **skips: int) -> RecordingInfo:
    async def scenario() -> RecordingInfo:
        recorder = Recorder(path, 8000)
        for number, (caller, assistant) in enumerate(ticks):
            recorder.write(caller, assistant)
            recorder.skip(skips.get(f"after_{number}", 0))
        return await recorder.close()

    return asyncio.run(scenario())


def test_the_caller_is_on_the_left_and_the_assistant_on_the_right(tmp_path: Path) -> None:
    info = record(tmp_path / "a.wav", [(frame(n), frame(-n)) for n in range(100)])
    rate, (left, right) = read_wav(info.path)
    assert rate == 8000
    assert (left == np.repeat(np.arange(100), 160)).all()
    assert (right == -np.repeat(np.arange(100), 160)).all()


def test_the_info_tells_length_size_and_sum_of_the_very_file(tmp_path: Path) -> None:
    info = record(tmp_path / "deep" / "er" / "a.wav", [(frame(1), frame(2))] * 75)
    content = info.path.read_bytes()
    assert info.duration_s == 1.5
    assert info.bytes == len(content) == 44 + 75 * 640
    assert info.sha256 == hashlib.sha256(content).hexdigest()
    assert info.error == ""


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    path.chmod(0o644)
    record(path, [(frame(1), frame(2))])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "a.wav").symlink_to(tmp_path / "victim")
    with structlog.testing.capture_logs() as logs:
        info = record(tmp_path / "a.wav", [(frame(1), frame(2))])
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert info.error and [entry["event"] for entry in logs] == ["recording_stopped"]


def test_frames_that_come_a_little_late_or_in_pairs_leave_no_hole(tmp_path: Path) -> None:
    ticks: Ticks = [(None, frame(9)), (frame(1) + frame(2), frame(9))]
    ticks += [(None, frame(9)), (frame(3) + frame(4), frame(9))]
    info = record(tmp_path / "a.wav", ticks)
    left = read_wav(info.path)[1][0]
    assert left[::160].tolist() == [1, 2, 3, 4]


def test_a_caller_who_sends_nothing_is_silence_and_the_axis_goes_on(tmp_path: Path) -> None:
    ticks: Ticks = [(None, frame(9))] * 50
    ticks += [(frame(5), frame(9))] * 10
    info = record(tmp_path / "a.wav", ticks)
    left, right = read_wav(info.path)[1]
    first = int(np.flatnonzero(left)[0])
    assert abs(first - 50 * 160) <= 3 * 160
    assert right.size == left.size == 60 * 160


def test_ticks_that_the_clock_gave_up_are_silence_on_both_sides(tmp_path: Path) -> None:
    info = record(tmp_path / "a.wav", [(frame(1), frame(2))] * 3, after_1=10)
    left, right = read_wav(info.path)[1]
    assert left[::160].tolist() == [1, 1] + [0] * 10 + [1]
    assert right[::160].tolist() == [2, 2] + [0] * 10 + [2]


def test_a_backlog_that_arrives_at_once_does_not_shift_the_rest(tmp_path: Path) -> None:
    ticks: Ticks = [(frame(1) * 20, frame(9)), *[(frame(2), frame(9))] * 50]
    left, right = read_wav(record(tmp_path / "a.wav", ticks).path)[1]
    assert left.size == right.size
    assert int(np.flatnonzero(left == 2)[0]) <= 7 * 160


def test_a_path_that_cannot_be_written_stops_the_recording_and_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with structlog.testing.capture_logs() as logs:
        info = record(tmp_path / "file" / "a.wav", [(frame(1), frame(2))] * 200)
    assert info.error == "File exists" and info.sha256 == ""
    assert [entry["event"] for entry in logs] == ["recording_stopped"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_stops_the_recording_and_not_the_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sovereign_pbx.media.recording_file._create", lambda path: os.open("/dev/full", os.O_WRONLY))
    before = len(os.listdir("/proc/self/fd"))
    with structlog.testing.capture_logs() as logs:
        info = record(tmp_path / "a.wav", [(frame(1), frame(2))] * 10)
    assert info.error == "No space left on device"
    assert [entry["event"] for entry in logs] == ["recording_stopped"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_never_answers_stops_the_recording_before_memory_runs_out(tmp_path: Path) -> None:
    class Dead(RecordingWriter):
        def register(self, recording: object) -> None: ...

    recorder = Recorder(tmp_path / "a.wav", 8000, writer=Dead())
    with structlog.testing.capture_logs() as logs:
        for _ in range(3000):
            recorder.write(frame(1), frame(2))
    assert recorder.error
    assert [entry["event"] for entry in logs] == ["recording_stopped"]


def test_a_daemon_that_is_killed_leaves_a_file_that_plays(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    program = f"""
        import pathlib, sys, time
        from sovereign_pbx.media.recorder import Recorder
        from sovereign_pbx.media.recording_writer import RecordingWriter
        recorder = Recorder(pathlib.Path({str(path)!r}), 8000, writer=RecordingWriter(0.05))
        while True:
            recorder.write(b"\\1\\0" * 160, b"\\2\\0" * 160)
            time.sleep(0.002)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (path.exists() and path.stat().st_size > 20000):
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait(10)
    rate, (left, right) = read_wav(path)
    assert rate == 8000 and left.size > 4000
    assert (left == 1).all() and (right == 2).all()


def test_the_writers_thread_ends_with_the_last_recording(tmp_path: Path) -> None:
    writer = RecordingWriter(0.01)

    async def scenario() -> None:
        recorders = [Recorder(tmp_path / f"{n}.wav", 8000, writer=writer) for n in range(5)]
        for recorder in recorders:
            recorder.write(frame(1), frame(2))
        await asyncio.gather(*(recorder.close() for recorder in recorders))

    for _ in range(2):
        asyncio.run(scenario())
    deadline = time.monotonic() + 10
    while writer.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not writer.running


def test_one_recordings_error_does_not_stop_the_others(tmp_path: Path) -> None:
    writer = RecordingWriter(0.01)

    class Broken:
        def flush(self) -> None:
            raise RuntimeError("broken")

        def finish(self) -> RecordingInfo:
            raise RuntimeError("broken")

    async def scenario() -> RecordingInfo:
        broken = Broken()
        writer.register(broken)
        recorder = Recorder(tmp_path / "a.wav", 8000, writer=writer)
        recorder.write(frame(1), frame(2))
        writer.seal(broken, lambda info: None)
        return await recorder.close()

    with structlog.testing.capture_logs():
        assert asyncio.run(scenario()).bytes == 44 + 640
