"""Bounds for each receiver, and room that the others' slowness can't use up."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.webhooks.lanes import Bounds, Lanes

NOW = 1_765_627_200.0
BOUNDS = Bounds(per_lane=3, per_origin=8, at_once=20)
ORIGINS, PATHS = 6, 6


@dataclass(frozen=True)
class One:
    """Something for a path of a server."""

    lane: str
    origin: str


def one(server: int, path: int) -> One:
    return One(f"http://{server}/{path}", f"http://{server}")


def ordered(lanes: Lanes, found: list[One]) -> list[One]:
    return lanes.fairly(found, lane=lambda it: it.lane, origin=lambda it: it.origin)


ones = st.builds(one, st.integers(0, ORIGINS - 1), st.integers(0, PATHS - 1))
moves = st.lists(st.tuples(st.sampled_from(["enter", "leave", "fail", "succeed"]), ones), max_size=120)


@given(moves)
def test_no_bound_is_ever_exceeded(steps: list[tuple[str, One]]) -> None:
    lanes, under_way, failing = Lanes(BOUNDS, probe_s=(0.0, 0.0)), Counter[One](), set[str]()
    for move, it in steps:
        if move == "enter":
            had = under_way[it]
            if lanes.enter(it.lane, it.origin, NOW):
                under_way[it] += 1
                assert had < (1 if it.lane in failing else BOUNDS.per_lane)
        elif move == "leave" and under_way[it]:
            under_way[it] -= 1
            lanes.leave(it.lane, it.origin)
        elif move == "fail":
            failing.add(it.lane)
            lanes.failed(it.lane, NOW)
        elif move == "succeed":
            failing.discard(it.lane)
            lanes.went_well(it.lane)
        by_origin = Counter[str]()
        for busy, number in under_way.items():
            by_origin[busy.origin] += number
        assert max(by_origin.values(), default=0) <= BOUNDS.per_origin
        assert under_way.total() <= BOUNDS.at_once


@given(moves)
def test_what_is_said_to_be_closed_is_closed_and_the_rest_is_open(steps: list[tuple[str, One]]) -> None:
    """What is not asked for must not be missed, and what is asked for must not be read in vain again and again."""
    lanes, under_way = Lanes(BOUNDS), Counter[One]()
    for move, it in steps:
        if move == "enter" and lanes.enter(it.lane, it.origin, NOW):
            under_way[it] += 1
        elif move == "leave" and under_way[it]:
            under_way[it] -= 1
            lanes.leave(it.lane, it.origin)
        elif move == "fail":
            lanes.failed(it.lane, NOW)
    closed = lanes.closed(NOW)
    for server in range(ORIGINS):
        for path in range(PATHS):
            it = one(server, path)
            shut = it.lane in closed.lanes or it.origin in closed.origins
            opened = lanes.enter(it.lane, it.origin, NOW)
            assert opened is not shut
            if opened:
                lanes.leave(it.lane, it.origin)


@given(st.integers(1, 6), st.integers(0, 5))
def test_slow_paths_never_take_the_room_of_another_path_of_their_server(slow: int, new: int) -> None:
    """Six of eight places are first ones; whatever fewer slow paths hold, a path with nothing under way gets in."""
    lanes = Lanes(BOUNDS)
    others = [one(0, path) for path in range(PATHS) if path != new][: min(slow, 5)]
    for _ in range(10):
        for it in others:
            lanes.enter(it.lane, it.origin, NOW)
    assert lanes.enter(one(0, new).lane, one(0, new).origin, NOW)


@given(st.integers(1, 5))
def test_slow_servers_never_take_the_room_of_another_server(slow: int) -> None:
    """Five of twenty places are first ones."""
    lanes = Lanes(BOUNDS)
    for _ in range(10):
        for server in range(min(slow, 4)):
            for path in range(PATHS):
                lanes.enter(one(server, path).lane, one(server, path).origin, NOW)
    assert lanes.enter(one(5, 0).lane, one(5, 0).origin, NOW)


@given(st.lists(ones, max_size=60), st.lists(ones, max_size=20))
def test_fairness_loses_nothing_and_puts_the_least_served_first(found: list[One], under_way: list[One]) -> None:
    lanes = Lanes(BOUNDS)
    busy = Counter(it.origin for it in under_way if lanes.enter(it.lane, it.origin, NOW))
    got = ordered(lanes, found)
    assert Counter(got) == Counter(found)
    served = []
    for it in got:
        served.append(busy[it.origin])
        busy[it.origin] += 1
    assert served == sorted(served)


@given(st.lists(st.integers(0, PATHS - 1), max_size=40))
def test_paths_of_a_server_take_turns_and_keep_their_own_order(paths: list[int]) -> None:
    found = [One(f"http://0/{path}", "http://0") for path in paths]
    got, turns = ordered(Lanes(BOUNDS), found), Counter[str]()
    ranks = []
    for it in got:
        ranks.append(turns[it.lane])
        turns[it.lane] += 1
    assert ranks == sorted(ranks)


def test_a_failing_path_is_tried_by_one_at_a_time_after_waits_that_double() -> None:
    lanes, it, now = Lanes(BOUNDS, probe_s=(1.0, 8.0)), one(0, 0), NOW
    for longest in (1, 2, 4, 8, 8, 8):
        lanes.failed(it.lane, now)
        assert not lanes.enter(it.lane, it.origin, now + longest / 2 - 0.01)
        now += longest
        assert lanes.enter(it.lane, it.origin, now)
        assert not lanes.enter(it.lane, it.origin, now)
        lanes.leave(it.lane, it.origin)
    lanes.went_well(it.lane)
    assert lanes.enter(it.lane, it.origin, now) and lanes.enter(it.lane, it.origin, now)


def test_a_path_that_asked_for_time_gets_it_and_its_neighbour_does_not_wait() -> None:
    lanes, busy, other = Lanes(BOUNDS), one(0, 0), one(0, 1)
    lanes.failed(busy.lane, NOW, asked_for_s=60.0)
    assert not lanes.enter(busy.lane, busy.origin, NOW + 59)
    assert lanes.enter(other.lane, other.origin, NOW)
    assert lanes.enter(busy.lane, busy.origin, NOW + 61)


def test_only_so_many_failing_paths_are_remembered() -> None:
    lanes = Lanes(BOUNDS, remembered=10)
    for path in range(1000):
        lanes.failed(f"http://0/{path}", NOW)
    assert lanes.failing == 10
