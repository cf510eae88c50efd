"""What a link has received and the clock has not taken: cut to 20 ms, and no more of the past than is worth hearing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.media.intake import Intake


def frame(number: int, size: int = 320) -> bytes:
    return bytes([number]) * size


def taken(intake: Intake) -> list[bytes]:
    return list(iter(intake.take, None))


def test_frames_come_out_in_the_order_they_came_in() -> None:
    intake = Intake(8000)
    intake.add(frame(1))
    intake.add(frame(2))
    assert taken(intake) == [frame(1), frame(2)]
    assert (intake.frames, intake.dropped) == (2, 0)


def test_a_backlog_keeps_the_newest_ten_frames() -> None:
    intake = Intake(8000)
    for number in range(150):
        intake.add(frame(number))
    assert taken(intake) == [frame(number) for number in range(140, 150)]
    assert intake.dropped == 140


def test_what_is_older_than_200_ms_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    intake, now = Intake(8000), time.monotonic()
    intake.add(frame(1))
    monkeypatch.setattr(time, "monotonic", lambda: now + 0.15)
    intake.add(frame(2))
    monkeypatch.setattr(time, "monotonic", lambda: now + 0.21)
    assert taken(intake) == [frame(2)]
    assert intake.dropped == 1


def test_a_standing_backlog_is_worked_off_and_jitter_of_two_frames_is_not() -> None:
    behind, even = Intake(8000), Intake(8000)
    for number in range(8):
        behind.add(frame(number))
    even.add(frame(0))
    for number in range(60):
        behind.add(frame(8 + number))
        even.add(frame(number))
        assert behind.take() is not None
        assert even.take() is not None
    assert (behind.dropped, even.dropped) == (7, 0)


@given(st.lists(st.integers(1, 700), max_size=8), st.sampled_from([8000, 16000]))
def test_pieces_of_any_even_size_lose_no_sample(sizes: list[int], rate: int) -> None:
    sound = bytes(range(256)) * 50
    intake, at, out = Intake(rate), 0, b""
    for size in sizes:
        intake.add(sound[at : at + 2 * size])
        at += 2 * size
        out += b"".join(taken(intake))
    assert out == sound[: len(out)]
    assert at - len(out) < rate // 25


def test_half_a_sample_is_thrown_away_so_that_the_next_piece_begins_on_a_sample() -> None:
    intake = Intake(8000)
    intake.add(frame(1) + b"\xff")
    intake.add(frame(2))
    assert taken(intake) == [frame(1), frame(2)]
