"""Callers put through by the event socket: who is called, what the desk is told, and where the caller is afterwards."""

import asyncio

import pytest

from sovereign_pbx.pbx.link import Dialled, NextStep
from sovereign_pbx.testing.freeswitch_channel import Manner, Person
from tests.pbx.freeswitch.stage import Stage, dial, play
from tests.waiting import until

CARRIER = "sofia/gateway/carrier/+31201234567"


async def last_dialled(stage: Stage) -> Dialled:
    """What the desk was told of the `dial` step."""
    await until(lambda: any(stage.desk.dialled))
    return next(one for one in reversed(stage.desk.dialled) if one is not None)


def test_a_colleague_who_answers_has_the_caller_and_our_leg_goes() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        ours = stage.leg(caller)
        stage.say_goodbye(dial("100"))
        await until(lambda: stage.desk.through == [stage.call_id()])
        await until(lambda: caller.partner is not None)
        assert caller.partner is colleague.channels[0]
        assert "park_timeout" not in colleague.channels[0].variables  # his next park may be the administrator's own
        await until(lambda: ours.call.end is not None)
        assert stage.desk.gone_calls == []
        assert stage.control.health()["put_through"] == 1

    play(scenario)


def test_when_the_colleague_hangs_up_the_caller_is_back_and_the_desk_decides() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100"), NextStep("talk"))
        await until(lambda: caller.partner is not None)
        first = stage.link()
        await stage.pbx.hang_up(colleague.channels[0])
        assert (await last_dialled(stage)).outcome == "answered"
        await until(lambda: stage.link() is not first)
        assert caller.up and caller.variables["sovereign_served"] == "true"
        stage.say_goodbye(NextStep("hangup"))
        await asyncio.wait_for(caller.over.wait(), 15)
        assert caller.cause == "NORMAL_CLEARING"
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario)


def test_a_users_forced_context_turns_no_step_away() -> None:
    """force_transfer_context, which directories set, wins over the context that a transfer names."""

    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking(force_transfer_context="default")
        caller.variables["force_transfer_context"] = "default"  # set again behind the dialplan's back
        stage.say_goodbye(dial("100"), NextStep("fallback"))
        await until(lambda: caller.partner is not None)
        await stage.pbx.hang_up(colleague.channels[0])
        assert (await last_dialled(stage)).outcome == "answered"
        await until(lambda: caller.application == "park")

    play(scenario)


def test_a_served_caller_is_sent_to_the_fallback_only_by_the_desks_word() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100"), NextStep("fallback"))
        await until(lambda: caller.partner is not None)
        await stage.pbx.hang_up(colleague.channels[0])
        await until(lambda: caller.application == "park")

    play(scenario)


def test_a_served_caller_whose_daemon_has_gone_does_not_begin_anew() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100"))
        await until(lambda: caller.partner is not None)
        await stage.sip.stop()
        assert caller.partner is not None and caller.up
        await stage.pbx.hang_up(colleague.channels[0])
        await asyncio.wait_for(caller.over.wait(), 15)
        assert caller.cause == "NORMAL_CLEARING"

    play(scenario)


def test_a_caller_who_hangs_up_on_the_colleague_is_gone() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100"))
        await until(lambda: caller.partner is not None)
        await stage.pbx.hang_up(caller)
        await until(lambda: len(stage.desk.gone_calls) == 1)
        await until(lambda: colleague.channels[0].is_gone)
        assert len(stage.control._channels) == 0

    play(scenario)


def test_the_daemon_can_hang_up_a_caller_who_talks_with_a_colleague() -> None:
    async def scenario(stage: Stage) -> None:
        stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100"))
        await until(lambda: caller.partner is not None)
        await stage.sip.hang_up(stage.call_id(), 21)
        await asyncio.wait_for(caller.over.wait(), 15)
        assert caller.cause == "CALL_REJECTED"
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario)


@pytest.mark.parametrize(
    ("manner", "outcome", "cause"),
    [
        ("busy", "busy", 17),
        ("decline", "declined", 21),
        ("ring", "no_answer", 19),
        ("unknown", "failed", 1),
        ("unregistered", "failed", None),
    ],
)
def test_who_does_not_take_him_gives_him_back(manner: Manner, outcome: str, cause: int | None) -> None:
    async def scenario(stage: Stage) -> None:
        stage.pbx.people["user/100"] = Person(manner)
        caller = await stage.talking()
        stage.say_goodbye(dial("100", ring_s=1.0), NextStep("talk"))
        found = await last_dialled(stage)
        assert (found.outcome, found.cause) == (outcome, cause)
        await until(lambda: stage.link().ended is None)
        assert caller.up and stage.desk.through == []

    play(scenario)


def test_a_destination_that_the_dialplan_does_not_know_is_told_so() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.talking()
        stage.say_goodbye(dial("999"))
        found = await last_dialled(stage)
        assert (found.outcome, found.cause) == ("failed", 3)

    play(scenario)


def test_a_trunk_a_number_shown_and_the_diversion_stand_in_what_is_dialled() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people[CARRIER] = Person()
        await stage.talking()
        stage.say_goodbye(
            dial("+31201234567", trunk="carrier", caller_id="+31850835037", diverted_from="300", ring_s=7.0)
        )
        await until(lambda: stage.desk.through)
        told = colleague.channels[0].variables
        assert told["origination_caller_id_number"] == "+31850835037"
        assert told["sip_h_Diversion"] == "<sip:300@invalid>;reason=deflection"
        assert told["originate_timeout"] == "7"
        assert told["sovereign_instance"] == "i0123456789"

    play(scenario)


def test_the_callers_own_number_is_shown_where_no_other_is_wanted() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        await stage.talking()
        stage.say_goodbye(dial("100"))
        await until(lambda: stage.desk.through)
        assert colleague.channels[0].variables["origination_caller_id_number"] == "+31612345678"

    play(scenario)


@pytest.mark.parametrize("destination", ["100,user/200", "100}x", "a b", "${x}", "100&200", "^^:1"])
def test_a_destination_that_freeswitch_would_act_on_is_never_sent(destination: str) -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        call = stage.sip._calls[stage.call_id()]
        found = await stage.control.put_through(call, dial(destination))
        assert found.outcome == "failed" and "can't be dialled" in found.why
        assert stage.pbx.esl.lines("bgapi") == []
        await stage.pbx.hang_up(caller)

    play(scenario)


def test_nobody_rings_on_for_a_caller_who_has_hung_up() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person("ring")
        caller = await stage.talking()
        stage.say_goodbye(dial("100"))
        await until(lambda: colleague.channels)
        await stage.pbx.hang_up(caller)
        await until(lambda: colleague.channels[0].is_gone)
        assert colleague.channels[0].cause == "ORIGINATOR_CANCEL"
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario)


def test_nobody_rings_on_for_a_daemon_that_is_stopped() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person("ring")
        caller = await stage.talking()
        stage.say_goodbye(dial("100"))
        await until(lambda: colleague.channels)
        await stage.sip.stop()
        await until(lambda: colleague.channels[0].is_gone)
        await until(lambda: caller.application == "park")

    play(scenario)


def test_a_colleague_who_is_to_be_briefed_hears_it_and_takes_the_caller() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100", briefing=True))
        await until(lambda: stage.desk.briefing_links)
        assert caller.leg is not None and stage.desk.through == []  # he hears it ring meanwhile
        heard = stage.leg(colleague.channels[0])
        await until(lambda: len(heard.call.ear.packets) > 5)
        stage.desk.briefing_links[0].close()
        await until(lambda: stage.desk.through == [stage.call_id()])
        await until(lambda: caller.partner is colleague.channels[0])
        assert stage.desk.asked_briefed == [stage.call_id()]

    play(scenario)


def test_a_colleague_who_does_not_take_him_is_let_go() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.desk.takes = False
        stage.say_goodbye(dial("100", briefing=True), NextStep("talk"))
        await until(lambda: stage.desk.briefing_links)
        stage.desk.briefing_links[0].close()
        assert (await last_dialled(stage)).outcome == "declined"
        await until(lambda: colleague.channels[0].is_gone)
        assert caller.up and stage.desk.through == []

    play(scenario)


def test_a_colleague_who_hangs_up_in_his_briefing_has_declined() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        await stage.talking()
        stage.say_goodbye(dial("100", briefing=True))
        await until(lambda: stage.desk.briefing_links)
        await stage.pbx.hang_up(colleague.channels[0])
        assert (await last_dialled(stage)).outcome == "declined"
        assert stage.desk.through == []

    play(scenario)


def test_a_caller_who_hangs_up_in_the_briefing_takes_the_colleague_along() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100", briefing=True))
        await until(lambda: stage.desk.briefing_links)
        await stage.pbx.hang_up(caller)
        await until(lambda: colleague.channels[0].is_gone)
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario)


@pytest.mark.parametrize("briefs", [False, RuntimeError("no words")])
def test_without_words_for_a_briefing_the_two_are_connected(briefs: bool | Exception) -> None:
    async def scenario(stage: Stage) -> None:
        stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.desk.briefs = briefs
        stage.say_goodbye(dial("100", briefing=True))
        await until(lambda: caller.partner is not None)
        assert stage.desk.briefing_links == []

    play(scenario)


def test_a_socket_that_is_lost_while_it_rings_brings_the_caller_back_and_dials_nothing_again() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person("ring")
        caller = await stage.talking()
        stage.say_goodbye(dial("100"), NextStep("talk"))
        await until(lambda: colleague.channels)
        stage.pbx.esl.drop()
        assert (await last_dialled(stage)).outcome == "failed"
        await until(lambda: stage.link().ended is None)
        assert caller.up
        # The telephone rings for nobody: the roll-call after the next login ends it
        await until(lambda: colleague.channels[0].is_gone)
        assert len(stage.pbx.esl.lines("bgapi originate")) == 1

    play(scenario)


def test_a_caller_who_leaves_while_the_socket_is_down_is_found_gone_at_the_next_login() -> None:
    async def scenario(stage: Stage) -> None:
        stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        stage.say_goodbye(dial("100"))
        await until(lambda: caller.partner is not None)
        assert stage.control.esl is not None
        await stage.pbx.esl.stop()
        await stage.pbx.hang_up(caller)
        await stage.pbx.esl.start()
        await until(lambda: len(stage.desk.gone_calls) == 1)

    play(scenario)


def test_a_colleague_who_hangs_up_as_they_are_connected_takes_the_caller_along_and_nobody_says_they_talked() -> None:
    async def scenario(stage: Stage) -> None:
        colleague = stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()

        async def bridge(argument: str) -> str:
            """uuid_bridge_on_soft_execute, where one of the two is not ready any more."""
            stage.pbx._own(stage.pbx.hang_up(colleague.channels[0]))
            stage.pbx._own(stage.pbx.hang_up(caller, "DESTINATION_OUT_OF_ORDER"))
            return "+OK\n"

        stage.pbx._apis["uuid_bridge"] = bridge
        stage.say_goodbye(dial("100"))
        await until(lambda: len(stage.desk.gone_calls) == 1)
        assert stage.desk.through == []

    play(scenario)


def test_a_bridge_whose_reply_was_lost_is_known_by_our_leg_that_has_gone() -> None:
    async def scenario(stage: Stage) -> None:
        stage.pbx.people["user/100"] = Person()
        caller = await stage.talking()
        done = stage.pbx._apis["uuid_bridge"]

        async def bridge(argument: str) -> str:
            said = await done(argument)
            stage.pbx.esl.drop()
            return said

        stage.pbx._apis["uuid_bridge"] = bridge
        stage.say_goodbye(dial("100"))
        await until(lambda: stage.desk.through == [stage.call_id()])
        assert caller.up and len(stage.pbx.esl.lines("api uuid_bridge")) == 1

    play(scenario)


def test_without_the_socket_the_caller_is_told_at_once_that_it_failed() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        await stage.pbx.esl.stop()
        await until(lambda: stage.control.esl is not None and not stage.control.esl.connected)
        stage.say_goodbye(dial("100"), NextStep("talk"))
        found = await last_dialled(stage)
        assert found.outcome == "failed" and "not connected" in found.why
        await until(lambda: stage.link().ended is None)
        assert caller.up

    play(scenario)
