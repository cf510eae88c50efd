"""Who is let in, counted exactly."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.calls.admission import Admission, Full, Limits, Pool, Seat, decision_of
from sovereign_pbx.pbx.link import Decision
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from tests.calls.house import assistant, house, play
from tests.waiting import until

CARRIER = Trunk(id="carrier", name="Carrier", endpoint="carrier-nl", max_calls=2)
NUMBERS = (
    Number(number="+31 85 000 1111", id="main", assistant="anna", max_calls=3, over_limit="busy"),
    Number(number="200", id="side", assistant="anna"),
    Number(number="*", id="others", assistant="ben"),
)


def made(name: str, **blocks: Any) -> Assistant:
    return Assistant.parse({"name": name, "id": name, **blocks}, where=name)


ANNA = made("anna", llm_config={"provider": "ollama", "model": "small"}, tts_config={"provider": "11labs"})
BEN = made("ben", llm_config={"provider": "ollama", "model": "large"})


def admission(strained: Full | None = None, **limits: Any) -> Admission:
    directory = Directory({"anna": ANNA, "ben": BEN}, NUMBERS, trunks={"carrier": CARRIER})
    return Admission(Limits(**limits), directory, lambda: strained)


def seated(found: Seat | Full) -> Seat:
    assert isinstance(found, Seat), found
    return found


def test_of_375_who_are_offered_at_once_exactly_250_are_admitted() -> None:
    table = admission(max_calls=250)
    found = [table.offered(str(300 + one), "") for one in range(375)]
    assert sum(isinstance(one, Seat) for one in found) == 250
    assert table.active == 250


def test_a_place_that_is_given_back_twice_is_free_once() -> None:
    table = admission(max_calls=2)
    first, second = seated(table.offered("1", "")), seated(table.offered("2", ""))
    first.give_back()
    first.give_back()
    assert table.active == 1
    seated(table.offered("3", ""))
    assert isinstance(table.offered("4", ""), Full)
    second.give_back()


def test_a_number_has_its_own_limit_however_it_is_written() -> None:
    table = admission(max_calls_per_number=1)
    for written in ("+31850001111", "0031 85 000 1111", "31850001111"):
        seated(table.offered(written, ""))
    assert table.offered("+31850001111", "") == Full("number", "31850001111", 3)
    seated(table.offered("200", ""))
    assert table.offered("200", "") == Full("number", "200", 1)
    seated(table.offered("555", ""))  # of those without an entry each is a number of its own
    seated(table.offered("556", ""))
    assert isinstance(table.offered("555", ""), Full)


def test_a_trunk_is_known_by_the_channel_that_a_call_comes_in_on() -> None:
    table = admission()
    for channel in ("PJSIP/carrier-nl-0000000a", "PJSIP/carrier-nl-0000000b"):
        seated(table.offered("1", channel))
    assert table.offered("1", "PJSIP/carrier-nl-0000000c") == Full("trunk", "carrier-nl", 2)
    assert table.placed(None, CARRIER, ANNA) == Full("trunk", "carrier-nl", 2)
    seated(table.offered("1", "PJSIP/101-0000000d"))  # a telephone is no trunk


def test_a_model_that_serves_two_at_once_gets_two_whoever_asks() -> None:
    table = admission(per_provider={"ollama": 3, "ollama/small": 2, "elevenlabs": 9})
    for _ in range(2):
        assert seated(table.offered("1", "")).take_assistant(ANNA) is None
    third = seated(table.offered("1", ""))
    assert third.take_assistant(ANNA) == Full("provider", "ollama/small", 2)
    assert table.counts[Pool("provider", "ollama")] == 2, "what was full took nothing of what was not"
    assert third.take_assistant(BEN) is None
    assert seated(table.offered("1", "")).take_assistant(BEN) == Full("provider", "ollama", 3)
    assert table.counts[Pool("provider", "elevenlabs")] == 2  # by its proper name


def test_a_placed_call_takes_its_assistants_place_once() -> None:
    table = admission(max_calls_per_assistant=1)
    seat = seated(table.placed(NUMBERS[0], None, ANNA))
    assert seat.take_assistant(ANNA) is None
    assert isinstance(table.placed(NUMBERS[0], None, ANNA), Full)
    seat.give_back()
    assert not table.counts


def test_nobody_is_taken_while_the_machine_is_late_or_the_daemon_drains() -> None:
    short = Full("memory", "the daemon holds 900 MB")
    assert admission(short).offered("1", "") == short
    late = admission(Full("lag", "120 ms"))
    seat = seated(late.offered("1", ""))  # nobody talks whom he could disturb
    assert late.offered("1", "") == Full("lag", "120 ms")
    seat.give_back()
    seated(late.offered("1", ""))
    table = admission()
    table.draining = True
    assert table.offered("1", "") == Full("draining")
    assert table.placed(None, None, ANNA) == Full("draining")


def test_lower_limits_turn_nobody_out_and_count_from_the_next_caller_on() -> None:
    table = admission(max_calls=3)
    seats = [seated(table.offered("1", "")) for _ in range(3)]
    table.limits = Limits(max_calls=1)
    for seat in seats[:2]:
        seat.give_back()
        assert isinstance(table.offered("1", ""), Full)
    seats[2].give_back()
    seated(table.offered("1", ""))


@pytest.mark.parametrize(
    ("why", "called", "wanted"),
    [
        ("calls", "200", "message"),  # as [limits] says
        ("calls", "+31850001111", "busy"),  # as the number says
        ("lag", "200", "fallback"),  # speaking would make it worse
        ("lag", "+31850001111", "busy"),
        ("draining", "+31850001111", "fallback"),
    ],
)
def test_what_a_caller_gets_for_whom_there_is_no_room(why: Any, called: str, wanted: str) -> None:
    assert admission(over_limit="message").answer(Full(why), called) == wanted


def test_a_busy_tone_and_a_rejection_have_causes_that_carriers_know() -> None:
    assert decision_of("busy") == Decision("busy")
    assert decision_of("reject") == Decision("reject", cause=42)
    assert decision_of("message") == decision_of("fallback") == Decision("fallback")


def test_only_so_many_hear_the_message() -> None:
    table = admission(max_calls=1, max_messages=2)
    talking = seated(table.offered("1", ""))
    first = table.for_message()
    assert first is not None and table.for_message() is not None and table.for_message() is None
    first.give_back()
    assert talking.take_message(), "who had a place gives it up for the message's"
    assert table.active == 0
    assert admission(max_messages=0).for_message() is None


STEPS = some.lists(
    some.tuples(
        some.sampled_from(["offer", "assistant", "message", "give back", "again"]),
        some.integers(0, 30),
        some.sampled_from(["+31850001111", "200", "7", "8"]),
        some.sampled_from(["", "PJSIP/carrier-nl-0000000a"]),
    ),
    max_size=120,
)


@given(STEPS, some.integers(1, 5), some.integers(0, 3), some.integers(0, 3))
def test_no_limit_is_exceeded_and_nothing_is_lost_whatever_calls_do(
    steps: list[tuple[str, int, str, str]], most: int, each: int, anybody: int
) -> None:
    table = admission(
        max_calls=most,
        max_calls_per_number=each,
        max_calls_per_assistant=anybody,
        per_provider={"ollama": 2},
        max_messages=2,
    )
    seats: list[Seat] = []
    for step, which, called, channel in steps:
        chosen = seats[which % len(seats)] if seats else None
        if step == "offer":
            found = table.offered(called, channel)
            seats += [found] if isinstance(found, Seat) else []
        elif chosen is not None and step == "assistant":
            chosen.take_assistant(ANNA if which % 2 else BEN)
        elif chosen is not None and step == "message":
            chosen.take_message()
        elif chosen is not None:
            chosen.give_back()
            seats = [*seats, chosen] if step == "again" else [seat for seat in seats if seat is not chosen]
        within(table, most, each, anybody)
    for seat in seats:
        seat.give_back()
    assert not table.counts, "all gone, and something is held"


def within(table: Admission, most: int, each: int, anybody: int) -> None:
    own = {Pool("number", "31850001111"): 3, Pool("trunk", "carrier-nl"): 2, Pool("provider", "ollama"): 2}
    general: Counter[str] = Counter({"calls": most, "number": each, "assistant": anybody, "message": 2})
    for pool, count in table.counts.items():
        limit = own.get(pool) or general[pool.kind]
        assert count > 0
        assert not limit or count <= limit, (pool, count)


# --- the whole daemon


async def refused(place: Any, called: str = "100") -> tuple[str, str | None]:
    async with place.caller(called) as caller:
        with pytest.raises(NotAnswered) as caught:
            await caller.place()
        return caught.value.action, caller.variables.get("SOVEREIGN_CAUSE")


@pytest.mark.parametrize(("answer", "told"), [("busy", ("busy", "17")), ("reject", ("reject", "42"))])
def test_the_dialplan_is_told_the_configured_answer_and_its_cause(
    tmp_path: Path, answer: str, told: tuple[str, str]
) -> None:
    async def scene() -> None:
        limits = {"max_calls": 1, "over_limit": answer}
        async with house(tmp_path, limits=limits) as place, place.caller() as first:
            await first.place()
            assert await refused(place) == told
            assert len(await place.rows()) == 1
            await first.hang_up()

    play(scene())


def test_a_number_answers_for_itself(tmp_path: Path) -> None:
    async def scene() -> None:
        numbers = [
            {"number": "300", "assistant": "reception", "max_calls": 1, "over_limit": "busy"},
            {"number": "*", "assistant": "reception"},
        ]
        async with house(tmp_path, numbers=numbers) as place, place.caller("300") as first:
            await first.place()
            assert (await refused(place, "300"))[0] == "busy"
            async with place.caller("301") as other:
                await other.place()
                await other.hang_up()
            await first.hang_up()
            await until(lambda: not place.daemon.desk.admission.counts)
            async with place.caller("300") as again:
                await again.place()
                await again.hang_up()

    play(scene())


@pytest.mark.parametrize("limits", [{"max_calls": 1}, {"max_calls_per_assistant": 1}, {"per_provider": {"openai": 1}}])
@pytest.mark.parametrize(("after", "step"), [("hangup", "hangup"), ("fallback", "fallback")])
def test_a_caller_for_whom_there_is_no_room_hears_so(
    tmp_path: Path, limits: dict[str, Any], after: str, step: str
) -> None:
    async def scene() -> None:
        spoken = {"over_limit": "message", "over_limit_message": "All lines are busy.", "after_message": after}
        async with house(tmp_path, limits={**limits, **spoken}) as place, place.caller() as first:
            await first.place()
            async with place.caller() as second:
                await second.place()
                await second.over(10)
                assert second.heard.sounds()
                assert second.steps == [step]
            assert place.daemon.desk.active == 1
            await first.hang_up()
            reports = await place.reported(2)
            told = {report["end_reason"]: str(report) for report in reports}
            assert set(told) == {"busy", "user_hangup"}
            assert "All lines are busy." in told["busy"]

    play(scene())


def test_every_path_out_of_a_call_gives_its_place_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, {"reception": assistant()}, limits={"max_calls": 3}) as place:
            place.deepgram.faults.arm("deny", times=1)
            assert (await refused(place))[0] == "fallback"  # not ready
            async with place.caller() as gone:  # left while it rings
                placing = asyncio.create_task(gone.place())
                await until(lambda: len(place.daemon.desk) == 1)
                await gone.hang_up()
                await asyncio.gather(placing, return_exceptions=True)
            async with place.caller() as talker:
                await talker.place()
                await talker.hang_up()
            await until(lambda: not place.daemon.desk.admission.counts)

    play(scene())
