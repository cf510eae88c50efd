"""The jitter buffer in virtual time: even sound out of uneven packets, with no more delay than that takes."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.media.jitter import JitterBuffer, Piece
from tests.media.jittery import TICK_S, UNITS, Arrival, Heard, listen, stream


def buffer(min_ms: float = 20, max_ms: float = 200) -> JitterBuffer:
    return JitterBuffer(8000, min_ms=min_ms, max_ms=max_ms)


def jittered(count: int, spread_s: float, seed: int = 1) -> list[Arrival]:
    chance = random.Random(seed)
    return stream(0.01 + chance.random() * spread_s for _ in range(count))


def steady(heard: Heard, start: float, end: float) -> bool:
    """Nothing but sound, one packet a tick."""
    return {piece.kind for _, piece in heard.between(start, end).pieces} == {"sound"}


def test_on_a_quiet_network_every_packet_is_heard_in_its_tick() -> None:
    heard = listen(buffer(), stream([0.01] * 500), seconds=10)
    assert heard.numbers == list(range(499)) or heard.numbers == list(range(500))
    assert steady(heard, 1, 10)
    assert 16 <= max(heard.delays_ms()) <= 40


def test_nothing_is_heard_before_anything_came() -> None:
    empty = buffer()
    assert {empty.pull(UNITS, tick * TICK_S).kind for tick in range(50)} == {"none"}


@pytest.mark.parametrize("spread_ms", [5, 20, 60, 120])
def test_after_a_second_jitter_is_not_heard_any_more(spread_ms: int) -> None:
    heard = listen(buffer(), jittered(1000, spread_ms / 1000), seconds=19.9)
    late = heard.between(1, 19.9)
    assert late.count("sound") >= 0.995 * 18.9 / TICK_S
    assert max(heard.between(5, 19.9).delays_ms()) <= spread_ms + 60


def test_packets_out_of_order_are_heard_in_order() -> None:
    arrivals = stream([0.01] * 300)
    swapped = [
        Arrival(one.at + (0.025 if one.number % 10 == 3 else 0), one.number, one.timestamp, one.payload)
        for one in arrivals
    ]
    heard = listen(buffer(), swapped, seconds=6)
    assert all(before < after for before, after in pairwise(heard.numbers))
    assert len(heard.between(2, 6).numbers) >= 199


def test_a_lost_packet_is_told_where_it_is_missing_and_costs_no_delay() -> None:
    heard = listen(buffer(), stream(None if number % 20 == 7 else 0.01 for number in range(500)), seconds=10)
    kinds = [piece.kind for _, piece in heard.pieces]
    before = [kinds[index - 1] for index, kind in enumerate(kinds) if kind in ("lost", "late")]
    assert heard.count("lost") + heard.count("late") in (24, 25)
    assert set(before) == {"sound"}
    assert max(heard.between(9, 10).delays_ms()) <= max(heard.between(0, 1).delays_ms()) + 1


def test_what_comes_too_late_makes_time_for_the_next() -> None:
    lateness = [0.01 + (0.03 if number >= 100 and number % 2 else 0) for number in range(400)]
    sound = buffer()
    heard = listen(sound, stream(lateness), seconds=7.9)
    assert steady(heard, 3, 7.9)
    assert sound.stretched <= 4


def test_delay_returns_to_what_it_was_when_the_trouble_is_over() -> None:
    chance = random.Random(2)
    lateness = [0.01 + (chance.random() * 0.15 if 250 <= number < 500 else 0) for number in range(1250)]
    heard = listen(buffer(), stream(lateness), seconds=24.9)
    assert max(heard.between(8, 10).delays_ms()) > 100
    assert max(heard.between(16, 24.9).delays_ms()) <= 45


def test_a_burst_after_a_stall_leaves_no_delay_behind() -> None:
    lateness = [max(0.01, 5.5 - number * TICK_S) if 250 <= number < 275 else 0.01 for number in range(500)]
    heard = listen(buffer(), stream(lateness), seconds=9.9)
    assert max(heard.between(6.1, 9.9).delays_ms()) <= 45
    assert len(heard.numbers) >= 475  # of 495; what could not be heard in time is 18


@pytest.mark.parametrize("parts_per_million", [-200, 200])
def test_clocks_that_drift_apart_cost_a_frame_now_and_then(parts_per_million: int) -> None:
    sound = buffer()
    arrivals = stream([0.01] * 6000, interval_s=TICK_S * (1 + parts_per_million * 1e-6))
    heard = listen(sound, arrivals, seconds=119)
    assert sound.stretched + sound.shrunk <= 3
    assert max(heard.delays_ms()) <= 65
    assert len(heard.numbers) >= 5940


def test_when_the_listener_stood_still_it_catches_up_and_loses_nothing() -> None:
    heard = listen(buffer(), stream([0.01] * 500), seconds=9.9, stands_still=(5, 5.1))
    assert heard.numbers == list(range(len(heard.numbers)))
    assert heard.count("late") == 0
    assert max(heard.between(5.3, 9.9).delays_ms()) <= 45


def test_a_tick_before_the_socket_is_read_after_a_stall_puts_nothing_in_between() -> None:
    sound = buffer()
    arrivals = stream([0.01] * 60)
    for tick in range(50):
        now = 0.007 + tick * TICK_S
        for one in arrivals:
            if now - TICK_S < one.at <= now:
                sound.put(one.number, one.timestamp, UNITS, one.payload, one.at)
        sound.tick(now)
        sound.pull(UNITS, now)
        sound.given()
    now += 5 * TICK_S
    sound.tick(now)
    assert sound.pull(UNITS, now).kind == "none"
    for one in arrivals[49:54]:
        sound.put(one.number, one.timestamp, UNITS, one.payload, now + 0.001)
    heard: list[Piece] = []
    for tick in range(1, 4):
        sound.tick(now + tick * TICK_S)
        for _ in range(2):
            if not heard or sound.owed:
                heard.append(sound.pull(UNITS, now + tick * TICK_S))
                sound.given()
    assert [int.from_bytes(piece.payload, "big") for piece in heard] == list(range(49, 54))


def test_silence_of_the_sender_is_no_loss() -> None:
    spoken = [one for one in stream([0.01] * 400) if not 100 <= one.number < 200]
    renumbered = [Arrival(one.at, place, one.timestamp, one.payload) for place, one in enumerate(spoken)]
    sound = buffer()
    heard = Heard()
    waiting = list(renumbered)
    for tick in range(390):
        now = 0.007 + tick * TICK_S
        while waiting and waiting[0].at <= now:
            one = waiting.pop(0)
            sound.put(one.number, one.timestamp, UNITS, one.payload, one.at)
            if one.number == 99:
                sound.other(100)  # comfort noise, which takes a number of its own
                waiting = [Arrival(w.at, w.number + 1, w.timestamp, w.payload) for w in waiting]
        sound.tick(now)
        heard.pieces.append((now, sound.pull(UNITS, now)))
        sound.given()
    assert heard.count("lost") == heard.count("late") == 0
    assert sound.lost_runs == sound.lost_units == 0
    assert heard.numbers == [*range(100), *range(200, 390)][: len(heard.numbers)]
    assert 90 <= heard.count("silent") <= 110


def test_another_stream_of_the_same_source_is_heard_at_once() -> None:
    sound = buffer()
    first = stream([0.01] * 100, first=1_000_000)
    again = [
        Arrival(one.at + 2.0, one.number + 100, one.timestamp, (one.number + 100).to_bytes(4, "big"))
        for one in stream([0.01] * 100, first=5000)
    ]
    heard = listen(sound, [*first, *again], seconds=3.9)
    assert heard.numbers == list(range(len(heard.numbers)))
    assert len(heard.between(2.1, 3.9).numbers) >= 85


def test_a_timestamp_may_wrap_around() -> None:
    heard = listen(buffer(), stream([0.01] * 200, first=(1 << 32) - 50 * UNITS), seconds=3.9)
    assert steady(heard, 0.1, 3.9)


def test_a_second_copy_is_not_heard() -> None:
    sound = buffer()
    sound.put(0, 0, UNITS, b"a", 0.0)
    sound.tick(0.02)
    assert sound.pull(UNITS, 0.02).payload == b"a"
    sound.put(0, 0, UNITS, b"a", 0.03)
    sound.put(1, UNITS, UNITS, b"b", 0.03)
    later = [sound.pull(UNITS, 0.04 + tick * TICK_S).payload for tick in range(5)]
    assert [payload for payload in later if payload] == [b"b"]


LATENESS = st.lists(st.none() | st.floats(0, 0.4), min_size=1, max_size=150)


@settings(max_examples=60)
@given(LATENESS, st.sampled_from([20, 40]), st.sampled_from([60, 200, 500]), st.integers(0, (1 << 32) - 1))
def test_whatever_the_network_does_order_bounds_and_single_hearing_hold(
    lateness: list[float | None], min_ms: int, max_ms: int, first: int
) -> None:
    heard = listen(buffer(min_ms, max_ms), stream(lateness, first=first), seconds=len(lateness) * TICK_S + 1)
    assert all(before < after for before, after in pairwise(heard.numbers))
    assert all(delay <= max_ms + 1e-6 for delay in heard.delays_ms())
    assert sum(piece.units for _, piece in heard.pieces) == UNITS * len(heard.pieces)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, (1 << 32) - 1), st.integers(1, 1600)), max_size=200))
def test_hostile_numbers_neither_fail_nor_pile_up(packets: list[tuple[int, int, int]]) -> None:
    sound = buffer()
    for place, (sequence, timestamp, units) in enumerate(packets):
        now = place * 0.005
        sound.put(sequence, timestamp, units, b"x", now)
        if place % 4 == 0:
            sound.tick(now)
            wanted = UNITS
            while wanted > 0:
                piece = sound.pull(wanted, now)
                assert piece.units > 0
                wanted -= piece.units
            sound.given()
    assert 0 <= sound.delay_ms <= 200
