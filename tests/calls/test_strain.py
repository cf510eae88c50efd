"""When new calls are refused because the machine can't keep up, and when they are taken again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from sovereign_pbx.calls.admission import Full
from sovereign_pbx.calls.strain import Memory, Strain, StrainLimits, memory_now
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from tests.calls.house import house, play

LATE, HALF, FINE = [0.15] * 50, [0.07] * 50, [0.001] * 50


def told(seconds: Sequence[Sequence[float]], limit_ms: float = 100.0) -> list[bool]:
    """After each second, whether new calls are refused."""
    strain = Strain(StrainLimits(max_lag_ms=limit_ms))
    found = []
    for second in seconds:
        strain.observe(second, Memory())
        found.append(strain.full is not None)
    return found


def test_three_late_seconds_of_five_refuse_and_fewer_do_not() -> None:
    assert told([LATE, FINE, LATE, FINE, LATE]) == [False, False, False, False, True]
    assert told([LATE, LATE, FINE, FINE, FINE, LATE, LATE]) == [False] * 7


def test_one_pause_of_the_machine_refuses_nobody() -> None:
    assert told([FINE, [*[0.4] * 20, *FINE[:30]], FINE, FINE]) == [False] * 4


def test_a_few_late_ticks_of_a_second_do_not_count() -> None:
    assert told([[*LATE[:2], *FINE[:48]]] * 9) == [False] * 9


def test_calls_are_taken_again_only_when_it_has_been_calm_for_three_seconds() -> None:
    after = told([LATE] * 3 + [HALF] * 4 + [FINE, FINE, HALF, FINE, FINE, FINE])
    assert after == [False, False, True] + [True] * 4 + [True] * 5 + [False]


def test_without_a_limit_nothing_is_late() -> None:
    assert not any(told([[3.0] * 50] * 9, limit_ms=0))


@pytest.mark.parametrize(
    ("limits", "megabytes", "refused"),
    [
        ({"max_memory_mb": 1000}, [999, 1001, 960, 949, 999], [False, True, True, False, False]),
        ({"min_free_memory_mb": 1000}, [1001, 999, 1040, 1051, 1001], [False, True, True, False, False]),
    ],
)
def test_memory_refuses_at_its_limit_and_lets_in_with_some_room(
    limits: dict[str, int], megabytes: list[float], refused: list[bool]
) -> None:
    strain = Strain(StrainLimits(**limits))
    found = []
    for mb in megabytes:
        strain.observe(FINE, Memory(mb, mb))
        found.append(strain.full is not None)
    assert found == refused


def test_what_is_short_is_said() -> None:
    strain = Strain(StrainLimits(max_memory_mb=100))
    strain.observe(FINE, Memory(123.4, 5000))
    assert strain.full == Full("memory", "the daemon holds 123 MB")


def test_this_process_knows_what_it_holds() -> None:
    memory = memory_now()
    assert memory.resident_mb is not None and 10 < memory.resident_mb < 10_000
    assert memory.free_mb is not None and memory.free_mb > 0


def test_the_clock_tells_every_tick_by_how_much_it_was_late_also_those_given_up() -> None:
    async def scene() -> None:
        clock = MediaClock(SpeechDetector(None), now=lambda: 0.0)
        clock.catch_up(0.0)
        clock.catch_up(0.02)
        clock.catch_up(0.34)  # 0.04 was due: fifteen ticks are lost, one is run
        lags = clock.take_lags()
        assert [round(lag, 3) for lag in lags] == [0.0, 0.0, *[0.3] * 16]
        assert clock.take_lags() == []

    asyncio.run(scene())


def test_a_daemon_that_is_late_takes_nobody_beside_those_who_talk_and_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        limits = {"max_lag_ms": 100, "over_limit": "message"}  # there is no voice to spare for a message
        async with house(tmp_path, limits=limits) as place, place.caller() as first:
            await first.place()
            for _ in range(3):
                place.daemon.strain.observe(LATE, Memory())
            async with place.caller() as second:
                with pytest.raises(NotAnswered) as caught:
                    await second.place()
                assert caught.value.action == "fallback"
            assert place.daemon.desk.admission.refused == {"lag": 1}
            assert first.leg is not None and not first.leg.ended.is_set()
            await first.hang_up()

    play(scene())
