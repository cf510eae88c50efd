"""The scripted phone against the real Asterisk."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_call import CallFailed, SipCall
from sovereign_pbx.testing.sip_caller import Manner, SipPhone
from tests.testing.signals import babble, find, tone

pytestmark = pytest.mark.pbx

Script = Callable[[PrivateAsterisk, SipPhone], Awaitable[None]]


def play(root: Path, script: Script, *, dialplan: str = "", codecs: tuple[int, ...] = (0,)) -> None:
    """Run `script` with an Asterisk and the phone it knows as `caller`; no channel may be left."""

    async def run() -> None:
        async with (
            PrivateAsterisk(root, dialplan=dialplan) as pbx,
            SipPhone(pbx.sip_address, port=pbx.caller_port, codecs=codecs) as phone,
        ):
            await script(pbx, phone)
            await pbx.wait_for_channels(0)

    asyncio.run(run())


async def talk(phone: SipPhone, extension: str = "echo") -> SipCall:
    call = await phone.call(extension)
    await call.answered()
    return call


@pytest.mark.parametrize("codec", [0, 8])
def test_an_echo_call_returns_what_was_said_without_a_missing_packet(asterisk_root: Path, codec: int) -> None:
    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await talk(phone)
        spoken = babble(2.0)
        utterance = call.say(spoken)
        await utterance.finished.wait()
        await asyncio.sleep(0.3)
        await call.hang_up()
        started, heard = call.ear.by_timestamp()
        at, likeness = find(spoken, heard)
        assert likeness > 0.99
        assert call.ear.sequence_gaps() == 0
        assert utterance.started_at is not None
        assert started + at - utterance.started_at == pytest.approx(0.0, abs=0.2)
        assert call.ear.heard.duration_s() == pytest.approx(len(heard) / 16_000, abs=0.1)
        assert call.end is not None and call.end.how == "we hung up"

    play(asterisk_root, script, codecs=(codec,))


def test_what_was_heard_is_measured_on_the_same_time_axis(asterisk_root: Path) -> None:
    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await talk(phone)
        utterances = []
        for _ in range(2):
            utterances.append(call.say(tone(0.4)))
            await utterances[-1].finished.wait()
            await asyncio.sleep(0.6)
        await call.hang_up()
        sounds = call.ear.heard.sounds()
        assert len(sounds) == 2
        for sound, utterance in zip(sounds, utterances, strict=True):
            assert utterance.started_at is not None and utterance.ended_at is not None
            assert -0.02 <= sound.start - utterance.started_at < 0.3
            assert 0.38 <= sound.end - sound.start < 0.6
        assert call.ear.heard.real_time_ratio() == pytest.approx(1.0, abs=0.1)

    play(asterisk_root, script)


def test_digits_reach_the_dialplan(asterisk_root: Path) -> None:
    dialplan = (
        "[phones](+)\nexten => read,1,Answer()\n same => n,Read(GOT,beep,4,,1,5)\n same => n,SendDTMF(${GOT},50,100)\n"
    )

    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await talk(phone, "read")
        await call.press("19*0")
        end = await call.over()
        assert [digit.digit for digit in call.ear.digits] == ["1", "9", "*", "0"]
        assert end.how == "they hung up"

    play(asterisk_root, script, dialplan=dialplan)


def test_a_phone_on_hold_is_silent_and_comes_back(asterisk_root: Path) -> None:
    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await talk(phone)
        await call.hold()
        await asyncio.sleep(0.1)
        frames = call.ear.heard.frames
        await asyncio.sleep(0.3)
        assert call.ear.heard.frames <= frames + 1  # Echo() gets nothing to return
        await call.unhold()
        utterance = call.say(babble(0.5))
        await utterance.finished.wait()
        await asyncio.sleep(0.2)
        assert find(babble(0.5), call.ear.by_timestamp()[1])[1] > 0.99
        await call.hang_up()

    play(asterisk_root, script)


def test_busy_is_reported_with_its_status_and_cause(asterisk_root: Path) -> None:
    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await phone.call("busy")
        with pytest.raises(CallFailed) as failure:
            await call.answered()
        assert failure.value.status == 486
        assert call.end is not None and (call.end.how, call.end.cause) == ("refused", 17)

    play(asterisk_root, script)


def test_early_media_is_heard_before_any_answer(asterisk_root: Path) -> None:
    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await phone.call("early")
        await asyncio.wait_for(call.early.wait(), 5)
        end = await call.over()
        assert call.answered_at is None
        assert end.cause == 21
        assert call.ear.heard.sounds()

    play(asterisk_root, script)


def test_a_caller_may_give_up_while_it_rings(asterisk_root: Path) -> None:
    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await phone.call("ring")
        await pbx.wait_for_channels(1)
        await call.cancel()
        assert call.end is not None and call.end.how == "cancelled"

    play(asterisk_root, script)


def test_a_reason_given_at_the_end_reaches_the_pbx(asterisk_root: Path) -> None:
    dialplan = "[phones](+)\nexten => h,1,Log(NOTICE,ended with ${HANGUPCAUSE})\n"

    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await talk(phone)
        await call.hang_up("Q.850;cause=31")
        await pbx.wait_for_channels(0)
        assert "ended with 31" in pbx.log()

    play(asterisk_root, script, dialplan=dialplan)


def test_headers_and_name_of_the_caller_reach_the_dialplan(asterisk_root: Path) -> None:
    dialplan = (
        "[phones](+)\nexten => who,1,Log(NOTICE,${CALLERID(all)} says ${PJSIP_HEADER(read,X-Topic)})\n"
        " same => n,Hangup(16)\n"
    )

    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        call = await phone.call("who", name="Ada L", headers=[("X-Topic", "bread")])
        await call.over()
        assert '"Ada L" <caller> says bread' in pbx.log()

    play(asterisk_root, script, dialplan=dialplan)


# A second phone takes the call


def test_an_answering_agent_and_the_caller_hear_each_other(asterisk_root: Path) -> None:
    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        async with SipPhone(pbx.sip_address, user="agent", port=pbx.agent_port, manner="answer") as agent:
            call = await talk(phone, "agent")
            taken = await agent.incoming()
            call.say(babble(1.0, seed=1))
            last = taken.say(babble(1.0, seed=2))
            await last.finished.wait()
            await asyncio.sleep(0.3)
            assert find(babble(1.0, seed=1), taken.ear.by_timestamp()[1])[1] > 0.99
            assert find(babble(1.0, seed=2), call.ear.by_timestamp()[1])[1] > 0.99
            await taken.hang_up()
            assert (await call.over()).how == "they hung up"

    play(asterisk_root, script)


@pytest.mark.parametrize(("manner", "cause"), [("busy", 17), ("decline", 21)])
def test_an_agent_may_refuse(asterisk_root: Path, manner: Manner, cause: int) -> None:
    dialplan = "[phones](+)\nexten => ask,1,Dial(PJSIP/agent,5)\n same => n,Hangup(${HANGUPCAUSE})\n"

    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        async with SipPhone(pbx.sip_address, user="agent", port=pbx.agent_port, manner=manner):
            call = await phone.call("ask")
            assert (await call.over()).cause == cause

    play(asterisk_root, script, dialplan=dialplan)


def test_an_agent_who_only_rings_is_given_up_by_the_pbx(asterisk_root: Path) -> None:
    dialplan = "[phones](+)\nexten => ask,1,Dial(PJSIP/agent,1)\n same => n,Hangup(19)\n"

    async def script(pbx: PrivateAsterisk, phone: SipPhone) -> None:
        async with SipPhone(pbx.sip_address, user="agent", port=pbx.agent_port, manner="ring") as agent:
            call = await phone.call("ask")
            asked = await agent.incoming()
            assert (await asked.over()).how == "cancelled"
            assert (await call.over()).cause == 19
            assert 180 in [answer.status for answer in call.responses]

    play(asterisk_root, script, dialplan=dialplan)


def test_a_phone_that_registers_can_be_called(asterisk_root: Path) -> None:
    async def body() -> None:
        extra = {
            "modules.conf": "load = res_pjsip_registrar.so",
            "pjsip.conf": "[mobile](phone)\naors = mobile\n[mobile]\ntype = aor\nmax_contacts = 1\n",
        }
        plan = "[phones](+)\nexten => mobile,1,Dial(PJSIP/mobile)\n"
        async with (
            PrivateAsterisk(asterisk_root, dialplan=plan, extra=extra) as pbx,
            SipPhone(pbx.sip_address, port=pbx.caller_port) as phone,
            SipPhone(pbx.sip_address, user="mobile", manner="answer") as mobile,
        ):
            unreachable = await phone.call("mobile")
            with pytest.raises(CallFailed):
                await unreachable.answered()
            await mobile.register()
            call = await phone.call("mobile")
            await call.answered()
            await call.hang_up()
            await pbx.wait_for_channels(0)

    asyncio.run(body())


def test_a_phone_that_nobody_knows_is_not_registered(asterisk_root: Path) -> None:
    async def body() -> None:
        extra = {"modules.conf": "load = res_pjsip_registrar.so"}
        async with (
            PrivateAsterisk(asterisk_root, extra=extra) as pbx,
            SipPhone(pbx.sip_address, user="stranger") as phone,
        ):
            with pytest.raises(CallFailed):
                await phone.register()

    asyncio.run(body())
