"""What seldom happens in a call over SIP: an ACK that never comes, extensions that are demanded, a REFER of ours, and
what the caller hears while somebody is rung for him."""

import asyncio

import numpy as np
import pytest

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.pbx.link import Dialled, NextStep
from sovereign_pbx.pbx.sip.control import HeldCall
from sovereign_pbx.wire.sip import cause_of
from tests.pbx.office import strongest
from tests.pbx.sip.stage import Stage, play, stage
from tests.pbx.sip.test_carrier import ScriptedControl
from tests.pbx.sip.ua import sdp
from tests.waiting import until


def test_an_ack_that_never_comes_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.answering.ACK_S", 0.3)

    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call()
            await call.answered(ack=False)
            assert cause_of(await call.comes("BYE")) == 102
            await s.over()
            assert not s.desk.links

    play(scene())


def test_an_ack_that_never_comes_for_a_re_invite_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.renegotiation.ACK_S", 0.3)

    async def scene() -> None:
        async with stage() as s:
            await s.connected()
            call = s.ua.dialogs[0]
            await call.asked("INVITE", body=sdp())
            assert cause_of(await call.comes("BYE")) == 102
            await s.over()

    play(scene())


def test_reliable_provisional_answers_are_not_offered() -> None:
    async def scene() -> None:
        async with stage() as s:
            response = await s.ua.call(headers=[("Require", "100rel")]).status(420)
            assert response.headers.get("Unsupported") == "100rel"
            assert not s.desk.offers

    play(scene())


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "NOTIFY"])
def test_a_request_of_no_call_is_told_so(method: str) -> None:
    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call(body="rubbish")
            await call.status(400)
            assert (await call.asked(method)).status == 481

    play(scene())


async def _held(s: Stage) -> HeldCall:
    """The call of a caller who talks."""
    await s.connected()
    return s.pbx.call(s.desk.offers[0].call_id)


def test_a_refer_of_ours_comes_to_what_its_notify_says() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.ua.answers = lambda request: 202 if request.method == "REFER" else 200
            held = await _held(s)
            call = s.ua.dialogs[0]
            referring = asyncio.ensure_future(held.refer("sip:200@127.0.0.1", within_s=15))
            refer = await call.comes("REFER")
            assert refer.headers.get("Refer-To") == "<sip:200@127.0.0.1>"
            for status, state in (("100 Trying", "active"), ("486 Busy Here", "terminated")):
                headers = [("Event", "refer"), ("Subscription-State", state), ("Content-Type", "message/sipfrag")]
                assert (await call.asked("NOTIFY", headers=headers, body=f"SIP/2.0 {status}\r\n")).status == 200
            assert await referring == 486
            assert s.pbx.call_ids()

    play(scene())


def test_a_refer_that_is_not_taken_is_refused() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.ua.answers = lambda request: 405 if request.method == "REFER" else 200
            held = await _held(s)
            with pytest.raises(Refused, match="405"):
                await held.refer("sip:200@127.0.0.1", within_s=15)

    play(scene())


def test_a_refer_whose_call_ends_comes_to_what_was_told_last() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.ua.answers = lambda request: 202 if request.method == "REFER" else 200
            held = await _held(s)
            referring = asyncio.ensure_future(held.refer("sip:200@127.0.0.1", within_s=15))
            await s.ua.dialogs[0].comes("REFER")
            await s.ua.dialogs[0].asked("BYE")
            assert await referring == 0

    play(scene())


def test_who_waits_for_somebody_hears_it_ring() -> None:
    async def scene() -> None:
        async def rings(control: ScriptedControl, call: HeldCall) -> Dialled:
            await call.ended()
            return Dialled("failed")

        async with stage(controls=[ScriptedControl(rings)]) as s:
            s.desk.steps = [NextStep("dial", "200")]
            call = await s.phone.call("100")
            await call.answered()
            (await s.link()).close()
            heard = bytearray()

            def rings_there() -> bool:
                heard[:] = call.ear.by_timestamp()[1]
                return strongest(bytes(heard)) == 425

            await until(rings_there)
            level = np.frombuffer(heard, "<i2")[-800:].astype(float)
            assert 500 < np.sqrt((level**2).mean()) < 4000
            await call.hang_up()
            await s.over()

    play(scene())


def test_an_offer_that_crosses_ours_is_turned_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.session_timer.SessionTimer.due_s", property(lambda timer: 0.2))

    async def scene() -> None:
        async with stage() as s:
            s.ua.answers = lambda request: {"UPDATE": 405, "INVITE": None}.get(request.method, 200)
            await s.connected()
            call = s.ua.dialogs[0]
            await call.comes("INVITE")
            assert (await call.asked("UPDATE", body=sdp(direction="sendonly"))).status == 491
            assert s.desk.holds == []

    play(scene())


def test_an_offer_of_ours_that_crossed_theirs_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.session_timer.SessionTimer.due_s", property(lambda timer: 0.2))
    monkeypatch.setattr("sovereign_pbx.pbx.sip.renegotiation.AGAIN_S", (0.01, 0.02))

    async def scene() -> None:
        async with stage() as s:
            s.ua.answers = lambda request: 491 if len(s.ua.dialogs[0].came("UPDATE")) == 1 else 200
            await s.connected()
            await until(lambda: len(s.ua.dialogs[0].came("UPDATE")) >= 2)
            assert s.pbx.call_ids()

    play(scene())


def test_a_session_whose_interval_is_refused_is_refreshed_with_a_longer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.session_timer.SessionTimer.due_s", property(lambda timer: 0.2))

    async def scene() -> None:
        async with stage() as s:
            s.ua.refusal = [("Min-SE", "7200")]
            s.ua.answers = lambda request: 422 if request.headers.get("Session-Expires").startswith("1800") else 200
            await s.connected()
            await until(lambda: len(s.ua.dialogs[0].came("UPDATE")) >= 2)
            asked = [one.headers.get("Session-Expires") for one in s.ua.dialogs[0].came("UPDATE")]
            assert asked[:2] == ["1800;refresher=uac", "7200;refresher=uac"]

    play(scene())
