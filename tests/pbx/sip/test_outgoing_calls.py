"""Calls placed over SIP: how they go out, how they end, and that nobody is rung twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from sovereign_pbx.core.errors import BadInput, Refused
from sovereign_pbx.pbx.link import Decision, DialOrder, NextStep
from sovereign_pbx.pbx.sip.outgoing import SipControl, SipControlSettings
from sovereign_pbx.pbx.sip.outgoing_peer import peer_way
from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.pbx.sip.sip_pbx import SipSettings
from sovereign_pbx.pbx.sip.transport import Kind
from sovereign_pbx.wire.digest import Verifier
from sovereign_pbx.wire.sip import Headers, NameAddr, Request, cause_of, cseq, tag_of
from tests.pbx.sip.far_end import FarEnd, Manner, answers
from tests.pbx.sip.stage import Stage, play, stage
from tests.waiting import until


@dataclass
class Out:
    """A daemon with one trunk, and the host behind it."""

    s: Stage
    far: FarEnd
    ways: dict[str, Way]

    async def place(self, number: str = "200", **said: object) -> DialOrder:
        order = replace(DialOrder(call_id=str(uuid4()), destination=number, trunk="carrier"), **said)  # type: ignore[arg-type]  # fields of an order
        await self.s.pbx.originate(order)
        return order

    async def ended(self) -> tuple[str, str, int | None]:
        """Reason, sentence and cause of the only order, once it has ended and nothing is left of it."""
        await until(lambda: self.s.desk.unanswered)
        await self.s.over()
        ((_, how),) = self.s.desk.unanswered
        return how.reason, how.why, how.cause


@asynccontextmanager
async def out(
    manner: Manner,
    *,
    decision: Decision | None = None,
    settings: Callable[[SipSettings], SipSettings] = lambda usual: usual,
) -> AsyncIterator[Out]:
    ways: dict[str, Way] = {}
    control = SipControl(SipControlSettings(trunks=lambda: ways))
    async with FarEnd(manner) as far, stage(decision, controls=[control], settings=settings) as s:
        ways["carrier"] = far.way
        yield Out(s, far, ways)


def test_somebody_who_answers_is_connected_and_hung_up_when_the_assistant_has_done() -> None:
    async def scene() -> None:
        async with out(answers(100, 180, 200)) as o:
            order = await o.place("200", caller_id="+31201234567")
            link = await o.s.link()
            (invite,) = o.far.came("INVITE")
            assert invite.uri == f"sip:200@127.0.0.1:{o.far.port}"
            assert NameAddr.parse(invite.headers.get("From")).uri.user == "+31201234567"
            ack = await o.far.comes("ACK")
            assert (cseq(ack.headers), tag_of(ack.headers, "To")) == ((1, "ACK"), "far")
            assert o.s.desk.picked == [order.call_id]
            link.close()
            bye = await o.far.comes("BYE")
            assert cause_of(bye) == 16
            await o.s.over()
            assert not o.s.desk.unanswered

    play(scene())


def test_somebody_who_hangs_up_is_gone() -> None:
    async def scene() -> None:
        async with out(answers(200)) as o:
            await o.place()
            await o.s.link()
            o.far.request(o.far.came("INVITE")[0], "BYE", headers=[("Reason", "Q.850;cause=16")])
            await o.s.over()
            assert o.s.desk.gone_calls[0][1] == 16

    play(scene())


def test_a_call_that_the_desk_does_not_take_is_hung_up() -> None:
    async def scene() -> None:
        async with out(answers(200), decision=Decision("reject")) as o:
            await o.place()
            await o.far.comes("BYE")
            await o.s.over()

    play(scene())


@pytest.mark.parametrize(
    ("status", "reason_header", "reason", "cause"),
    [
        (486, "", "busy", 17),
        (600, "", "busy", 17),
        (603, "", "rejected", 21),
        (480, "", "no_answer", 19),
        (480, "Q.850;cause=17", "busy", 17),
        (404, "Q.850;cause=1", "error", 1),
        (503, "", "error", None),
        (401, "", "error", None),
        (302, "", "error", None),
    ],
)
def test_an_end_without_an_answer_is_told_as_what_it_was(
    status: int, reason_header: str, reason: str, cause: int | None
) -> None:
    async def scene() -> None:
        headers = [("Reason", reason_header)] if reason_header else []
        async with out(answers(180, status, headers=headers)) as o:
            await o.place()
            told, _, why = await o.ended()
            assert (told, why) == (reason, cause)
            assert (await o.far.comes("ACK")).headers.get("CSeq") == "1 ACK"
            assert o.s.desk.gone_calls[0][1] == cause

    play(scene())


def proving(verifier: Verifier, *, status: int = 407) -> Manner:
    """Asks for a password, and is answered once it is right."""
    names = {407: ("Proxy-Authenticate", "Proxy-Authorization"), 401: ("WWW-Authenticate", "Authorization")}[status]

    def manner(far: FarEnd, invite: Request) -> None:
        now = asyncio.get_running_loop().time()
        given = invite.headers.all(names[1])
        verdict = verifier.judge(given, method="INVITE", username="acme", password="s3cret", now=now)
        if verdict == "right":
            far.reply(invite, 200)
        else:
            stale = verdict == "stale"
            far.reply(invite, status, headers=[(names[0], one) for one in verifier.challenges(now, stale=stale)])

    return manner


@pytest.mark.parametrize("status", [401, 407])
def test_a_trunk_that_asks_for_a_password_gets_it_proven_in_the_same_call(status: int) -> None:
    async def scene() -> None:
        async with out(proving(Verifier("example.com"), status=status)) as o:
            o.ways["carrier"] = replace(o.far.way, username="acme", password="s3cret")
            await o.place()
            await o.s.link()
            first, second = o.far.came("INVITE")
            assert first.headers.get("Call-ID") == second.headers.get("Call-ID")
            assert [cseq(one.headers)[0] for one in (first, second)] == [1, 2]

    play(scene())


def test_a_trunk_that_asks_for_the_password_in_the_middle_of_a_call_gets_it() -> None:
    async def scene() -> None:
        verifier = Verifier("example.com")
        async with out(proving(verifier)) as o:

            def asks(request: Request) -> int | None:
                now = asyncio.get_running_loop().time()
                given = request.headers.all("Proxy-Authorization")
                said = verifier.judge(given, method=request.method, username="acme", password="s3cret", now=now)
                if said == "right":
                    return 200
                o.far.reply(request, 407, headers=[("Proxy-Authenticate", one) for one in verifier.challenges(now)])
                return None

            o.far.answers = asks
            o.ways["carrier"] = replace(o.far.way, username="acme", password="s3cret")
            await o.place()
            (await o.s.link()).close()
            first, second = await o.far.comes("BYE"), await o.far.comes("BYE", 2)
            assert cseq(second.headers)[0] == cseq(first.headers)[0] + 1
            assert "Proxy-Authorization" in second.headers
            await o.s.over()

    play(scene())


def test_a_wrong_password_is_tried_once_and_told() -> None:
    async def scene() -> None:
        async with out(proving(Verifier("example.com"))) as o:
            o.ways["carrier"] = replace(o.far.way, username="acme", password="wrong")
            await o.place()
            reason, why, _ = await o.ended()
            assert (reason, "user name and password" in why) == ("error", True)
            assert len(o.far.came("INVITE")) == 2

    play(scene())


def test_a_nonce_that_was_too_old_is_no_wrong_password() -> None:
    async def scene() -> None:
        async with out(proving(Verifier("example.com", lifetime_s=-1))) as o:
            o.ways["carrier"] = replace(o.far.way, username="acme", password="s3cret")
            await o.place()
            await o.ended()
            assert len(o.far.came("INVITE")) == 3

    play(scene())


def test_a_password_never_goes_to_a_host_that_is_not_the_trunks() -> None:
    async def scene() -> None:
        async with out(proving(Verifier("example.com"))) as o:
            o.ways["carrier"] = Way(name="carrier", host="192.0.2.1", username="acme", password="s3cret")
            await o.place(f"sip:anna@127.0.0.1:{o.far.port}")
            assert (await o.ended())[0] == "error"
            assert len(o.far.came("INVITE")) == 1

    play(scene())


def test_a_longer_session_that_is_demanded_is_asked_for() -> None:
    def manner(far: FarEnd, invite: Request) -> None:
        if int(invite.headers.get("Session-Expires").partition(";")[0]) < 3600:
            far.reply(invite, 422, headers=[("Min-SE", "3600")])
        else:
            far.reply(invite, 200)

    async def scene() -> None:
        async with out(manner) as o:
            await o.place()
            await o.s.link()

    play(scene())


@pytest.mark.parametrize(
    ("contact", "followed"),
    [
        ("<sip:200@127.0.0.1:{other}>", True),
        ("<sip:+190055501234@127.0.0.1:{other}>", False),  # a number that nobody has permitted
        ("<sip:200@127.0.0.2:{other}>", False),
        ("<tel:200>", False),
        ("rubbish", False),
    ],
)
def test_only_the_same_number_on_the_same_host_is_called_elsewhere(contact: str, followed: bool) -> None:
    async def scene() -> None:
        async with FarEnd(answers(200)) as other:

            def manner(far: FarEnd, invite: Request) -> None:
                far.reply(invite, 302, headers=[("Contact", contact.format(other=other.port))])

            async with out(manner) as o:
                await o.place()
                if followed:
                    await o.s.link()
                    assert len(other.came("INVITE")) == 1
                else:
                    reason, why, _ = await o.ended()
                    assert (reason, "[dialling]" in why) == ("error", True)
                    assert not other.came("INVITE")

    if contact != "rubbish":  # a Contact that is no address makes the whole answer malformed: dropped as such
        play(scene())


def test_who_rings_too_long_is_cancelled_and_did_not_answer() -> None:
    def manner(far: FarEnd, invite: Request) -> None:
        far.reply(invite, 180)

    async def scene() -> None:
        async with out(manner) as o:
            await o.place(ring_s=0.3)
            cancel = await o.far.comes("CANCEL")
            o.far.reply(o.far.came("INVITE")[0], 487)
            assert (await o.ended())[0] == "no_answer"
            assert cancel.headers.get("CSeq") == "1 CANCEL"
            await o.far.comes("ACK")

    play(scene())


def test_a_host_that_says_nothing_at_all_is_said_to_be_away() -> None:
    async def scene() -> None:
        async with out(answers()) as o:
            await o.place(ring_s=0.3)
            reason, why, _ = await o.ended()
            assert (reason, "does not answer: is it there" in why) == ("error", True)
            assert not o.far.came("CANCEL")  # RFC 3261 §9.1: there is nothing yet that could be cancelled

    play(scene())


def test_a_host_to_which_there_is_no_way_is_said_to_be_out_of_reach() -> None:
    async def scene() -> None:
        both: tuple[Kind, ...] = ("udp", "tcp")
        async with out(answers(200), settings=lambda usual: replace(usual, transports=both)) as o:
            o.ways["carrier"] = Way(name="carrier", host="127.0.0.1", port=9, transport="tcp")  # nobody listens there
            await o.place()
            reason, why, _ = await o.ended()
            assert (reason, why) == ("error", "200 on trunk carrier can't be reached.")

    play(scene())


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() -> None:
    def manner(far: FarEnd, invite: Request) -> None:
        far.reply(invite, 180)

    async def scene() -> None:
        async with out(manner) as o:
            await o.place(ring_s=0.3)
            await o.far.comes("CANCEL")
            o.far.reply(o.far.came("INVITE")[0], 200)
            await o.far.comes("ACK")
            await o.far.comes("BYE")
            assert (await o.ended())[0] == "no_answer"
            assert not o.s.desk.picked

    play(scene())


def test_a_call_that_rings_is_hung_up_by_a_cancel() -> None:
    def manner(far: FarEnd, invite: Request) -> None:
        far.reply(invite, 180)

    async def scene() -> None:
        async with out(manner) as o:
            order = await o.place()
            await o.far.comes("INVITE")
            await o.s.pbx.hang_up(order.call_id)
            await o.far.comes("CANCEL")
            await o.ended()
            await o.s.over()

    play(scene())


def test_of_two_that_answer_one_call_the_first_is_connected_and_the_other_let_go() -> None:
    def manner(far: FarEnd, invite: Request) -> None:
        far.reply(invite, 200, tag="first")
        far.reply(invite, 200, tag="second")

    async def scene() -> None:
        async with out(manner) as o:
            await o.place()
            await o.s.link()
            bye = await o.far.comes("BYE")
            assert tag_of(bye.headers, "To") == "second"
            acked = {tag_of(one.headers, "To") for one in o.far.came("ACK")}
            assert acked == {"first", "second"}
            assert len(o.s.desk.picked) == 1

    play(scene())


@pytest.mark.parametrize("sound", ["", "v=0\r\n", "rubbish"])
def test_an_answer_without_sound_that_we_can_use_is_ended_and_told(sound: str) -> None:
    def manner(far: FarEnd, invite: Request) -> None:
        far.reply(invite, 200, sound=sound)

    async def scene() -> None:
        async with out(manner) as o:
            await o.place()
            bye = await o.far.comes("BYE")
            assert cause_of(bye) == 88
            reason, why, cause = await o.ended()
            assert (reason, cause, "no codec in common" in why) == ("error", 88, True)

    play(scene())


def test_an_order_that_must_not_go_out_does_not() -> None:
    async def scene() -> None:
        async with out(answers(200)) as o:
            with pytest.raises(BadInput):
                await o.place("200@elsewhere")
            with pytest.raises(BadInput):
                await o.place(caller_id="12\r\nX: y")
            with pytest.raises(Refused, match="no trunk 'other'"):
                await o.place(trunk="other")
            assert not o.far.requests
            await until(lambda: not o.s.pbx.call_ids())

    play(scene())


def test_without_any_way_out_no_order_is_taken() -> None:
    async def scene() -> None:
        async with out(answers(200)) as o:
            o.ways.clear()
            with pytest.raises(Refused, match="nothing leads out"):
                o.s.pbx.check_outbound()

    play(scene())


def test_a_call_takes_the_same_steps_as_every_other() -> None:
    async def scene() -> None:
        async with out(answers(200)) as o:
            o.s.desk.steps = [NextStep("talk"), NextStep("hangup")]
            order = await o.place()
            first = await o.s.link()
            first.close()
            await until(lambda: o.s.desk.links.get(order.call_id) not in (None, first))
            o.s.desk.links[order.call_id].close()
            await o.far.comes("BYE")
            await o.s.over()

    play(scene())


def test_a_proxy_that_wants_to_stay_on_the_way_does() -> None:
    async def scene() -> None:
        async with FarEnd(answers()) as proxy:
            route = f"<sip:127.0.0.1:{proxy.port};lr>"

            def manner(far: FarEnd, invite: Request) -> None:
                far.reply(invite, 200, headers=[("Record-Route", route)])

            async with out(manner) as o:
                await o.place()
                ack = await proxy.comes("ACK")
                (await o.s.link()).close()
                bye = await proxy.comes("BYE")
                await o.s.over()
                for request in (ack, bye):
                    assert request.uri == f"sip:far@127.0.0.1:{o.far.port}"
                    assert request.headers.get("Route") == route
                assert not o.far.came("BYE")

    play(scene())


@pytest.mark.parametrize(
    ("via", "place", "transport"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5080;branch=z9hG4bK1", "192.0.2.1:5080", "udp"),
        ("SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bK1;received=192.0.2.1;rport=1234", "192.0.2.1:1234", "udp"),
        ("SIP/2.0/UDP pbx.example.com;branch=z9hG4bK1;rport", "pbx.example.com", "udp"),
        ("SIP/2.0/TCP 192.0.2.1:5080;branch=z9hG4bK1;rport=39122", "192.0.2.1:5080", "tcp"),
        ("SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK1", "[2001:db8::1]:5061", "tls"),
    ],
)
def test_a_caller_is_at_home_at_the_station_that_his_call_came_from_last(via: str, place: str, transport: str) -> None:
    behind = ("Via", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK0")
    invite = Request("INVITE", "sip:100@192.0.2.9", Headers([("Via", via), behind]))
    way = peer_way(invite)
    assert (way.place, way.transport) == (place, transport)
