"""Requests within a call: hold, other codecs, digits, what is refused; and those that we send."""

import asyncio
from dataclasses import replace

import pytest

from sovereign_pbx.core.errors import LinkFinished
from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.pbx.sip.sip_pbx import SipSettings
from sovereign_pbx.wire.sip import cause_of
from tests.pbx.sip.stage import Stage, play, stage, tick
from tests.pbx.sip.ua import UaCall, sdp
from tests.waiting import until


async def talking(s: Stage) -> UaCall:
    await s.connected()
    return s.ua.dialogs[0]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_hold_is_answered_and_told_and_so_is_its_end(method: str) -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            held = await call.asked(method, body=sdp(direction="sendonly"))
            if method == "INVITE":
                call.ack()
            assert (held.status, b"a=recvonly" in held.body) == (200, True)
            await until(lambda: s.desk.holds == [True])
            await call.asked("OPTIONS")  # by its answer the ACK has been taken in
            back = await call.asked(method, body=sdp())
            if method == "INVITE":
                call.ack()
            assert b"a=sendrecv" in back.body
            await until(lambda: s.desk.holds == [True, False])

    play(scene())


def test_a_caller_who_begins_on_hold_is_known_to_be() -> None:
    async def scene() -> None:
        async with stage() as s:
            await s.ua.call(body=sdp(direction="sendonly")).answered()
            await until(lambda: s.desk.holds == [True])

    play(scene())


def test_a_repeated_hold_is_told_once() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            for _ in range(3):
                await call.asked("UPDATE", body=sdp(direction="inactive"))
            assert s.desk.holds == [True]

    play(scene())


def test_a_re_invite_with_another_codec_goes_on_in_the_same_link() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            link = await s.link()
            answer = await call.asked("INVITE", body=sdp(formats="8"))
            call.ack()
            assert b"m=audio" in answer.body
            assert b"RTP/AVP 8" in answer.body
            tick(link, 5)
            assert link.ended is None

    play(scene())


def test_an_offer_that_can_not_be_taken_leaves_the_call_as_it_was() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            assert (await call.asked("INVITE", body=sdp(formats="18"))).status == 488
            call.ack()
            assert (await call.asked("UPDATE", body="rubbish")).status == 400
            assert (await s.link()).ended is None

    play(scene())


def test_a_re_invite_without_an_offer_gets_ours() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            answer = await call.asked("INVITE")
            assert b"PCMU" in answer.body
            call.ack(sdp(direction="sendonly"))
            await until(lambda: s.desk.holds == [True])

    play(scene())


def test_a_second_offer_before_the_first_is_acknowledged_is_turned_down() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            assert (await call.asked("INVITE", body=sdp())).status == 200
            assert (await call.asked("UPDATE", body=sdp())).status == 491
            call.ack(number=call.number - 1)
            await call.asked("OPTIONS")  # by its answer the ACK has been taken in
            assert (await call.asked("UPDATE", body=sdp())).status == 200

    play(scene())


def test_an_offer_right_behind_the_ack_of_the_one_before_is_taken() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            for _ in range(10):
                assert (await call.asked("INVITE", body=sdp(direction="sendonly"))).status == 200
                call.ack()
                assert (await call.asked("UPDATE", body=sdp())).status == 200

    play(scene())


def test_a_request_out_of_order_is_refused() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            await call.asked("INFO", number=40)
            assert (await call.asked("BYE", number=39)).status == 500
            assert s.pbx.call_ids()

    play(scene())


@pytest.mark.parametrize(
    ("method", "status"),
    [("REFER", 603), ("MESSAGE", 405), ("SUBSCRIBE", 405), ("OPTIONS", 200), ("NOTIFY", 200), ("INFO", 200)],
)
def test_nobody_outside_steers_a_call(method: str, status: int) -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            headers = [("Refer-To", "<sip:premium@example.com>"), ("Event", "talk"), ("Subscription-State", "active")]
            assert (await call.asked(method, headers=headers)).status == status
            assert s.pbx.call_ids()

    play(scene())


def test_digits_in_info_are_told() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            for digit in "5#":
                headers = [("Content-Type", "application/dtmf-relay")]
                answer = await call.asked("INFO", headers=headers, body=f"Signal={digit}\r\nDuration=100\r\n")
                assert answer.status == 200
            assert s.desk.digits == ["5", "#"]

    play(scene())


def test_an_info_that_means_nothing_here_is_refused() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await talking(s)
            headers = [("Content-Type", "application/vnd.other")]
            assert (await call.asked("INFO", headers=headers, body="x")).status == 415

    play(scene())


def test_a_digit_that_comes_both_ways_is_told_once() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await s.phone.call("100")
            await call.answered()
            link = await s.link()
            await call.press("7")
            await until(lambda: tick(link) is not None and s.desk.digits)
            s.pbx.call(s.desk.offers[0].call_id).digit("7")
            assert s.desk.digits == ["7"]
            await call.hang_up()

    play(scene())


def test_digits_are_sent_as_telephone_events_with_their_pauses() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = await s.phone.call("100")
            await call.answered()
            link = await s.link()
            sending = asyncio.ensure_future(s.pbx.send_digits(s.desk.offers[0].call_id, "1w#"))
            async with asyncio.timeout(15):
                while not sending.done():
                    tick(link)
                    await asyncio.sleep(0.02)
            await sending
            await until(lambda: [one.digit for one in call.ear.digits] == ["1", "#"])
            await call.hang_up()

    play(scene())


def test_digits_go_by_info_where_telephone_events_were_not_agreed() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.ua.call(body=sdp(formats="0"))
            await s.ua.dialogs[0].answered()
            await s.link()
            await s.pbx.send_digits(s.desk.offers[0].call_id, "9")
            (info,) = s.ua.dialogs[0].came("INFO")
            assert b"Signal=9" in info.body

    play(scene())


def test_no_digits_are_sent_to_a_call_that_is_gone() -> None:
    async def scene() -> None:
        async with stage() as s:
            with pytest.raises(LinkFinished):
                await s.pbx.send_digits("nobody", "1")

    play(scene())


def _quick(usual: SipSettings) -> SipSettings:
    return replace(usual, session_expires_s=1800)


def test_the_session_timer_is_agreed_in_the_answer() -> None:
    async def scene() -> None:
        async with stage(settings=_quick) as s:
            call = s.ua.call(headers=[("Supported", "timer"), ("Session-Expires", "600")])
            response = await call.answered()
            assert response.headers.get("Session-Expires") == "600;refresher=uac"
            assert response.headers.get("Require") == "timer"
            answer = await call.asked("UPDATE", headers=[("Supported", "timer"), ("Session-Expires", "300")])
            assert answer.headers.get("Session-Expires") == "300;refresher=uac"

    play(scene())


def test_a_call_that_nobody_refreshes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.session_timer.SessionTimer.due_s", property(lambda timer: 0.2))

    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call(headers=[("Supported", "timer")])
            await call.answered()
            assert cause_of(await call.comes("BYE")) == 102
            await s.over()

    play(scene())


@pytest.mark.parametrize(("refuses", "method"), [((), "UPDATE"), (("UPDATE",), "INVITE")])
def test_we_say_that_we_are_here_where_that_is_ours_to_do(
    monkeypatch: pytest.MonkeyPatch, refuses: tuple[str, ...], method: str
) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.session_timer.SessionTimer.due_s", property(lambda timer: 0.2))

    async def scene() -> None:
        async with stage() as s:
            s.ua.answers = lambda request: 405 if request.method in refuses else 200
            call = s.ua.call()  # without `Supported: timer` it is ours
            await call.answered()
            request = await call.comes(method)
            assert "refresher=uac" in request.headers.get("Session-Expires")
            if method == "INVITE":
                await call.comes("ACK")
            assert s.pbx.call_ids()

    play(scene())


def test_a_call_that_the_other_end_has_forgotten_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.sip.session_timer.SessionTimer.due_s", property(lambda timer: 0.2))

    async def scene() -> None:
        async with stage() as s:
            s.ua.answers = lambda request: 481
            s.desk.step = NextStep("fallback")
            link = await s.connected()
            await until(lambda: link.ended is not None)
            await s.over()

    play(scene())
