"""Calls placed by the event socket: answered, refused in every way, given up, lost, and never dialled twice."""

import asyncio
from typing import Any

import pytest

from sovereign_pbx.core.errors import BadInput, Refused
from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.testing.freeswitch_channel import Manner, Person
from tests.pbx.freeswitch.stage import Stage, dial, order, play, stage
from tests.waiting import until

CARRIER = "sofia/gateway/carrier/+31201234567"


async def placed(stage: Stage, manner: Manner = "answer", **more: Any) -> Person:
    person = stage.pbx.people[CARRIER] = Person(manner)
    await stage.sip.originate(order(trunk="carrier", **more))
    return person


def test_who_answers_talks_with_the_assistant() -> None:
    async def scenario(stage: Stage) -> None:
        person = await placed(stage, caller_id="+31850835037", variables={"customer": "4 2, x"})
        await until(lambda: stage.desk.links)
        assert stage.desk.picked == [order().call_id]
        told = person.channels[0].variables
        assert told["origination_caller_id_number"] == "+31850835037"
        assert told["sovereign_var_customer"] == "4_2__x"
        assert stage.desk.unanswered == []
        stage.say_goodbye(NextStep("hangup"))
        await asyncio.wait_for(person.channels[0].over.wait(), 15)
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario)


def test_who_was_called_can_be_put_through_too() -> None:
    async def scenario(stage: Stage) -> None:
        stage.pbx.people["user/100"] = Person()
        person = await placed(stage)
        await until(lambda: stage.desk.links)
        stage.say_goodbye(dial("100"))
        await until(lambda: stage.desk.through == [order().call_id])
        await until(lambda: person.channels[0].partner is not None)
        await stage.pbx.hang_up(person.channels[0])
        await until(lambda: len(stage.desk.gone_calls) == 1)
        await until(lambda: len(stage.control._channels) == 0)

    play(scenario)


@pytest.mark.parametrize(
    ("manner", "reason", "cause"),
    [
        ("busy", "busy", 17),
        ("decline", "rejected", 21),
        ("ring", "no_answer", 19),
        ("unknown", "error", 1),
    ],
)
def test_who_does_not_answer_is_told_with_the_reason(manner: Manner, reason: str, cause: int) -> None:
    async def scenario(stage: Stage) -> None:
        await placed(stage, manner, ring_s=1.0)
        await until(lambda: stage.desk.gone_calls)
        [(call_id, how)] = stage.desk.unanswered
        assert (call_id, how.reason, how.cause) == (order().call_id, reason, cause)
        assert stage.desk.gone_calls == [(call_id, cause)]
        assert len(stage.control._channels) == 0 and stage.control.health()["placing"] == 0

    play(scenario)


def test_a_trunk_that_freeswitch_does_not_have_is_named() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.sip.originate(order(trunk="nosuch"))
        await until(lambda: stage.desk.unanswered)
        assert stage.desk.unanswered[0][1].why == (
            "The call failed: FreeSWITCH has no gateway of this name (INVALID_GATEWAY)."
        )

    play(scenario)


def test_a_call_that_rings_can_be_given_up() -> None:
    async def scenario(stage: Stage) -> None:
        person = await placed(stage, "ring")
        await until(lambda: person.channels)
        await stage.sip.hang_up(order().call_id)
        await until(lambda: stage.desk.gone_calls)
        assert person.channels[0].is_gone and len(stage.desk.gone_calls) == 1

    play(scenario)


def test_an_answer_that_the_desk_does_not_want_is_hung_up() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = Decision("reject")
        person = await placed(stage)
        await until(lambda: person.channels and person.channels[0].is_gone)
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario)


def test_an_order_whose_reply_was_lost_is_not_given_again_and_goes_on_when_somebody_answers() -> None:
    async def scenario(stage: Stage) -> None:
        person = stage.pbx.people[CARRIER] = Person(after_s=0.5)
        stage.pbx.esl.mute_after = "bgapi originate"
        await stage.sip.originate(order(trunk="carrier"))
        await until(lambda: person.channels)
        await until(lambda: stage.desk.links)
        assert len(stage.pbx.esl.lines("bgapi originate")) == 1
        assert stage.desk.unanswered == []

    play(scenario)


def test_an_order_that_ended_while_the_socket_was_down_is_found_out_at_the_next_login() -> None:
    async def scenario(stage: Stage) -> None:
        person = await placed(stage, "ring")
        await until(lambda: person.channels)
        await stage.pbx.esl.stop()
        await stage.pbx.hang_up(person.channels[0], "USER_BUSY")
        await stage.pbx.esl.start()
        await until(lambda: stage.desk.unanswered)
        [(_, how)] = stage.desk.unanswered
        assert how.reason == "error" and "not known" in how.why
        assert len(stage.desk.gone_calls) == 1

    play(scenario)


def test_without_the_socket_nothing_is_placed_and_it_is_said_why() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.pbx.esl.stop()
        await until(lambda: stage.control.esl is not None and not stage.control.esl.connected)
        with pytest.raises(Refused, match="event socket is not connected"):
            await stage.sip.originate(order())
        assert stage.desk.unanswered == []

    play(scenario)


def test_without_a_password_the_socket_is_not_used_and_it_is_said_what_to_set() -> None:
    async def whole() -> None:
        async with asyncio.timeout(50), stage(password="") as found:
            with pytest.raises(Refused, match=r"set \[freeswitch.esl\] password"):
                found.sip.check_outbound()
            assert found.control.health() == {"status": "degraded", "esl": None}
            assert await found.control.audit() == {
                "asked": False,
                "why": "there is no event socket: set [freeswitch.esl] password",
                "differences": [],
                "mended": 0,
            }

    asyncio.run(whole())


@pytest.mark.parametrize("destination", ["100 200", "1}sofia/x", "1,2", "", "$x"])
def test_a_destination_that_freeswitch_would_act_on_is_refused(destination: str) -> None:
    async def scenario(stage: Stage) -> None:
        with pytest.raises(BadInput):
            await stage.sip.originate(order(destination))
        assert stage.pbx.esl.lines("bgapi") == []

    play(scenario)


def test_a_sip_address_is_dialled_on_the_profile() -> None:
    async def scenario(stage: Stage) -> None:
        stage.pbx.people["sofia/internal/sip:ann@example.org"] = Person()
        await stage.sip.originate(order("sip:ann@example.org"))
        await until(lambda: stage.desk.links)

    play(scenario)
