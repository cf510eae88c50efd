"""INVITEs to tokens: the sound of Asterisk's calls, and what a control has brought here."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from sovereign_pbx.core.errors import LinkClosed, LinkEnded, LinkFinished, Refused
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Decision, Dialled, DialOrder, NextStep, NotAnswered
from sovereign_pbx.pbx.sip.control import Calls, HeldCall
from sovereign_pbx.pbx.sip.sip_pbx import SipSettings
from sovereign_pbx.wire.sip import Request, cause_of
from tests.pbx.desk import Ear
from tests.pbx.sip.stage import Stage, play, stage, tick
from tests.pbx.sip.ua import UaCall, sdp
from tests.waiting import until


class Told:
    """What a carrier tells AsteriskPbx."""

    def __init__(self, s: Stage) -> None:
        self.links: dict[str, MediaLink] = {}
        self.expired: list[str] = []
        self.ended: list[tuple[str, type[LinkEnded]]] = []
        self.desk = s.desk
        s.pbx.carrier.on_connect = self._came
        s.pbx.carrier.on_expired = self.expired.append
        s.pbx.carrier.on_ended = lambda token, link, how: self.ended.append((token, type(how)))

    def _came(self, token: str, link: MediaLink) -> None:
        link.listener = Ear(self.desk)
        self.links[token] = link


def test_an_expected_token_is_answered_at_once_and_becomes_a_link_of_its_rate() -> None:
    async def scene() -> None:
        async with stage() as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 10, rate=16000)
            assert s.pbx.carrier.knows(token)
            call = s.ua.call(token)
            await call.answered()
            await until(lambda: told.links)
            assert told.links[token].rate == 16000
            assert 180 not in call.statuses()
            assert s.pbx.carrier.knows(token)
            assert not s.desk.offers
            await call.asked("BYE")
            await until(lambda: told.ended == [(token, LinkFinished)])
            assert not s.pbx.carrier.knows(token)

    play(scene())


@pytest.mark.parametrize(("rate", "expected"), [(8000, "PCMU"), (16000, "L16")])
def test_sound_that_is_wanted_narrow_is_not_made_wide_on_its_way(rate: int, expected: str) -> None:
    async def scene() -> None:
        async with stage() as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 10, rate=rate)
            rtpmap = "a=rtpmap:118 L16/16000\r\n"
            call = s.ua.call(token, body=sdp(formats="118 0 101") + rtpmap)
            await call.answered()
            await until(lambda: told.links)
            quality = told.links[token].quality()
            assert quality is not None and quality.codec.startswith(expected)

    play(scene())


def test_a_link_that_the_daemon_closes_ends_the_leg() -> None:
    async def scene() -> None:
        async with stage() as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 10)
            call = s.ua.call(token)
            await call.answered()
            await until(lambda: told.links)
            told.links[token].close()
            assert cause_of(await call.comes("BYE")) == 16
            await until(lambda: told.ended == [(token, LinkClosed)])
            await until(lambda: not len(s.pbx.legs) and not len(s.pbx.ports))

    play(scene())


def test_a_token_is_good_for_one_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 10)
            await s.ua.call(token).answered()
            await until(lambda: told.links)
            await s.ua.call(token).status(404)

    play(scene())


def test_a_token_that_nobody_brings_expires() -> None:
    async def scene() -> None:
        async with stage() as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 0.05)
            await until(lambda: told.expired == [token])
            await s.ua.call(token).status(404)
            assert s.pbx.carrier.statistics()["expired"] == 1

    play(scene())


def test_a_token_that_was_forgotten_is_nobodys() -> None:
    async def scene() -> None:
        async with stage() as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 10)
            s.pbx.carrier.forget(token)
            await s.ua.call(token).status(404)
            assert not told.links

    play(scene())


def test_a_token_needs_no_password() -> None:
    def guarded(usual: SipSettings) -> SipSettings:
        return replace(usual, username="pbx", password="secret")

    async def scene() -> None:
        async with stage(settings=guarded) as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 10)
            await s.ua.call(token).answered()
            await until(lambda: told.links)

    play(scene())


def test_the_dial_string_names_the_endpoint_and_where_we_listen() -> None:
    def known(usual: SipSettings) -> SipSettings:
        return replace(usual, advertise_host="192.0.2.1", asterisk_endpoint="daemon")

    async def scene() -> None:
        async with stage(settings=known) as s:
            port = s.pbx.endpoint.address("udp")[1]
            assert s.pbx.carrier.dial_string("T", 8000) == f"PJSIP/daemon/sip:T@192.0.2.1:{port}"

    play(scene())


def test_the_dial_string_never_names_an_address_that_means_all_of_them() -> None:
    async def scene() -> None:
        async with stage(settings=lambda usual: replace(usual, host="0.0.0.0")) as s:
            assert "@0.0.0.0" not in s.pbx.carrier.dial_string("T", 8000)

    play(scene())


def test_digits_by_info_are_told_by_the_carriers_link() -> None:
    async def scene() -> None:
        async with stage() as s:
            told, token = Told(s), str(uuid4())
            s.pbx.carrier.expect(token, 10)
            call = s.ua.call(token)
            await call.answered()
            await until(lambda: told.links)
            await call.asked("INFO", headers=[("Content-Type", "application/dtmf-relay")], body="Signal=4\r\n")
            assert s.desk.digits == ["4"]

    play(scene())


# --- what a control has brought


class ScriptedControl:
    """Places and puts through by `script`, which is given this and what it is about."""

    name = "scripted"

    def __init__(self, script: Callable[["ScriptedControl", Any], Any]) -> None:
        self.script = script
        self.calls: Calls
        self.hung_up: list[str] = []

    async def start(self, calls: Calls) -> None:
        self.calls = calls

    async def stop(self) -> None: ...

    def owns(self, invite: Request, peer: str) -> bool:
        return True

    def facts(self, invite: Request) -> Mapping[str, str]:
        return {"caller": "777"}

    def check_outbound(self) -> None: ...

    async def originate(self, order: DialOrder) -> None:
        await self.script(self, order)

    async def put_through(self, call: HeldCall, step: NextStep) -> Dialled:
        found = await self.script(self, call)
        assert isinstance(found, Dialled)
        return found

    async def hang_up(self, call_id: str, cause: int) -> bool:
        self.hung_up.append(call_id)
        return True

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}


ORDER = DialOrder(call_id="11111111-1111-4111-8111-111111111111", destination="200")


def expecting(token: str, within_s: float = 10.0) -> ScriptedControl:
    async def place(control: ScriptedControl, order: DialOrder) -> None:
        control.calls.expect_call(token, within_s, order)

    return ScriptedControl(place)


def test_whom_we_called_is_asked_about_before_he_is_answered() -> None:
    async def scene() -> None:
        token = str(uuid4())
        async with stage(controls=[expecting(token)]) as s:
            s.desk.delay_s = 0.1
            await s.pbx.originate(ORDER)
            assert s.pbx.call_ids() == {ORDER.call_id}
            call = s.ua.call(token)
            await call.answered()
            assert s.desk.picked == [ORDER.call_id]
            link = await s.link()
            assert list(s.desk.links) == [ORDER.call_id]
            link.close()
            await call.comes("BYE")
            await s.over()

    play(scene())


def test_whom_we_called_and_do_not_want_any_more_is_refused() -> None:
    async def scene() -> None:
        token = str(uuid4())
        async with stage(Decision("reject"), controls=[expecting(token)]) as s:
            await s.pbx.originate(ORDER)
            await s.ua.call(token).status(603)
            await s.over()

    play(scene())


def test_an_order_whose_call_never_comes_is_not_answered() -> None:
    async def scene() -> None:
        async with stage(controls=[expecting(str(uuid4()), 0.05)]) as s:
            await s.pbx.originate(ORDER)
            await s.over()
            assert [how.reason for _, how in s.desk.unanswered] == ["error"]

    play(scene())


def test_an_order_that_a_control_tells_the_end_of_is_known_no_longer() -> None:
    async def scene() -> None:
        async def busy(control: ScriptedControl, order: DialOrder) -> None:
            control.calls.desk.not_answered(order.call_id, NotAnswered("busy", "The line was busy.", 17))
            control.calls.desk.gone(order.call_id, 17)

        async with stage(controls=[ScriptedControl(busy)]) as s:
            await s.pbx.originate(ORDER)
            assert not s.pbx.call_ids()
            assert s.desk.gone_calls == [(ORDER.call_id, 17)]

    play(scene())


def test_an_order_that_is_refused_is_gone() -> None:
    async def scene() -> None:
        async def refuse(control: ScriptedControl, order: DialOrder) -> None:
            raise Refused("pbx_unavailable", "no")

        async with stage(controls=[ScriptedControl(refuse)]) as s:
            with pytest.raises(Refused):
                await s.pbx.originate(ORDER)
            await s.over()

    play(scene())


def test_without_a_control_no_call_is_placed() -> None:
    async def scene() -> None:
        async with stage() as s:
            with pytest.raises(Refused, match="registrations"):
                await s.pbx.originate(ORDER)

    play(scene())


async def _dialling(s: Stage) -> UaCall:
    """A caller whose conversation is over, and who is to be put through."""
    s.desk.steps = [NextStep("dial", "200")]
    link = await s.connected()
    link.close()
    return s.ua.dialogs[0]


def test_who_waits_hears_it_ring_and_comes_back_when_nobody_takes_him() -> None:
    async def scene() -> None:
        async def busy(control: ScriptedControl, call: HeldCall) -> Dialled:
            assert call.up
            await asyncio.sleep(0.1)
            return Dialled("busy", "The line was busy.", 17)

        async with stage(controls=[ScriptedControl(busy)]) as s:
            call = await _dialling(s)
            await call.comes("BYE")
            await s.over()
            assert [how.outcome if how else None for how in s.desk.dialled] == [None, "busy"]
            assert s.desk.offers[0].caller == "777"  # the control knows better

    play(scene())


def test_a_control_that_breaks_brings_the_caller_back() -> None:
    async def scene() -> None:
        async def breaks(control: ScriptedControl, call: HeldCall) -> Dialled:
            raise ValueError("a fault")

        async with stage(controls=[ScriptedControl(breaks)]) as s:
            await (await _dialling(s)).comes("BYE")
            await s.over()
            assert [how.outcome if how else None for how in s.desk.dialled] == [None, "failed"]

    play(scene())


def test_a_caller_who_hangs_up_while_somebody_rings_is_gone_once_the_control_has_tidied_up() -> None:
    async def scene() -> None:
        tidy: list[bool] = []

        async def rings(control: ScriptedControl, call: HeldCall) -> Dialled:
            await call.ended()
            tidy.append(not desk.gone_calls)
            return Dialled("failed")

        async with stage(controls=[ScriptedControl(rings)]) as s:
            desk = s.desk
            call = await _dialling(s)
            await until(lambda: len(s.desk.asked_next) == 1)
            await call.asked("BYE")
            await s.over()
            assert tidy == [True]
            assert len(s.desk.asked_next) == 1

    play(scene())


def test_a_control_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.sip_call.PUT_THROUGH_S", 0.1)

    async def scene() -> None:
        async def hangs(control: ScriptedControl, call: HeldCall) -> Dialled:
            await asyncio.Event().wait()
            raise AssertionError

        async with stage(controls=[ScriptedControl(hangs)]) as s:
            call = await _dialling(s)
            await until(lambda: s.desk.asked_next)
            await call.asked("BYE")
            await s.over()

    play(scene())


def test_a_caller_whom_a_control_has_taken_elsewhere_comes_back_with_another_dialog() -> None:
    async def scene() -> None:
        token = str(uuid4())

        async def elsewhere(control: ScriptedControl, call: HeldCall) -> Dialled:
            back = control.calls.expect_back(token, call.call_id)
            control.calls.desk.put_through(call.call_id)
            await back
            assert call.up
            return Dialled("answered")

        async with stage(controls=[ScriptedControl(elsewhere)]) as s:
            first = await _dialling(s)
            await until(lambda: s.desk.through)
            await first.asked("BYE")  # he talks to somebody else
            assert not s.desk.gone_calls
            s.desk.steps = [NextStep("talk")]
            second = s.ua.call(token)
            await second.answered()
            before = await s.link()
            await until(lambda: next(iter(s.desk.links.values())).ended is None)
            link = await s.link()
            assert link is not before or link.ended is None
            await second.asked("BYE")
            await s.over()

    play(scene())


def test_a_caller_who_comes_back_before_his_old_dialog_has_ended_has_one_dialog_then() -> None:
    async def scene() -> None:
        token = str(uuid4())

        async def elsewhere(control: ScriptedControl, call: HeldCall) -> Dialled:
            await control.calls.expect_back(token, call.call_id)
            return Dialled("answered")

        async with stage(controls=[ScriptedControl(elsewhere)]) as s:
            first = await _dialling(s)
            await until(lambda: s.pbx.awaits(token))
            s.desk.steps = [NextStep("talk")]
            second = s.ua.call(token)
            await second.answered()
            assert cause_of(await first.comes("BYE")) == 16
            await until(lambda: len(s.pbx.legs) == 1)
            assert not s.desk.gone_calls
            await second.asked("BYE")
            await s.over()

    play(scene())


def test_a_caller_who_never_comes_back_is_gone() -> None:
    async def scene() -> None:
        token = str(uuid4())

        async def elsewhere(control: ScriptedControl, call: HeldCall) -> Dialled:
            control.calls.expect_back(token, call.call_id)
            await call.ended()
            control.calls.forget(token)
            return Dialled("answered")

        async with stage(controls=[ScriptedControl(elsewhere)]) as s:
            call = await _dialling(s)
            await until(lambda: s.desk.asked_next)
            await call.asked("BYE")
            await s.over()
            assert not s.pbx.awaits(token)

    play(scene())


def test_a_colleagues_briefing_is_his_media_until_it_is_over() -> None:
    async def scene() -> None:
        token = str(uuid4())
        heard: list[bool] = []

        async def brief(control: ScriptedControl, call: HeldCall) -> Dialled:
            heard.append(await control.calls.expect_briefing(token, 10, call.call_id))
            return Dialled("declined")

        async with stage(controls=[ScriptedControl(brief)]) as s:
            await _dialling(s)
            await until(lambda: s.pbx.awaits(token))
            colleague = s.ua.call(token)
            await colleague.answered()
            await until(lambda: s.desk.briefing_links)
            tick(s.desk.briefing_links[0], 3)
            s.desk.briefing_links[0].close()
            await until(lambda: heard == [True])
            assert not colleague.came("BYE")  # the control has him from now on
            await colleague.asked("BYE")
            await s.over()

    play(scene())


def test_a_briefing_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        heard: list[bool] = []

        async def brief(control: ScriptedControl, call: HeldCall) -> Dialled:
            heard.append(await control.calls.expect_briefing(str(uuid4()), 0.05, call.call_id))
            return Dialled("declined")

        async with stage(controls=[ScriptedControl(brief)]) as s:
            await _dialling(s)
            await s.over()
            assert heard == [False]

    play(scene())


def test_the_daemon_hangs_up_on_who_is_being_put_through_by_the_control_too() -> None:
    async def scene() -> None:
        async def rings(control: ScriptedControl, call: HeldCall) -> Dialled:
            await call.ended()
            return Dialled("failed")

        control = ScriptedControl(rings)
        async with stage(controls=[control]) as s:
            call = await _dialling(s)
            await until(lambda: s.desk.asked_next)
            await s.pbx.hang_up(s.desk.offers[0].call_id)
            await call.comes("BYE")
            await s.over()
            assert control.hung_up == [s.desk.offers[0].call_id]

    play(scene())


def test_health_and_audit_tell_of_every_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            assert s.pbx.health()["status"] == "ok"
            await s.connected()
            assert s.pbx.health()["calls"] == 1
            (line,) = (await s.pbx.audit())["lines"]
            assert (line["phase"], line["call_id"]) == ("talking", s.desk.offers[0].call_id)
            assert await s.pbx.left_over() == 0
        assert s.pbx.health() == {"status": "down"}

    play(scene())
