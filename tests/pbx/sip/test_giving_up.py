"""CANCEL, BYE and ACK at each moment: a call ends once, and nothing of it is left."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.wire.sip import cseq
from tests.pbx.sip.stage import Stage, play, stage
from tests.pbx.sip.ua import UaCall, sdp
from tests.waiting import until


async def empty(s: Stage) -> None:
    await until(lambda: not s.pbx.call_ids() and not len(s.pbx.legs) and not len(s.pbx.ports))
    ids = [call_id for call_id, _ in s.desk.gone_calls]
    assert sorted(ids) == sorted(offer.call_id for offer in s.desk.offers)


def test_a_cancelled_call_is_487_and_its_decision_is_cancelled() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.delay_s = 30
            call = s.ua.call()
            await call.status(180)
            call.cancel()
            await call.status(487)
            call.ack()
            await empty(s)
            assert s.desk.cancelled == 1
            assert not s.desk.links

    play(scene())


def test_a_cancel_right_behind_the_invite_ends_it() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.delay_s = 30
            call = s.ua.call()
            call.cancel()
            await call.status(487)
            call.ack()
            await empty(s)

    play(scene())


def test_a_cancel_that_crosses_the_answer_changes_nothing_until_the_bye() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call()
            await call.answered(ack=False)
            call.cancel()
            call.ack()
            await s.link()
            assert (await call.asked("BYE")).status == 200
            await empty(s)

    play(scene())


def test_a_bye_while_it_rings_ends_the_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.delay_s = 30
            call = s.ua.call()
            await call.status(180)
            assert (await call.asked("BYE")).status == 200
            assert call.first is not None
            assert (await call.answer_to(call.first)).status == 487
            call.ack(number=cseq(call.first.headers)[0])
            await empty(s)

    play(scene())


def test_a_bye_before_the_ack_ends_the_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call()
            await call.answered(ack=False)
            assert (await call.asked("BYE")).status == 200
            await empty(s)
            assert not s.desk.links

    play(scene())


def test_we_hang_up_on_an_answer_of_ours_only_once_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.leg.UNACKNOWLEDGED_S", 30.0)

    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call()
            await call.answered(ack=False)
            hanging_up = asyncio.ensure_future(s.pbx.hang_up(s.desk.offers[0].call_id))
            await asyncio.sleep(0.1)
            assert not call.came("BYE")
            call.ack()
            await call.comes("BYE")
            await hanging_up
            await empty(s)

    play(scene())


def test_a_caller_who_gives_up_on_words_of_refusal_is_gone() -> None:
    async def scene() -> None:
        async with stage(Decision("answer", early=True)) as s:
            call = s.ua.call()
            await call.status(183)
            link = await s.link()
            call.cancel()
            await call.status(487)
            call.ack()
            await empty(s)
            assert link.ended is not None
            assert not s.desk.asked_next

    play(scene())


def test_a_bye_of_another_tag_is_of_no_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            await s.connected()
            call = s.ua.dialogs[0]
            other = UaCall(s.ua, "100")
            other.call_id, other.first, other.number = call.call_id, call.first, 5
            s.ua.dialogs.append(other)
            assert (await other.asked("BYE")).status == 481
            assert s.pbx.call_ids()

    play(scene())


MOVES = ("cancel", "bye", "ack", "again", "close", "hang_up", "pause", "pause", "stray")


@pytest.mark.parametrize("early", [False, True])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves=st.lists(st.sampled_from(MOVES), max_size=7), delay=st.sampled_from([0.0, 0.0, 0.02]))
def test_whatever_crosses_a_call_ends_once_and_leaves_nothing(early: bool, moves: list[str], delay: float) -> None:
    async def scene() -> None:
        async with stage(Decision("answer", early=early)) as s:
            s.desk.delay_s = delay
            s.desk.step = NextStep("hangup")
            call = s.ua.call()
            for move in moves:
                await _move(s, call, move)
            call.cancel()
            call.ack(number=1)
            call.number = max(call.number, 50)
            call.request("BYE")
            await until(lambda: any(status >= 200 for status in call.statuses()))
            await empty(s)

    play(scene())


async def _move(s: Stage, call: UaCall, move: str) -> None:
    match move:
        case "cancel":
            call.cancel()
        case "bye":
            call.request("BYE")
        case "ack":
            call.ack(number=1)
        case "again":
            call.again()
        case "close":
            for link in s.desk.links.values():
                link.close()
        case "hang_up":
            for offer in s.desk.offers:
                await s.pbx.hang_up(offer.call_id)
        case "pause":
            await asyncio.sleep(0.01)
        case "stray":
            call.request("INFO")


TALKING = ("offer", "bare", "ack", "update", "info", "again", "close", "hang_up", "pause", "bye", "cancel")


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    moves=st.lists(st.sampled_from(TALKING), max_size=9), steps=st.lists(st.sampled_from(["talk", "dial"]), max_size=3)
)
def test_whatever_is_asked_within_a_call_it_ends_once_and_leaves_nothing(moves: list[str], steps: list[str]) -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.steps = [NextStep(step, "200" if step == "dial" else "") for step in steps]  # type: ignore[arg-type]  # one of the two above
            s.ua.answers = lambda request: 491 if request.method == "INVITE" else 200
            await s.connected()
            call = s.ua.dialogs[0]
            for move in moves:
                await _ask(s, call, move)
            call.request("BYE")
            await empty(s)

    play(scene())


async def _ask(s: Stage, call: UaCall, move: str) -> None:
    match move:
        case "offer":
            call.request("INVITE", body=sdp(direction="sendonly"))
        case "bare":
            call.request("INVITE")
        case "ack":
            call.ack(sdp())
        case "update":
            call.request("UPDATE", body=sdp())
        case "info":
            call.request("INFO", number=1)
        case _:
            await _move(s, call, move)


@pytest.mark.parametrize("turns", [0, 1, 2, 4, 7])
def test_a_daemon_that_stops_while_calls_come_in_leaves_nothing(turns: int) -> None:
    """A port for the sound that is being made just then is made, and given back."""

    async def scene() -> None:
        async with stage() as s:
            s.desk.delay_s = 30
            calls = [s.ua.call() for _ in range(6)]
            await until(lambda: any(call.statuses() for call in calls))
            calls += [s.ua.call() for _ in range(6)]
            for _ in range(turns):
                await asyncio.sleep(0)
            await s.pbx.stop()
            assert not len(s.pbx.ports)
            assert not s.pbx.call_ids()

    play(scene())
