"""Decisions before the answer, as a SIP caller sees them on a real Asterisk."""

from pathlib import Path

import pytest

from sovereign_pbx.pbx.link import Decision
from sovereign_pbx.testing.sip_call import CallFailed
from tests.pbx.stage import ASSISTANT_HZ, CALLER_HZ, FALLBACK_HZ, Stage, hears, loudest, perform, tone_frame
from tests.waiting import until

pytestmark = pytest.mark.pbx


def test_an_answered_caller_and_the_assistant_hear_each_other(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call, call_id = await stage.talk()
        call.say(b"".join(tone_frame(n, CALLER_HZ) for n in range(100)))
        await hears(call, ASSISTANT_HZ)
        (heard,) = stage.desk.heard.values()
        await until(lambda: loudest(bytes(heard[-3200:])) == CALLER_HZ)
        (offer,) = stage.desk.offers
        assert (offer.caller, offer.called) == ("caller", "8000")
        assert offer.channel.startswith("PJSIP/caller-")
        await call.hang_up()
        await until(lambda: len(stage.desk.gone_calls) == 1)
        assert stage.desk.gone_calls[0][0] == call_id

    perform(asterisk_root, script)


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (Decision("busy"), 486),
        (Decision("reject"), 403),
        (Decision("reject", cause=1), 404),
        (Decision("reject", cause=34), 503),
    ],
)
def test_a_refused_call_is_never_answered(asterisk_root: Path, decision: Decision, status: int) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.decision = decision
        call = await stage.call()
        with pytest.raises(CallFailed) as caught:
            await call.answered()
        assert caught.value.status == status
        await until(lambda: len(stage.desk.gone_calls) == 1)

    perform(asterisk_root, script)


@pytest.mark.parametrize("destination", ["101", "+101", "sip:ann@127.0.0.1"])
def test_a_diverted_call_rings_where_it_was_sent(asterisk_root: Path, destination: str) -> None:
    async def script(stage: Stage) -> None:
        target = destination.replace("127.0.0.1", f"127.0.0.1:{stage.asterisk.agent_port}")
        stage.desk.decision = Decision("divert", target)
        stage.agent.manner = "answer"
        call = await stage.call()
        await call.answered()
        if destination == "+101":  # nothing in sovereign-dial matches
            await hears(call, FALLBACK_HZ)
        else:
            assert len(stage.agent.calls) == 1
        await call.hang_up()

    perform(asterisk_root, script)


@pytest.mark.parametrize("manner", ["busy", "decline"])
def test_a_diverted_call_that_nobody_takes_falls_back(asterisk_root: Path, manner: str) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.decision = Decision("divert", "101")
        stage.agent.manner = manner  # type: ignore[assignment]  # parametrize knows no Literal
        call = await stage.call()
        await call.answered()
        await hears(call, FALLBACK_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


def test_a_call_the_desk_does_not_want_falls_back(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.decision = Decision("fallback")
        call = await stage.call()
        await call.answered()
        await hears(call, FALLBACK_HZ)
        await call.hang_up()

    perform(asterisk_root, script)


def test_a_caller_who_hangs_up_while_it_rings_cancels_the_decision(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.delay_s = 30
        call = await stage.call()
        await until(lambda: len(stage.desk.offers) == 1)
        await call.cancel()
        await until(lambda: len(stage.desk.gone_calls) == 1, 1.0)
        assert stage.desk.cancelled == 1

    perform(asterisk_root, script, decide_timeout_s=30)


@pytest.mark.parametrize(
    ("dialled", "called"),
    [("+31201234567", "+31201234567"), ("reception", "reception"), ("8000%2CCUSTOMER=42", "8000CUSTOMER42")],
)
def test_the_number_dialled_reaches_the_desk_and_nothing_rides_on_it(
    asterisk_root: Path, dialled: str, called: str
) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.decision = Decision("busy")
        call = await stage.call(dialled)
        with pytest.raises(CallFailed):
            await call.answered()
        (offer,) = stage.desk.offers
        assert (offer.called, offer.variables) == (called, {})

    perform(asterisk_root, script)


def test_the_administrators_variables_go_along(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.decision = Decision("busy")
        call = await stage.call("vip")
        with pytest.raises(CallFailed):
            await call.answered()
        (offer,) = stage.desk.offers
        assert offer.called == "8000"
        assert offer.variables == {"CUSTOMER": "42", "LANGUAGE": "nl"}

    plan = """
[phones](+)
exten => vip,1,Set(SOVEREIGN_VARIABLES=CUSTOMER=42,LANGUAGE=nl)
 same => n,Goto(sovereign,8000,1)
"""
    perform(asterisk_root, script, plan=plan)
