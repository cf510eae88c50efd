"""Calls placed on the real Asterisk: whom they reach, and how each that nobody answers is told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.pbx.link import DialOrder, NextStep
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_call import SipCall
from tests.pbx.stage import ASSISTANT_HZ, PLAN, Stage, hears, perform, tone_frame
from tests.waiting import until

pytestmark = pytest.mark.pbx

OURS = "+31850835037"
DIRECT, THROUGH_THE_CONTEXT = "agent", ""
BOTH = pytest.mark.parametrize("trunk", [DIRECT, THROUGH_THE_CONTEXT])


def order(number: str = "100", *, trunk: str = DIRECT, ring_s: float = 10.0, **more: str) -> DialOrder:
    return DialOrder(
        call_id=str(uuid4()), destination=number, trunk=trunk, caller_id=OURS, ring_s=ring_s, variables=more
    )


def run(root: Path, script: Callable[[Stage], Awaitable[None]], plan: str = PLAN) -> None:
    perform(root, script, plan=plan, ami_write="call,originate,reporting")


async def ended(stage: Stage, call_id: str, within_s: float = 10.0) -> tuple[str, int | None, str]:
    """(reason, cause, why) of an order that nobody answered."""
    await until(lambda: stage.desk.unanswered and stage.desk.gone_calls, within_s)
    ((told, how),) = stage.desk.unanswered
    assert told == call_id
    assert [one for one, _ in stage.desk.gone_calls] == [call_id]
    return how.reason, how.cause, how.why


async def talking(stage: Stage, wanted: DialOrder) -> SipCall:
    """The agent has answered and hears the assistant."""
    stage.agent.manner = "answer"
    await stage.pbx.originate(wanted)
    await until(lambda: wanted.call_id in stage.desk.links)
    call = await stage.agent.incoming()
    await hears(call, ASSISTANT_HZ)
    return call


@BOTH
def test_somebody_who_answers_hears_the_assistant(asterisk_root: Path, trunk: str) -> None:
    async def script(stage: Stage) -> None:
        wanted = order(trunk=trunk)
        call = await talking(stage, wanted)
        assert OURS in call.invite.get("From")
        assert ("100@" in call.invite.start) == (trunk == DIRECT)  # else the administrator's context says who is rung
        assert stage.desk.picked == [wanted.call_id]
        await call.hang_up()
        await until(lambda: stage.desk.gone_calls)
        assert stage.desk.unanswered == []

    run(asterisk_root, script)


@BOTH
@pytest.mark.parametrize(("manner", "told"), [("busy", ("busy", 17)), ("decline", ("rejected", 21))])
def test_a_refusal_is_told_for_what_it_is(asterisk_root: Path, trunk: str, manner: str, told: tuple[str, int]) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = manner  # type: ignore[assignment]  # one of them
        wanted = order(trunk=trunk)
        await stage.pbx.originate(wanted)
        assert (await ended(stage, wanted.call_id))[:2] == told

    run(asterisk_root, script)


@pytest.mark.parametrize(
    ("manner", "told"), [("busy", ("busy", 17)), ("decline", ("rejected", 21)), ("ring", ("no_answer", 19))]
)
def test_a_refusal_is_seen_through_a_dialplan_of_many_storeys(
    asterisk_root: Path, manner: str, told: tuple[str, int]
) -> None:
    storeys = (
        "exten => _1XX,1,Dial(Local/${EXTEN}@upstairs)\n[upstairs]\nexten => _1XX,1,Dial(Local/${EXTEN}@attic/n)\n"
    )
    plan = PLAN.replace("exten => _1XX,1,", f"{storeys}[attic]\nexten => _1XX,1,").replace(
        "exten => uri", "[sovereign-dial](+)\nexten => uri"
    )

    async def script(stage: Stage) -> None:
        stage.agent.manner = manner  # type: ignore[assignment]  # one of them
        wanted = order(trunk="", ring_s=1.0)
        await stage.pbx.originate(wanted)
        assert (await ended(stage, wanted.call_id))[:2] == told

    run(asterisk_root, script, plan)


@BOTH
@pytest.mark.parametrize("manner", ["ring", "dead"])
def test_the_ring_time_out_is_no_answer(asterisk_root: Path, trunk: str, manner: str) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = manner  # type: ignore[assignment]  # one of them
        wanted = order(trunk=trunk, ring_s=1.0)
        began = asyncio.get_running_loop().time()
        await stage.pbx.originate(wanted)
        assert (await ended(stage, wanted.call_id))[:2] == ("no_answer", 19)
        assert 0.9 < asyncio.get_running_loop().time() - began < 2.5

    run(asterisk_root, script)


@BOTH
@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        ("404 Not Found", "error", "nobody has this number"),
        ("484 Address Incomplete", "error", "incomplete or wrong"),
        ("480 Temporarily Unavailable", "no_answer", "Nobody answered"),
        ("503 Service Unavailable", "error", ""),
        ("488 Not Acceptable Here", "error", ""),
    ],
)
def test_other_refusals_are_told_in_words(
    asterisk_root: Path, trunk: str, status: str, reason: str, words: str
) -> None:
    async def script(stage: Stage) -> None:
        wanted = order(trunk=trunk)
        await stage.pbx.originate(wanted)
        (await stage.agent.incoming()).decline(status)
        told = await ended(stage, wanted.call_id)
        assert told[0] == reason, told
        assert words in told[2], told

    run(asterisk_root, script)


@pytest.mark.parametrize("wanted", [order("100", trunk="nobody"), order("999", trunk="")])
def test_an_unknown_trunk_or_extension_is_told(asterisk_root: Path, wanted: DialOrder) -> None:
    async def script(stage: Stage) -> None:
        await stage.pbx.originate(wanted)
        reason, _, why = await ended(stage, wanted.call_id)
        assert (reason, "can't dial" in why) == ("error", True), why

    run(asterisk_root, script)


def test_a_sip_uri_goes_to_the_administrators_extension(asterisk_root: Path) -> None:
    plan = PLAN.replace("Dial(PJSIP/agent/${SOVEREIGN_DEST})", "Dial(PJSIP/${SOVEREIGN_TRUNK}/${SOVEREIGN_DEST})")

    async def script(stage: Stage) -> None:
        host = f"127.0.0.1:{stage.agent.port}"
        call = await talking(stage, order(f"sip:ann@{host}", trunk="agent"))
        assert call.invite.start.startswith(f"INVITE sip:ann@{host}")
        await call.hang_up()
        await until(lambda: stage.desk.gone_calls)

    run(asterisk_root, script, plan)


def test_a_customers_variables_reach_the_dialplan_and_no_further(asterisk_root: Path) -> None:
    plan = PLAN.replace(
        "exten => _1XX,1,Dial(PJSIP/agent)",
        "exten => _1XX,1,Set(CALLERID(name)=${SOVEREIGN_VAR_name})\n same => n,Dial(PJSIP/agent)",
    )

    async def script(stage: Stage) -> None:
        call = await talking(stage, order(trunk="", name="Jan, ${SHELL(id)}"))
        assert '"Jan SHELL id"' in call.invite.get("From").replace("  ", " ").replace("  ", " ").replace(' "', '"')
        await call.hang_up()
        await until(lambda: stage.desk.gone_calls)

    run(asterisk_root, script, plan)


def test_a_transfer_goes_out_on_the_trunk_that_is_named(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.step = NextStep("dial", "+31201234567", "agent")
        caller, call_id = await stage.talk()
        stage.desk.links[call_id].close()
        there = await stage.agent.incoming()
        assert "sip:+31201234567@" in there.invite.start
        await there.answer()
        await caller.hang_up()
        await there.over()

    perform(asterisk_root, script)


def test_a_trunk_is_of_one_transfer_only(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.steps = [NextStep("dial", "+31201234567", "agent"), NextStep("dial", "100")]
        stage.agent.manner = "busy"
        caller, call_id = await stage.talk()
        stage.desk.links[call_id].close()
        await until(lambda: len(stage.agent.calls) == 2)
        first, second = (call.invite.start for call in stage.agent.calls.values())
        assert "sip:+31201234567@" in first
        assert "sip:agent@" in second  # as the administrator's context dials
        await caller.over()

    perform(asterisk_root, script)


@BOTH
@pytest.mark.parametrize("extension", ["h", "none"])
def test_who_answers_and_hangs_up_before_the_daemon_has_the_call_did_answer(
    asterisk_root: Path, trunk: str, extension: str
) -> None:
    """The `h` extension tells, and where that is missing the manager's events."""

    def slowly(text: str) -> str:
        before, context, rest = text.partition("\n[sovereign-outbound]\n")
        asking, hangup, after = rest.partition("exten => h,1,")
        assert context and hangup
        asking = asking.replace("s,1,", "s,1,Wait(5)\n same => n,", 1)
        return before + context + asking + (hangup if extension == "h" else "exten => nobody,1,") + after

    async def script(stage: Stage) -> None:
        stage.agent.manner = "answer"
        wanted = order(trunk=trunk)
        await stage.pbx.originate(wanted)
        call = await stage.agent.incoming()
        await call.answered()
        await asyncio.sleep(0.2)  # it is in the dialplan now
        await call.hang_up()
        reason, _, why = await ended(stage, wanted.call_id)
        assert (reason, stage.desk.picked) == ("user_hangup", []), why

    perform(asterisk_root, script, edit=slowly, ami_write="call,originate,reporting")


@BOTH
def test_who_hangs_up_in_the_moment_of_his_answer_did_answer(asterisk_root: Path, trunk: str) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = "answer"
        wanted = order(trunk=trunk)
        await stage.pbx.originate(wanted)
        call = await stage.agent.incoming()
        await call.answered()
        await call.hang_up()
        await until(lambda: stage.desk.gone_calls)
        told = [(call_id, how.reason) for call_id, how in stage.desk.unanswered]
        assert told == ([] if stage.desk.picked else [(wanted.call_id, "user_hangup")])

    run(asterisk_root, script)


def test_hanging_up_before_anybody_answers_stops_the_ringing(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = "ring"
        wanted = order()
        await stage.pbx.originate(wanted)
        call = await stage.agent.incoming()
        await stage.pbx.hang_up(wanted.call_id)
        assert (await call.over()).how == "cancelled"
        await until(lambda: stage.desk.gone_calls)

    run(asterisk_root, script)


def test_hanging_up_at_once_dials_nobody_for_long(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.agent.manner = "ring"
        for _ in range(5):
            wanted = order()
            await stage.pbx.originate(wanted)
            await stage.pbx.hang_up(wanted.call_id)
        await until(lambda: len(stage.desk.gone_calls) == 5)

    run(asterisk_root, script)


def test_a_dialplan_without_the_context_is_a_refusal_before_anybody_is_rung(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        await stage.asterisk.replace_dialplan("[sovereign-inbound]\nexten => s,1,Hangup()\n")
        with pytest.raises(Refused, match="no context for outbound calls") as caught:
            await stage.pbx.originate(order())
        assert caught.value.code == "pbx_unavailable"
        assert (stage.agent.calls, stage.pbx.health()["calls"]) == ({}, 0)

    run(asterisk_root, script)


def test_a_user_who_may_not_originate_is_told_what_to_grant(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        with pytest.raises(Refused, match="add originate to its write line"):
            await stage.pbx.originate(order())
        assert stage.pbx.health()["calls"] == 0

    perform(asterisk_root, script)


AMD_PLAN = f"{PLAN}\n[sovereign-answered]\nexten => s,1,TryExec(AMD())\n same => n,Return()\n"


async def load_amd(asterisk: PrivateAsterisk) -> None:
    """Asterisk's own values, all of them."""
    await asyncio.to_thread((asterisk.run_dir / "etc/amd.conf").write_text, "[general]\n")
    assert "Loaded" in await asterisk.cli("module load app_amd.so")


@BOTH
@pytest.mark.parametrize(
    ("says", "found"),
    [
        ([(0.3, 0.5)], "person"),  # hello, and then he waits
        ([(0.3, 6.0)], "mailbox"),
        ([], "unknown"),  # a machine to Asterisk, since nothing was said
    ],
)
def test_what_asterisk_itself_makes_of_whoever_answers_is_told(
    asterisk_root: Path, trunk: str, says: list[tuple[float, float]], found: str
) -> None:
    async def script(stage: Stage) -> None:
        await load_amd(stage.asterisk)
        stage.agent.manner = "answer"
        wanted = order(trunk=trunk)
        await stage.pbx.originate(wanted)
        call = await stage.agent.incoming()
        await call.answered()
        for pause_s, speech_s in says:
            await asyncio.sleep(pause_s)
            call.say(b"".join(tone_frame(number) for number in range(round(speech_s * 50))))
        await until(lambda: stage.desk.answered_by)
        assert stage.desk.answered_by == [found]
        await hears(call, ASSISTANT_HZ)
        await call.hang_up()
        await until(lambda: stage.desk.gone_calls)

    run(asterisk_root, script, AMD_PLAN)


@BOTH
def test_who_hangs_up_while_asterisk_listens_did_answer(asterisk_root: Path, trunk: str) -> None:
    async def script(stage: Stage) -> None:
        await load_amd(stage.asterisk)
        stage.agent.manner = "answer"
        wanted = order(trunk=trunk)
        await stage.pbx.originate(wanted)
        call = await stage.agent.incoming()
        await call.answered()
        await asyncio.sleep(0.4)
        await call.hang_up()
        reason, _, why = await ended(stage, wanted.call_id)
        assert (reason, stage.desk.picked) == ("user_hangup", []), why

    run(asterisk_root, script, AMD_PLAN)


def test_where_asterisk_has_no_such_detection_the_call_goes_on_without(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        call = await talking(stage, order())
        assert stage.desk.answered_by == ["unknown"]
        await call.hang_up()
        await until(lambda: stage.desk.gone_calls)

    run(asterisk_root, script, AMD_PLAN)
