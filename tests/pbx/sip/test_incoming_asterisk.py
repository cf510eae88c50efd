"""A real Asterisk whose dialplan dials the daemon by SIP: what its caller gets of each decision."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sovereign_pbx.pbx.asterisk.pjsip_endpoint import endpoint_section
from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.pbx.sip.sound import SoundSettings
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.sip.stage import play
from tests.pbx.stage import ASSISTANT_HZ, CALLER_HZ, FALLBACK_HZ, TalkingDesk, hears, loudest, tone_frame
from tests.waiting import until

pytestmark = pytest.mark.pbx

CODECS = ("L16", "G722", "PCMU", "PCMA")
# 9…: who was answered is let go at the end. 8…: the dialplan goes on after that, too. Which of the two the daemon wants
# is in the Reason of its BYE; but of a bridged call this Asterisk (22.10) keeps cause 16, whatever the BYE says, and of
# a 503 cause 34.
DIALPLAN = """
[phones](+)
exten => _9.,1,Dial(PJSIP/sovereign/sip:${{EXTEN:1}}@127.0.0.1:{port},20)
 same => n,GotoIf($["${{HANGUPCAUSE}}" = "34"]?8${{EXTEN:1}},after)
 same => n,Hangup(${{HANGUPCAUSE}})
exten => _8.,1,Dial(PJSIP/sovereign/sip:${{EXTEN:1}}@127.0.0.1:{port},20,g)
 same => n(after),Answer()
 same => n,Milliwatt()
"""


@dataclass
class Scene:
    pbx: SipPbx
    desk: TalkingDesk
    phone: SipPhone
    asterisk: PrivateAsterisk

    async def talk(self, extension: str = "9100") -> SipCall:
        call = await self.phone.call(extension)
        await call.answered()
        await hears(call, ASSISTANT_HZ)
        return call


@asynccontextmanager
async def peer(root: Path, settings: SipSettings = SipSettings()) -> AsyncIterator[Scene]:  # noqa: B008 - frozen
    async with AsyncExitStack() as stack:
        desk = TalkingDesk()
        pbx = SipPbx(replace(settings, port=0, transports=("udp",)))
        await pbx.start(desk)
        stack.push_async_callback(pbx.stop)
        dialplan = DIALPLAN.format(port=pbx.endpoint.address("udp")[1])
        endpoint = endpoint_section(name="sovereign", transport="udp", codecs=CODECS)
        asterisk = await stack.enter_async_context(
            PrivateAsterisk(root, dialplan=dialplan, extra={"pjsip.conf": f"\n{endpoint}"})
        )
        phone = await stack.enter_async_context(SipPhone(asterisk.sip_address, port=asterisk.caller_port))
        talking = asyncio.ensure_future(desk.talk())
        try:
            yield Scene(pbx, desk, phone, asterisk)
            await until(lambda: not pbx.call_ids() and not len(pbx.legs) and not len(pbx.ports))
            await asterisk.wait_for_channels(0)
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)


def test_each_decision_reaches_the_caller_before_any_answer(asterisk_root: Path) -> None:
    # 403 is what this Asterisk makes of cause 21
    refusals = [(Decision("busy"), 486), (Decision("reject"), 403), (Decision("reject", cause=1), 404)]

    async def scene() -> None:
        async with peer(asterisk_root) as s:
            for decision, status in refusals:
                s.desk.decision = decision
                call = await s.phone.call("9100")
                end = await call.over(15)
                assert (end.how, call.responses[-1].status) == ("refused", status)
            s.desk.decision = Decision("fallback")
            call = await s.phone.call("9100")
            await call.answered()
            await hears(call, FALLBACK_HZ)
            await call.hang_up()
            assert [offer.called for offer in s.desk.offers] == ["100"] * 4
            assert {offer.caller for offer in s.desk.offers} == {"caller"}

    play(scene())


def test_they_hear_each_other_and_digits_come_once(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with peer(asterisk_root) as s:
            call = await s.talk()
            link = next(iter(s.desk.links.values()))
            call.say(b"".join(tone_frame(number, CALLER_HZ) for number in range(100)))
            await until(lambda: loudest(bytes(s.desk.heard[link][-3200:])) == CALLER_HZ)
            await call.press("12#")
            await until(lambda: len(s.desk.digits) >= 3)
            assert s.desk.digits == ["1", "2", "#"]
            await s.pbx.send_digits(s.desk.offers[0].call_id, "7")
            await until(lambda: [one.digit for one in call.ear.digits] == ["7"])
            await call.hang_up()
            await until(lambda: s.desk.gone_calls)

    play(scene())


def test_the_end_of_the_conversation_is_a_hang_up_or_the_dialplans_turn(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with peer(asterisk_root) as s:
            s.desk.step = NextStep("hangup")
            call = await s.talk()
            next(iter(s.desk.links.values())).close()
            assert (await call.over(15)).how == "they hung up"
            s.desk.links.clear()
            s.desk.step = NextStep("fallback")
            call = await s.talk("8100")
            next(iter(s.desk.links.values())).close()
            await hears(call, FALLBACK_HZ)
            await call.hang_up()

    play(scene())


def test_words_of_refusal_reach_the_caller_as_early_media(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with peer(asterisk_root) as s:
            s.desk.decision = Decision("answer", early=True)
            call = await s.phone.call("9100")
            await hears(call, ASSISTANT_HZ)
            assert 200 not in [one.status for one in call.responses]
            next(iter(s.desk.links.values())).close()
            end = await call.over(15)
            assert end.how == "refused"
            assert 200 not in [one.status for one in call.responses]

    play(scene())


def test_a_caller_who_gives_up_takes_the_decision_with_him(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with peer(asterisk_root) as s:
            s.desk.delay_s = 30
            call = await s.phone.call("9100")
            await until(lambda: s.desk.offers)
            await call.cancel()
            await until(lambda: s.desk.cancelled == 1 and s.desk.gone_calls)

    play(scene())


def test_a_daemon_that_stops_leaves_its_callers_to_the_dialplan(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with peer(asterisk_root) as s:
            call = await s.talk("8100")
            await s.pbx.stop()
            await hears(call, FALLBACK_HZ)
            await call.hang_up()

    play(scene())


def test_sound_in_the_clear_is_refused_where_it_must_be_encrypted(asterisk_root: Path) -> None:
    pytest.importorskip("pylibsrtp", reason="the extra `sip` brings it")

    async def scene() -> None:
        settings = SipSettings(sound=SoundSettings(srtp="required"))
        async with peer(asterisk_root, settings) as s:
            call = await s.phone.call("9100")
            await call.over(15)
            assert not s.desk.offers

    play(scene())
