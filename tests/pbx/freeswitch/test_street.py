"""One suite for a played FreeSWITCH and, where one is named, a real one."""

import os
from uuid import uuid4

import pytest

from sovereign_pbx.pbx.link import Decision, Dialled, DialOrder, NextStep
from sovereign_pbx.testing.freeswitch_channel import Manner
from tests.pbx.freeswitch.stage import dial
from tests.pbx.freeswitch.street import MISSING, WHERE, Street, play
from tests.waiting import until

real = pytest.param("real", marks=pytest.mark.skipif(WHERE not in os.environ, reason=MISSING))
on_both = pytest.mark.parametrize("kind", ["played", real])


def say_goodbye(street: Street, *steps: NextStep) -> None:
    street.desk.steps.extend(steps)
    list(street.desk.links.values())[-1].close()


async def last_dialled(street: Street) -> Dialled:
    await until(lambda: any(street.desk.dialled))
    return next(one for one in reversed(street.desk.dialled) if one is not None)


@on_both
def test_a_caller_is_answered_and_the_assistant_hangs_up(kind: str) -> None:
    async def scene(street: Street) -> None:
        caller = await street.caller()
        assert len(street.desk.offers[0].pbx_id) == 36
        say_goodbye(street)
        await caller.over()
        await until(lambda: len(street.desk.gone_calls) == 1)

    play(kind, scene)


@on_both
def test_a_caller_hangs_up(kind: str) -> None:
    async def scene(street: Street) -> None:
        caller = await street.caller()
        await caller.hang_up()
        await until(lambda: len(street.desk.gone_calls) == 1)

    play(kind, scene)


@on_both
def test_a_refused_caller_is_let_go(kind: str) -> None:
    async def scene(street: Street) -> None:
        street.desk.decision = Decision("busy")
        caller = await street.refused()
        await caller.over()
        assert street.desk.links == {}

    play(kind, scene)


@on_both
def test_a_colleague_has_the_caller_and_gives_him_back(kind: str) -> None:
    async def scene(street: Street) -> None:
        number = await street.colleague("answer")
        caller = await street.caller()
        say_goodbye(street, dial(number), NextStep("talk"))
        colleague = await street.reached()
        await until(lambda: street.desk.through)
        assert caller.up and street.desk.gone_calls == []
        before = list(street.desk.links.values())[-1]
        await colleague.hang_up()
        assert (await last_dialled(street)).outcome == "answered"
        await until(lambda: list(street.desk.links.values())[-1] is not before)
        assert caller.up
        say_goodbye(street)
        await caller.over()

    play(kind, scene)


@on_both
def test_a_caller_hangs_up_on_the_colleague(kind: str) -> None:
    async def scene(street: Street) -> None:
        number = await street.colleague("answer")
        caller = await street.caller()
        say_goodbye(street, dial(number))
        colleague = await street.reached()
        await until(lambda: street.desk.through)
        await caller.hang_up()
        await colleague.over()
        await until(lambda: len(street.desk.gone_calls) == 1)

    play(kind, scene)


@on_both
@pytest.mark.parametrize(("manner", "outcome"), [("busy", "busy"), ("decline", "declined"), ("ring", "no_answer")])
def test_who_does_not_take_the_caller_gives_him_back(kind: str, manner: Manner, outcome: str) -> None:
    async def scene(street: Street) -> None:
        number = await street.colleague(manner)
        caller = await street.caller()
        say_goodbye(street, dial(number, ring_s=2.0), NextStep("talk"))
        assert (await last_dialled(street)).outcome == outcome
        await until(lambda: list(street.desk.links.values())[-1].ended is None)
        assert caller.up

    play(kind, scene)


@on_both
@pytest.mark.parametrize("takes", [True, False])
def test_a_colleague_is_briefed_and_says_whether_he_takes_the_caller(kind: str, takes: bool) -> None:
    async def scene(street: Street) -> None:
        street.desk.takes = takes
        number = await street.colleague("answer")
        caller = await street.caller()
        say_goodbye(street, dial(number, briefing=True), NextStep("talk"))
        colleague = await street.reached()
        await until(lambda: street.desk.briefing_links)
        street.desk.briefing_links[0].close()
        if takes:
            await until(lambda: street.desk.through)
            assert caller.up and colleague.up
        else:
            await colleague.over()
            assert (await last_dialled(street)).outcome == "declined"

    play(kind, scene)


@on_both
@pytest.mark.parametrize(("manner", "reason"), [("answer", ""), ("busy", "busy"), ("decline", "rejected")])
def test_an_order_is_answered_or_not(kind: str, manner: Manner, reason: str) -> None:
    async def scene(street: Street) -> None:
        number = await street.colleague(manner)
        order = DialOrder(call_id=str(uuid4()), destination=number)
        await street.sip.originate(order)
        if reason:
            await until(lambda: street.desk.unanswered)
            assert street.desk.unanswered[0][1].reason == reason
        else:
            await until(lambda: street.desk.links)
            say_goodbye(street)
        await until(lambda: len(street.desk.gone_calls) == 1)

    play(kind, scene)


@on_both
def test_afterwards_nothing_is_left(kind: str) -> None:
    async def scene(street: Street) -> None:
        number = await street.colleague("answer")
        caller = await street.caller()
        say_goodbye(street, dial(number))
        await until(lambda: street.desk.through)
        await caller.hang_up()
        await until(lambda: len(street.desk.gone_calls) == 1)
        found = await street.control.audit()
        assert (found["asked"], found["differences"]) == (True, [])
        assert await street.control.left_over() == 0

    play(kind, scene)
