"""A recording is evidence: what was said when. Noise is sent at known times and looked for in the file."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.media.age import opened
from sovereign_pbx.media.age_keys import new_secret_key, public_key_of
from sovereign_pbx.media.recorder import Recorder
from sovereign_pbx.media.recording_writer import RecordingInfo
from sovereign_pbx.media.wav import read_wav

RATE = 8000
FRAME = 160
Sound = NDArray[np.int16]


def noise(seconds: float, seed: int) -> Sound:
    return np.random.default_rng(seed).integers(-8000, 8000, int(seconds * RATE)).astype(np.int16)


class Ticking:
    """Drives a recorder as a line does, on a clock of its own."""

    def __init__(self, path: Path, **how: object) -> None:
        self.now = 1000.0
        self.recorder = Recorder(path, RATE, now=lambda: self.now, **how)  # type: ignore[arg-type]  # one keyword

    def play(self, caller: Sound, assistant: Sound, *, arrives: Callable[[int], bool] = lambda tick: True) -> None:
        """Both speak; `arrives`: whether the caller's frame came in that tick (else with the next one that does)."""
        waiting = b""
        for tick in range(len(assistant) // FRAME):
            part = slice(tick * FRAME, (tick + 1) * FRAME)
            waiting += caller[part].tobytes()
            came, waiting = (waiting, b"") if arrives(tick) else (None, waiting)
            self.recorder.write(came, assistant[part].tobytes())
            self.now += 0.02

    def away(self, seconds: float) -> None:
        self.now += seconds


def found_at(signal: Sound, channel: Sound) -> int:
    """The sample of `channel` at which `signal` begins, where it fits best."""
    size = 1 << (len(signal) + len(channel)).bit_length()
    product = np.fft.rfft(channel.astype(float), size) * np.conj(np.fft.rfft(signal.astype(float), size))
    return int(np.argmax(np.fft.irfft(product, size)[: len(channel)]))


def finished(line: Ticking) -> RecordingInfo:
    return asyncio.run(line.recorder.close())


def read(line: Ticking) -> tuple[Sound, Sound]:
    info = finished(line)
    assert not info.error
    left, right = read_wav(info.path)[1]
    return left, right


def test_both_sides_are_where_they_were_to_the_sample(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    caller, assistant = noise(3, 1), noise(3, 2)
    line.play(caller, assistant)
    left, right = read(line)
    assert found_at(caller[RATE : 2 * RATE], left) == RATE
    assert found_at(assistant[RATE : 2 * RATE], right) == RATE


def test_jitter_shifts_the_caller_by_no_more_than_the_line_itself_did(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    caller, assistant = noise(4, 1), noise(4, 2)
    line.play(caller, assistant, arrives=lambda tick: tick % 3 == 2)
    left, right = read(line)
    assert found_at(caller[3 * RATE : 3 * RATE + 4000], left) == 3 * RATE
    assert len(left) == len(right) == 4 * RATE


def test_a_transfers_gap_is_silence_of_its_length_and_what_follows_is_where_it_was(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    before, after = noise(2, 1), noise(2, 2)
    line.play(before, before)
    line.away(37.5)
    line.play(after, -after)
    left, right = read(line)
    assert found_at(before, left) == 0 and found_at(after, left) == found_at(-after, right) == int(39.5 * RATE)
    assert not left[2 * RATE : int(39.5 * RATE)].any() and not right[2 * RATE : int(39.5 * RATE)].any()
    assert len(left) == int(41.5 * RATE)


def test_an_hour_away_takes_no_memory_and_no_time(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    sound = noise(1, 1)
    line.play(sound, sound)
    line.away(3600)
    line.play(sound, sound)
    info = finished(line)
    assert not info.error and info.duration_s == 3602.0
    assert info.path.stat().st_blocks * 512 < 1_000_000  # a hole


def test_ticks_given_up_by_a_late_clock_are_counted_once(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    before, after = noise(1, 1), noise(1, 2)
    line.play(before, before)
    line.away(0.8)
    line.recorder.skip(39)  # the clock makes up for a frame itself
    line.play(after, after)
    left, right = read(line)
    assert found_at(after, left) == found_at(after, right)
    assert abs(found_at(after, right) - int(1.8 * RATE)) <= FRAME


def test_a_stall_longer_than_any_buffer_keeps_the_axis(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    before, after = noise(1, 1), noise(1, 2)
    line.play(before, before)
    line.away(50.0)  # a machine that was suspended
    line.recorder.skip(2498)
    line.play(after, after)
    left, right = read(line)
    assert found_at(after, left) == found_at(after, right) == 51 * RATE


def test_a_caller_on_hold_who_sends_nothing_is_silent_for_as_long(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    caller, assistant = noise(1, 1), noise(1, 2)
    line.play(caller, assistant)
    for _ in range(250):
        line.recorder.write(None, bytes(2 * FRAME))
        line.now += 0.02
    line.play(caller[::-1].copy(), assistant)
    left, right = read(line)
    assert found_at(assistant, right[2 * RATE :]) == 4 * RATE
    assert abs(found_at(caller[::-1].copy(), left) - 6 * RATE) <= 3 * FRAME


def test_a_pause_is_true_silence_on_both_sides_and_moves_nothing(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    parts = [(noise(2, n), noise(2, n + 10)) for n in range(3)]
    line.play(*parts[0])
    line.recorder.pause()
    line.play(*parts[1])
    line.recorder.resume()
    line.play(*parts[2])
    left, right = read(line)
    for side, channel in enumerate((left, right)):
        assert not channel[2 * RATE : 4 * RATE].any()
        assert found_at(parts[0][side], channel) == 0 and found_at(parts[2][side][RATE:], channel) == 5 * RATE
    assert line.recorder.paused_s == 2.0


def test_words_that_arrive_after_the_pause_but_were_said_in_it_stay_out(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    secret, later = np.full(2 * FRAME, 5, np.int16), np.full(RATE, 7, np.int16)
    quiet = np.zeros(RATE, np.int16)
    line.play(quiet, quiet)
    line.recorder.pause()
    line.play(quiet, quiet)
    line.recorder.resume()
    line.recorder.write(secret.tobytes(), bytes(2 * FRAME))
    line.play(later, quiet)
    left, _ = read(line)
    assert 5 not in left and 7 in left


def test_a_pause_goes_on_through_a_gap(tmp_path: Path) -> None:
    line = Ticking(tmp_path / "a.wav")
    sound = noise(1, 1)
    line.recorder.pause()
    line.play(sound, sound)
    line.away(10)
    line.play(sound, sound)
    left, right = read(line)
    assert not left.any() and not right.any() and len(left) == 12 * RATE
    assert line.recorder.paused_s == 12.0


def test_a_sealed_recording_has_the_same_axis_and_not_a_sample_in_the_clear(tmp_path: Path) -> None:
    secret = new_secret_key()
    line = Ticking(tmp_path / "a.wav.age", recipients=[public_key_of(secret)])
    before, after = noise(9, 1), noise(9, 2)
    line.play(before, before)
    line.away(3)
    line.play(after, after)
    info = finished(line)
    content = info.path.read_bytes()
    for piece in pieces(before, after):
        assert piece not in content
    with info.path.open("rb") as file:
        plain = b"".join(opened(file, [secret]))
    left, right = np.frombuffer(plain[44:], "<i2").reshape(-1, 2).T
    assert found_at(after, left) == found_at(after, right) == 12 * RATE
    assert info.bytes == len(content) and info.duration_s == 21.0


def pieces(*sounds: Sound) -> Iterator[bytes]:
    """Both as they would lie interleaved in the file."""
    for sound in sounds:
        both = np.stack((sound, sound), axis=1)
        yield from (both[at : at + 8].tobytes() for at in range(0, len(both), 4000))
