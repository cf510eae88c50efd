"""Calls that come: who is let in, how they are refused, and that they are answered so that nothing is missed."""

import asyncio
import socket
from dataclasses import replace

import pytest

from sovereign_pbx.core.errors import LinkBroken, LinkFinished
from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.pbx.sip.sip_pbx import SipSettings
from sovereign_pbx.wire.digest import Challenge, answer, strongest
from sovereign_pbx.wire.sip import NameAddr, cause_of
from tests.pbx.sip.stage import play, stage, tick
from tests.pbx.sip.ua import sdp
from tests.waiting import until


@pytest.mark.parametrize(
    ("decision", "status", "cause"),
    [
        (Decision("busy"), 486, 17),
        (Decision("reject"), 603, 21),
        (Decision("reject", cause=1), 404, 1),
        (Decision("fallback"), 503, 41),
        (ValueError("a fault of our own"), 503, 41),
        (Decision("divert", "a,b&c"), 503, 41),  # what must not reach a PBX never does
    ],
)
def test_a_call_that_is_not_taken_is_told_why(decision: Decision | Exception, status: int, cause: int) -> None:
    async def scene() -> None:
        async with stage(decision) as s:
            call = s.ua.call()
            response = await call.status(status)
            assert cause_of(response) == cause
            call.ack()
            await s.over()
            assert call.statuses()[0] in (100, 180)

    play(scene())


def test_a_call_is_sent_elsewhere_by_a_302() -> None:
    async def scene() -> None:
        async with stage(Decision("divert", "200")) as s:
            call = s.ua.call()
            response = await call.status(302)
            assert NameAddr.parse(response.headers.get("Contact")).uri.user == "200"
            call.ack()
            await s.over()

    play(scene())


def test_it_rings_while_the_desk_decides() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.delay_s = 0.5
            call = s.ua.call()
            await call.status(180)
            assert not s.desk.links
            await call.answered()
            await s.link()

    play(scene())


def test_the_offer_says_who_calls_whom_and_how_wide() -> None:
    async def scene() -> None:
        async with stage(Decision("busy")) as s:
            offer = sdp(formats="118 0").replace("a=rtpmap:0", "a=rtpmap:118 L16/16000\r\na=rtpmap:0")
            call = s.ua.call("300", headers=[("X-Account", "7")], body=offer)
            await call.status(486)
            (found,) = s.desk.offers
            assert (found.caller, found.called, found.rate) == ("201", "300", 16000)
            assert found.variables == {"X_Account": "7"}
            assert found.pbx_id == call.call_id

    play(scene())


def test_nothing_is_sent_before_the_answer_is_acknowledged() -> None:
    """Else whoever forges an address has us send a stream of sound to it."""

    async def scene() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.bind(("127.0.0.1", 0))
            ear.setblocking(False)
            async with stage() as s:
                call = s.ua.call(body=sdp(ear.getsockname()[1]))
                await call.answered(ack=False)
                await asyncio.sleep(0.2)
                with pytest.raises(BlockingIOError):
                    ear.recv(2048)
                assert not s.desk.links
                call.ack()
                await s.link()
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ear, 2048), 15)

    play(scene())


def test_an_offer_without_a_codec_of_ours_is_refused_before_anybody_is_asked() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call(body=sdp(formats="18"))
            response = await call.status(488)
            assert "Warning" in response.headers
            call.ack()
            await until(lambda: not len(s.pbx.legs))
            assert not s.desk.offers
            assert len(s.pbx.ports) == 0

    play(scene())


def test_an_offer_that_is_no_description_is_refused() -> None:
    async def scene() -> None:
        async with stage() as s:
            await s.ua.call(body="rubbish").status(400)
            assert not s.desk.offers

    play(scene())


def test_an_invite_without_an_offer_gets_ours_in_the_answer() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call(body="")
            response = await call.answered(ack=False)
            assert b"m=audio" in response.body
            assert b"PCMU" in response.body
            call.ack(sdp())
            link = await s.link()
            assert link.rate == 8000

    play(scene())


def test_an_answer_of_theirs_that_can_not_be_used_ends_the_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call(body="")
            await call.answered(ack=False)
            call.ack(sdp(formats="18"))
            bye = await call.comes("BYE")
            assert cause_of(bye) == 88
            await s.over()

    play(scene())


def test_a_retransmitted_invite_makes_no_second_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.delay_s = 0.2
            call = s.ua.call()
            call.again()
            await call.status(180)
            call.again()
            await call.answered(ack=False)
            call.again()
            call.ack()
            await s.link()
            assert len(s.desk.offers) == 1

    play(scene())


@pytest.mark.parametrize("step", ["hangup", "fallback"])
def test_words_of_refusal_are_heard_before_any_answer(step: str) -> None:
    async def scene() -> None:
        async with stage(Decision("answer", early=True)) as s:
            s.desk.step = NextStep(step)  # type: ignore[arg-type]  # one of the two above
            call = s.ua.call()
            response = await call.status(183)
            assert b"m=audio" in response.body
            link = await s.link()
            tick(link, 5)
            assert 200 not in call.statuses()
            link.close()
            status, cause = (480, 31) if step == "hangup" else (503, 41)
            assert cause_of(await call.status(status)) == cause
            call.ack()
            await s.over()
            assert 200 not in call.statuses()

    play(scene())


def test_words_of_refusal_wait_for_the_answer_where_the_administrator_says_so() -> None:
    def late(usual: SipSettings) -> SipSettings:
        return replace(usual, terms=replace(usual.terms, early=False))

    async def scene() -> None:
        async with stage(Decision("answer", early=True), settings=late) as s:
            call = s.ua.call()
            await call.answered()
            assert 183 not in call.statuses()
            await s.link()

    play(scene())


def test_who_asks_for_no_password_gives_none_and_who_must_does() -> None:
    def guarded(usual: SipSettings) -> SipSettings:
        return replace(usual, username="pbx", password="secret")

    async def scene() -> None:
        async with stage(settings=guarded) as s:
            call = s.ua.call()
            response = await call.status(401)
            call.ack()
            assert not s.desk.offers
            await call.asked("BYE")  # 481: there is no dialog
            challenge = strongest(response.headers.all("WWW-Authenticate"))
            assert isinstance(challenge, Challenge)
            proof = answer(challenge, method="INVITE", uri=call.uri, username="pbx", password="secret")
            second = s.ua.call(headers=[("Authorization", str(proof))])
            await second.answered()
            wrong = answer(challenge, method="INVITE", uri=call.uri, username="pbx", password="guess", count=2)
            await s.ua.call(headers=[("Authorization", str(wrong))]).status(401)
            assert len(s.desk.offers) == 1

    play(scene())


def test_more_calls_than_may_be_are_told_to_come_later() -> None:
    def small(usual: SipSettings) -> SipSettings:
        return replace(usual, max_calls=1)

    async def scene() -> None:
        async with stage(settings=small) as s:
            await s.connected()
            response = await s.ua.call().status(503)
            assert "Retry-After" in response.headers

    play(scene())


def test_a_call_without_a_port_for_its_sound_is_told_to_come_later() -> None:
    def tiny(usual: SipSettings) -> SipSettings:
        return replace(usual, rtp_first_port=30000, rtp_last_port=30000)

    async def scene() -> None:
        async with stage(settings=tiny) as s:
            assert "Retry-After" in (await s.ua.call().status(503)).headers
            assert not s.desk.offers

    play(scene())


def test_a_session_interval_that_is_too_short_is_refused() -> None:
    async def scene() -> None:
        async with stage() as s:
            headers = [("Supported", "timer"), ("Session-Expires", "30")]
            response = await s.ua.call(headers=headers).status(422)
            assert response.headers.get("Min-SE") == "90"

    play(scene())


def test_an_uuid_that_nobody_expects_is_never_a_call() -> None:
    async def scene() -> None:
        async with stage() as s:
            await s.ua.call("0e6d6a0c-3b50-4d2c-9d0a-5d1e6d3f0a11").status(404)
            assert not s.desk.offers
            assert s.pbx.counts["refused_unknown_token"] == 1

    play(scene())


@pytest.mark.parametrize(("step", "cause"), [("hangup", 16), ("fallback", 41)])
def test_the_end_of_the_conversation_says_whether_the_dialplan_goes_on(step: str, cause: int) -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.step = NextStep(step)  # type: ignore[arg-type]  # one of the two above
            link = await s.connected()
            link.close()
            bye = await s.ua.dialogs[0].comes("BYE")
            assert cause_of(bye) == cause
            await s.over()
            assert s.desk.asked_next == [s.desk.offers[0].call_id]

    play(scene())


def test_the_caller_may_talk_again_on_the_same_sound() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.steps = [NextStep("talk"), NextStep("hangup")]
            first = await s.connected()
            first.close()
            await until(lambda: next(iter(s.desk.links.values())) is not first)
            second = await s.link()
            tick(second, 3)
            second.close()
            await s.ua.dialogs[0].comes("BYE")
            await s.over()

    play(scene())


def test_a_call_that_runs_in_a_circle_ends() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.step = NextStep("dial", "200")  # nobody here can put him through
            link = await s.connected()
            link.close()
            assert cause_of(await s.ua.dialogs[0].comes("BYE")) == 41
            await s.over()
            assert len(s.desk.asked_next) == 20
            assert {how.outcome for how in s.desk.dialled if how is not None} == {"failed"}

    play(scene())


def test_the_caller_who_hangs_up_is_gone_with_his_cause_before_his_sound_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with stage() as s:
            link = await s.connected()
            told: list[bool] = []

            def gone(call_id: str, cause: int | None) -> None:
                told.append(link.ended is None)
                s.desk.gone_calls.append((call_id, cause))

            monkeypatch.setattr(s.desk, "gone", gone)
            answer = await s.ua.dialogs[0].asked("BYE", headers=[("Reason", "Q.850;cause=31")])
            assert answer.status == 200
            await s.over()
            assert s.desk.gone_calls[0][1] == 31
            assert told == [True]
            assert isinstance(link.ended, LinkFinished)
            assert not s.desk.asked_next

    play(scene())


def test_a_call_whose_sound_stays_away_goes_back_to_its_dialplan() -> None:
    def short(usual: SipSettings) -> SipSettings:
        return replace(usual, sound=replace(usual.sound, media_timeout_s=0.3))

    async def scene() -> None:
        async with stage(settings=short) as s:
            s.desk.step = NextStep("fallback")
            link = await s.connected()
            await until(lambda: tick(link) is not None and link.ended is not None)
            assert isinstance(link.ended, LinkBroken)
            assert cause_of(await s.ua.dialogs[0].comes("BYE")) == 41
            await s.over()

    play(scene())


def test_hanging_up_is_a_bye_with_its_cause() -> None:
    async def scene() -> None:
        async with stage() as s:
            await s.connected()
            await s.pbx.hang_up(s.desk.offers[0].call_id, 17)
            assert cause_of(await s.ua.dialogs[0].comes("BYE")) == 17
            await s.over()

    play(scene())


def test_hanging_up_on_a_call_that_rings_refuses_it() -> None:
    async def scene() -> None:
        async with stage() as s:
            s.desk.delay_s = 30
            call = s.ua.call()
            await call.status(180)
            await until(lambda: s.desk.offers)
            await s.pbx.hang_up(s.desk.offers[0].call_id, 17)
            await call.status(486)
            call.ack()
            await s.over()
            assert s.desk.cancelled == 1

    play(scene())


def test_a_daemon_that_stops_gives_its_callers_back() -> None:
    async def scene() -> None:
        async with stage() as s:
            await s.connected()
            await s.pbx.stop()
            assert cause_of(await s.ua.dialogs[0].comes("BYE")) == 41
            assert len(s.desk.gone_calls) == 1
            assert len(s.pbx.ports) == 0

    play(scene())


def test_calls_that_come_at_once_are_no_more_than_may_be() -> None:
    def small(usual: SipSettings) -> SipSettings:
        return replace(usual, max_calls=2)

    async def scene() -> None:
        async with stage(settings=small) as s:
            s.desk.delay_s = 1.0
            calls = [s.ua.call() for _ in range(6)]
            await until(lambda: sum(503 in call.statuses() for call in calls) == 4 and len(s.desk.offers) == 2)
            for call in calls:
                call.cancel()

    play(scene())


def test_a_caller_whose_sound_is_lost_between_two_conversations_is_hung_up() -> None:
    def short(usual: SipSettings) -> SipSettings:
        return replace(usual, sound=replace(usual.sound, media_timeout_s=0.2))

    async def scene() -> None:
        async with stage(settings=short) as s:
            link = await s.connected()
            s.desk.delay_s = 30.0  # nobody says what comes next
            link.close()
            assert cause_of(await s.ua.dialogs[0].comes("BYE")) == 41

    play(scene())
