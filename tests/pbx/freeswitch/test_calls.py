"""Calls that FreeSWITCH brings by the printed dialplan: the decision, and what a caller gets when the daemon can't."""

import asyncio

from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.testing.freeswitch_channel import Person
from tests.pbx.freeswitch.stage import Stage, play
from tests.waiting import until


def test_a_caller_is_answered_and_known_by_freeswitchs_id() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking("300")
        [offer] = stage.desk.offers
        assert (offer.caller, offer.called, offer.pbx_id) == ("+31612345678", "300", caller.uuid)
        stage.say_goodbye(NextStep("hangup"))
        await asyncio.wait_for(caller.over.wait(), 15)
        assert caller.cause == "NORMAL_CLEARING"
        await until(lambda: stage.desk.gone_calls)
        assert len(stage.desk.gone_calls) == 1

    play(scenario)


def test_a_caller_who_hangs_up_is_gone() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        await stage.pbx.hang_up(caller)
        await until(lambda: stage.desk.gone_calls == [(stage.call_id(), 16)])

    play(scenario)


def test_a_refusal_reaches_the_caller_as_it_is() -> None:
    async def scenario(stage: Stage) -> None:
        for decision, cause in (
            (Decision("busy"), "USER_BUSY"),
            (Decision("reject"), "CALL_REJECTED"),
            (Decision("reject", cause=1), "UNALLOCATED_NUMBER"),
        ):
            stage.desk.decision = decision
            caller = await stage.pbx.call("300")
            await asyncio.wait_for(caller.over.wait(), 15)
            assert caller.cause == cause
            assert "answer()" not in caller.done

    play(scenario)


def test_a_fallback_before_the_answer_is_the_administrators_own() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = Decision("fallback")
        caller = await stage.pbx.call("300")
        await until(lambda: caller.application == "park")
        assert "transfer(600 XML default)" in caller.done

    play(scenario)


def test_a_fallback_after_the_conversation_is_too() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        stage.say_goodbye(NextStep("fallback"))
        await until(lambda: caller.application == "park")

    play(scenario)


def test_a_users_forced_context_does_not_keep_him_from_the_fallback() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking(force_transfer_context="sovereign-dial")
        stage.say_goodbye(NextStep("fallback"))
        await until(lambda: caller.application == "park")

    play(scenario)


def test_without_a_fallback_of_his_own_the_caller_is_not_left_ringing() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = Decision("fallback")
        caller = await stage.pbx.call("300")
        await asyncio.wait_for(caller.over.wait(), 15)
        assert caller.cause == "NORMAL_TEMPORARY_FAILURE"

    play(scenario, fallback="")


def test_a_daemon_that_is_not_there_costs_nobody_his_call() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.sip.stop()
        caller = await stage.pbx.call("300")
        await until(lambda: caller.application == "park")
        assert caller.variables["originate_disposition"] == "NORMAL_TEMPORARY_FAILURE"

    play(scenario)


def test_a_daemon_that_is_stopped_gives_its_callers_back() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        await stage.sip.stop()
        await until(lambda: caller.application == "park")

    play(scenario)


def test_a_daemon_that_sends_no_sound_any_more_loses_its_caller_to_the_fallback_and_not_to_silence() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        stage.leg(caller).cut = True
        await until(lambda: caller.application == "park")
        assert caller.variables["bridge_hangup_cause"] == "MEDIA_TIMEOUT"

    play(scenario)


def test_a_caller_who_holds_is_known_to_hold_though_our_leg_is_not_told() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        stage.pbx.hold(caller, True)
        await until(lambda: stage.desk.holds == [True])
        stage.pbx.hold(caller, False)
        await until(lambda: stage.desk.holds == [True, False])

    play(scenario)


def test_a_diversion_is_followed_by_freeswitch_itself() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = Decision("divert", "104")
        caller = await stage.pbx.call("300")
        await until(lambda: any(one.name.startswith("104@") for one in stage.pbx.ended))
        await until(lambda: caller.application == "park" or caller.is_gone)

    play(scenario)


def test_a_caller_who_gives_up_while_it_rings_is_not_answered() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.delay_s = 30.0
        caller = await stage.pbx.call("300")
        await until(lambda: stage.desk.offers)
        await stage.pbx.hang_up(caller, "ORIGINATOR_CANCEL")
        await until(lambda: stage.desk.cancelled == 1 and stage.desk.gone_calls)
        assert stage.desk.links == {}

    play(scenario)


def test_a_fallback_that_leads_back_here_ends() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = Decision("fallback")
        caller = await stage.pbx.call("300")
        await asyncio.wait_for(caller.over.wait(), 15)
        assert caller.cause == "EXCHANGE_ROUTING_ERROR"
        assert len(stage.desk.offers) == 3

    play(scenario, fallback="circle XML default")


def test_who_is_called_by_nobody_of_ours_is_left_alone() -> None:
    """Another SIP peer than FreeSWITCH, or a call without the dialplan's header, is not steered by its event socket."""

    async def scenario(stage: Stage) -> None:
        stage.pbx.people["user/100"] = Person("answer")
        caller = await stage.talking()
        assert stage.control.owns(stage.sip._calls[stage.call_id()].invite, "127.0.0.1")
        assert not stage.control.owns(stage.sip._calls[stage.call_id()].invite, "192.0.2.1")
        await stage.pbx.hang_up(caller)

    play(scenario)
