"""What is asked on the channel of the person called, and what the desk is told of it afterwards."""

import asyncio
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.link import Dialled, NextStep
from tests.pbx.test_reception import Rig, run
from tests.waiting import until

_LEAVING = AmiMessage.parse(b"Event: HangupRequest\r\nUniqueid: 1700000000.1\r\nCause: 16\r\n")
assert _LEAVING is not None
LEAVING = _LEAVING


async def away(rig: Rig, step: NextStep | None = None) -> str:
    """A call that the dialplan passes to somebody; its token."""
    token = await rig.answered()
    rig.desk.steps = [step or NextStep("dial", "101")]
    assert (await rig.ask("next", token))["SOVEREIGN_NEXT"] == "dial"
    return token


async def briefing(rig: Rig, token: str) -> str:
    """Whom it is passed to has answered and is briefed; the id of his media."""
    told = await rig.ask("brief", token)
    await rig.bring_audio_of(told["SOVEREIGN_BRIEFING"])
    await until(lambda: rig.desk.briefing_links)
    return told["SOVEREIGN_BRIEFING"]


def told(rig: Rig) -> str | None:
    """The outcome of the last step that the desk was told."""
    how = rig.desk.dialled[-1]
    return how.outcome if isinstance(how, Dialled) else None


# --- blind


def test_the_desk_is_told_of_an_answer_before_the_two_are_connected() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig)
        assert await rig.ask("through", token) == {}
        assert rig.desk.through == [token]
        await rig.ask("next", token, "ANSWER", "16")
        assert told(rig) == "answered"
        assert rig.desk.through == [token]

    run(scenario)


def test_an_answer_that_was_not_told_is_known_by_the_end_of_the_talk() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig)
        await rig.ask("next", token, "ANSWER", "16")
        assert (rig.desk.through, told(rig)) == ([token], "answered")

    run(scenario)


def test_a_caller_who_ends_the_talk_was_put_through_before_he_was_gone() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig)
        await rig.ask("hangup", token, "16", "ANSWER")
        assert rig.desk.through == [token]
        assert rig.desk.gone_calls == [(token, 16)]

    run(scenario)


def test_a_caller_who_gives_up_while_it_rings_was_not_put_through() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig)
        await rig.ask("hangup", token, "16", "CANCEL")
        assert rig.desk.through == []
        assert rig.desk.gone_calls == [(token, 16)]

    run(scenario)


@pytest.mark.parametrize("path", ["through", "brief", "briefed"])
def test_nobody_is_put_through_who_was_not_to_be_dialled(path: str) -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        assert await rig.ask(path, token) == {}
        assert await rig.ask(path, "6f1b0a54-0d2f-4c8e-9f3a-000000000000") == {}
        assert await rig.ask(path) == {}
        assert (rig.desk.through, rig.desk.briefings, rig.desk.asked_briefed) == ([], [], [])

    run(scenario)


def test_a_dialplan_that_does_not_say_how_it_went_is_served_still() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig)
        assert await rig.ask("next", token) == {"SOVEREIGN_NEXT": "hangup"}
        assert rig.desk.dialled == [None, None]

    with capture_logs() as logs:
        run(scenario)
    assert "dialplan_does_not_say" in {entry["event"] for entry in logs}


def test_the_step_before_a_dial_is_told_nothing() -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        await rig.ask("next", token, "BUSY", "17")
        assert rig.desk.dialled == [None]

    run(scenario)


def test_who_has_talked_to_somebody_is_not_given_to_the_fallback_by_a_daemon_that_does_not_know_him() -> None:
    async def scenario(rig: Rig) -> None:
        unknown = "6f1b0a54-0d2f-4c8e-9f3a-000000000000"
        assert await rig.ask("next", unknown, "ANSWER", "16") == {"SOVEREIGN_NEXT": "hangup"}
        assert await rig.ask("next", unknown, "BUSY", "17") == {"SOVEREIGN_NEXT": "fallback"}

    run(scenario)


# --- with a briefing


def test_who_is_to_be_briefed_brings_his_media_under_an_id_of_its_own() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        own = await briefing(rig, token)
        assert UUID(own) != UUID(token)
        assert (rig.desk.briefings, rig.desk.through) == ([token], [])

    run(scenario)


def test_who_takes_the_call_is_put_through() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        await briefing(rig, token)
        assert await rig.ask("briefed", token) == {}
        assert (rig.desk.asked_briefed, rig.desk.through) == ([token], [token])
        assert rig.desk.briefing_links[0].ended is not None

    run(scenario)


def test_who_does_not_take_the_call_is_let_go() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        rig.desk.takes = False
        await briefing(rig, token)
        assert await rig.ask("briefed", token) == {"SOVEREIGN_TAKEN": "no"}
        await rig.ask("next", token, "ANSWER", "16")
        assert (told(rig), rig.desk.through) == ("declined", [])
        assert "did not take the call" in str(rig.desk.dialled[-1])

    run(scenario)


def test_who_hangs_up_during_the_briefing_has_declined() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        await briefing(rig, token)
        rig.brought[-1].close()
        await rig.ask("next", token, "ANSWER", "16")
        assert (told(rig), rig.desk.through) == ("declined", [])
        assert "hung up during the briefing" in str(rig.desk.dialled[-1])

    run(scenario)


def test_who_tries_again_after_a_briefing_is_judged_by_the_second_attempt() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        rig.desk.takes = False
        await briefing(rig, token)
        await rig.ask("briefed", token)
        rig.desk.steps = [NextStep("dial", "102")]
        await rig.ask("next", token, "ANSWER", "16")
        await rig.ask("through", token)
        await rig.ask("next", token, "ANSWER", "16")
        assert [how.outcome for how in rig.desk.dialled if how] == ["declined", "answered"]

    run(scenario)


def test_where_there_is_nothing_to_be_said_the_two_are_connected() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        rig.desk.briefs = False
        assert await rig.ask("brief", token) == {}
        assert rig.desk.through == [token]

    run(scenario)


@pytest.mark.parametrize("fault", [RuntimeError("a fault"), TimeoutError()])
def test_a_briefing_that_fails_keeps_nobody_apart(fault: Exception) -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        rig.desk.briefs = fault
        assert await rig.ask("brief", token) == {}
        rig.desk.briefs, rig.desk.takes = True, fault
        await briefing(rig, token)
        assert await rig.ask("briefed", token) == {}
        assert rig.desk.through == [token]

    with capture_logs() as logs:
        run(scenario)
    assert {entry["event"] for entry in logs} & {"briefing_failed", "briefing_too_late"}


def test_a_desk_that_is_too_slow_keeps_nobody_apart() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        rig.desk.delay_s = 30
        assert await rig.ask("brief", token) == {}
        assert rig.desk.through == [token]

    run(scenario, next_s=0.05)


def test_a_briefing_whose_audio_never_came_keeps_nobody_apart() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        assert "SOVEREIGN_BRIEFING" in await rig.ask("brief", token)
        assert await rig.ask("briefed", token) == {}
        assert (rig.desk.through, rig.desk.asked_briefed) == ([token], [])
        assert rig.audiosocket.statistics()["expected"] == 0

    run(scenario)


def test_the_media_of_a_briefing_comes_once() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        own = await briefing(rig, token)
        await rig.bring_audio_of(own)
        await until(lambda: rig.audiosocket.statistics().get("refused_unknown_id") == 1)
        assert len(rig.desk.briefing_links) == 1

    run(scenario)


def test_a_caller_who_hangs_up_during_the_briefing_ends_it() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        await briefing(rig, token)
        rig.put_through.event(LEAVING)
        assert rig.desk.gone_calls == [(token, 16)]
        assert rig.desk.briefing_links[0].ended is not None
        assert await rig.ask("briefed", token) == {}
        assert rig.desk.through == []

    run(scenario)


def test_a_caller_who_hangs_up_elsewhere_is_told_by_his_channels_end() -> None:
    async def scenario(rig: Rig) -> None:
        await away(rig)
        rig.put_through.event(LEAVING)
        await asyncio.sleep(0)
        assert rig.desk.gone_calls == []

    run(scenario)


def test_a_caller_who_is_to_be_hung_up_is_put_through_to_nobody() -> None:
    async def scenario(rig: Rig) -> None:
        token = await away(rig, NextStep("dial", "101", briefing=True))
        line = rig.lines.by_call(token)
        assert line is not None
        line.hang_up = True
        assert await rig.ask("brief", token) == {"SOVEREIGN_TAKEN": "no"}
        assert await rig.ask("through", token) == {"SOVEREIGN_TAKEN": "no"}
        assert (rig.desk.briefings, rig.desk.through) == ([], [])

    run(scenario)
