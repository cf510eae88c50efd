"""Callers put through by SIP: somebody is rung and briefed, the two are joined by their PBX or here, and whoever is not
taken is back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from sovereign_pbx.core.errors import LinkFinished
from sovereign_pbx.pbx.link import Dialled, NextStep
from sovereign_pbx.pbx.sip import outgoing_transfer
from sovereign_pbx.pbx.sip.outgoing import SipControl, SipControlSettings
from sovereign_pbx.pbx.sip.outgoing_transfer import TransferWay
from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.pbx.sip.transport import Kind
from sovereign_pbx.wire.sip import NameAddr, Request, tag_of
from tests.pbx.sip.far_end import Caller, Connection, FarEnd, Manner, answers
from tests.pbx.sip.stage import Stage, play, stage, tick
from tests.pbx.sip.ua import UaCall
from tests.waiting import until

DIAL = NextStep("dial", "200", "carrier", ring_s=10.0)


@dataclass
class Put:
    """A caller who talks to the assistant, and a colleague behind the trunk `carrier`."""

    s: Stage
    far: FarEnd
    call: UaCall

    async def put_through(self, step: NextStep, afterwards: NextStep = NextStep("hangup")) -> None:  # noqa: B008 - frozen
        """The conversation ends with this step; what comes after it is `afterwards`."""
        self.s.desk.steps = [step, afterwards]
        (await self.s.link()).close()

    async def dialled(self) -> Dialled:
        """What the desk is told of it."""
        await until(lambda: len(self.s.desk.dialled) > 1)
        found = self.s.desk.dialled[1]
        assert found is not None
        return found

    async def talking(self) -> None:
        """The two are connected."""
        await until(lambda: self.s.desk.through)


@asynccontextmanager
async def put(manner: Manner, *, transfer: TransferWay = "bridge") -> AsyncIterator[Put]:
    ways: dict[str, Way] = {}
    control = SipControl(SipControlSettings(trunks=lambda: ways, transfer=transfer))
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(FarEnd(manner))
        s = await stack.enter_async_context(stage(controls=[control]))
        ways["carrier"] = far.way
        call = s.ua.call()
        await call.answered()
        yield Put(s, far, call)


def rings(far: FarEnd, invite: Request) -> None:
    far.reply(invite, 180)


def test_a_colleague_who_answers_has_the_caller_until_he_hangs_up() -> None:
    async def scene() -> None:
        async with put(answers(180, 200)) as p:
            await p.put_through(replace(DIAL, diverted_from="100"))
            await p.talking()
            invite = p.far.came("INVITE")[0]
            assert NameAddr.parse(invite.headers.get("From")).uri.user == "201"
            assert NameAddr.parse(invite.headers.get("From")).display == "Jan"
            assert NameAddr.parse(invite.headers.get("Diversion")).uri.user == "100"
            p.far.request(invite, "BYE")
            assert (await p.dialled()).outcome == "answered"
            await p.call.comes("BYE")
            await p.s.over()
            assert len(p.s.desk.through) == 1

    play(scene())


@pytest.mark.parametrize(
    ("status", "outcome"), [(486, "busy"), (603, "declined"), (480, "no_answer"), (404, "failed"), (503, "failed")]
)
def test_a_caller_whom_nobody_takes_is_back_with_the_assistant(status: int, outcome: str) -> None:
    async def scene() -> None:
        async with put(answers(180, status)) as p:
            await p.put_through(DIAL, NextStep("talk"))
            assert (await p.dialled()).outcome == outcome
            call_id = next(iter(p.s.desk.links))
            await until(lambda: p.s.desk.links[call_id].ended is None)
            tick(p.s.desk.links[call_id])
            assert not p.s.desk.through

    play(scene())


def test_nobody_is_rung_longer_than_the_step_says() -> None:
    async def scene() -> None:
        async with put(rings) as p:
            await p.put_through(replace(DIAL, ring_s=1.0), NextStep("talk"))
            await p.far.comes("CANCEL")
            assert (await p.dialled()).outcome == "no_answer"

    play(scene())


def test_who_is_rung_is_let_go_when_the_caller_hangs_up() -> None:
    async def scene() -> None:
        async with put(rings) as p:
            await p.put_through(DIAL)
            await p.far.comes("INVITE")
            p.call.request("BYE")
            await p.far.comes("CANCEL")
            await p.s.over()
            assert not p.s.desk.through

    play(scene())


def test_a_colleague_who_answers_as_the_caller_hangs_up_is_let_go() -> None:
    async def scene() -> None:
        async with put(rings) as p:
            await p.put_through(DIAL)
            invite = await p.far.comes("INVITE")
            await p.far.comes("INVITE")
            p.call.request("BYE")
            await p.far.comes("CANCEL")
            p.far.reply(invite, 200)
            await p.far.comes("ACK")
            await p.far.comes("BYE")
            await p.s.over()

    play(scene())


def test_a_caller_who_hangs_up_ends_the_colleagues_call_too() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            await p.put_through(DIAL)
            await p.talking()
            p.call.request("BYE")
            await p.far.comes("BYE")
            await p.s.over()

    play(scene())


def test_a_call_that_is_hung_up_by_us_ends_both() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            await p.put_through(DIAL)
            await p.talking()
            await p.s.pbx.hang_up(p.s.desk.through[0])
            await p.call.comes("BYE")
            await p.far.comes("BYE")
            await p.s.over()

    play(scene())


def test_a_trunk_that_is_not_there_fails_with_a_sentence() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            await p.put_through(replace(DIAL, trunk="other"), NextStep("talk"))
            dialled = await p.dialled()
            assert (dialled.outcome, "no trunk 'other'" in dialled.why) == ("failed", True)
            assert not p.far.requests

    play(scene())


# --- the briefing


def test_a_colleague_is_briefed_and_takes_the_caller() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            await p.put_through(replace(DIAL, briefing=True))
            await until(lambda: p.s.desk.briefing_links)
            assert not p.s.desk.through
            p.s.desk.briefing_links[0].close()
            await p.talking()
            assert p.s.desk.asked_briefed

    play(scene())


def test_a_colleague_who_does_not_take_the_caller_is_let_go_and_the_caller_is_back() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            p.s.desk.takes = False
            await p.put_through(replace(DIAL, briefing=True), NextStep("talk"))
            await until(lambda: p.s.desk.briefing_links)
            p.s.desk.briefing_links[0].close()
            assert (await p.dialled()).outcome == "declined"
            await p.far.comes("BYE")
            assert not p.s.desk.through

    play(scene())


def test_a_colleague_who_hangs_up_on_the_briefing_has_declined() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            p.s.desk.takes = False
            await p.put_through(replace(DIAL, briefing=True), NextStep("talk"))
            await until(lambda: p.s.desk.briefing_links)
            p.far.request(p.far.came("INVITE")[0], "BYE")
            dialled = await p.dialled()
            assert (dialled.outcome, "hung up during the briefing" in dialled.why) == ("declined", True)
            assert isinstance(p.s.desk.briefing_links[0].ended, LinkFinished)

    play(scene())


def test_digits_of_a_briefed_colleague_by_info_are_heard() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            await p.put_through(replace(DIAL, briefing=True))
            await until(lambda: p.s.desk.briefing_links)
            kind = [("Content-Type", "application/dtmf-relay")]
            p.far.request(p.far.came("INVITE")[0], "INFO", headers=kind, body="Signal=1\r\nDuration=100\r\n")
            await until(lambda: p.s.desk.digits == ["1"])

    play(scene())


@pytest.mark.parametrize("answer", [False, ValueError("a fault of our own")])
def test_without_a_briefing_the_two_are_put_through_at_once(answer: bool | Exception) -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            p.s.desk.briefs = answer
            await p.put_through(replace(DIAL, briefing=True))
            await p.talking()
            assert not p.s.desk.briefing_links

    play(scene())


def test_a_caller_who_hangs_up_during_the_briefing_ends_it() -> None:
    async def scene() -> None:
        async with put(answers(200)) as p:
            await p.put_through(replace(DIAL, briefing=True))
            await until(lambda: p.s.desk.briefing_links)
            p.call.request("BYE")
            await p.far.comes("BYE")
            await p.s.over()
            assert p.s.desk.briefing_links[0].ended is not None
            assert not p.s.desk.through

    play(scene())


# --- REFER

HOME = NextStep("dial", "200", ring_s=10.0)
TAKES_REFER = (("Allow", "INVITE, ACK, BYE, CANCEL, REFER, NOTIFY"), ("Supported", "timer, replaces"))
NO_REFER = (("Allow", "INVITE, ACK, BYE, CANCEL"),)


@dataclass
class Home:
    """A caller and a colleague of one PBX."""

    s: Stage
    far: FarEnd
    caller: Caller

    def refers(self, status: int, notify: str = "", *, ends: bool = True) -> None:
        """What the PBX does with a REFER: its answer, what it then tells, and whether it ends our calls."""

        def answer(request: Request) -> int | None:
            if request.method != "REFER":
                return 200
            self.far.reply(request, status)
            if notify:
                self.caller.notify("100 Trying", "active")
                self.caller.notify(notify)
            if ends:
                self.far.request(self.far.came("INVITE")[0], "BYE")
                self.caller.hang_up()
            return None

        self.far.answers = answer

    async def put_through(self, step: NextStep = HOME, afterwards: NextStep = NextStep("hangup")) -> None:  # noqa: B008 - frozen
        self.s.desk.steps = [step, afterwards]
        (await self.s.link()).close()


@asynccontextmanager
async def at_home(
    manner: Manner, *, transfer: TransferWay = "auto", says: Sequence[tuple[str, str]] = TAKES_REFER
) -> AsyncIterator[Home]:
    control = SipControl(SipControlSettings(transfer=transfer))
    async with FarEnd(manner) as far, stage(controls=[control]) as s:
        caller = far.call(s.pbx.endpoint.address("udp"), says)
        await caller.answered()
        yield Home(s, far, caller)


def test_the_pbx_is_asked_to_join_the_two_itself() -> None:
    async def scene() -> None:
        async with at_home(answers(180, 200)) as h:
            h.refers(202, "200 OK")
            await h.put_through()
            refer = await h.caller.comes("REFER")
            target = NameAddr.parse(refer.headers.get("Refer-To")).uri
            invite = h.far.came("INVITE")[0]
            assert (target.user, target.port) == ("far", h.far.port)
            ours = tag_of(invite.headers, "From")
            assert target.header("Replaces") == f"{invite.headers.get('Call-ID')};to-tag=far;from-tag={ours}"
            await h.s.over()
            assert len(h.s.desk.through) == 1

    play(scene())


def test_the_callers_call_is_ended_where_the_pbx_ends_the_colleagues_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As RFC 5589 §7.1 has it: the transferor hangs up when he has been told."""
    monkeypatch.setattr(outgoing_transfer, "PARTED_S", 0.3)

    async def scene() -> None:
        async with at_home(answers(200)) as h:
            h.refers(202, "200 OK", ends=False)
            await h.put_through()
            await h.caller.comes("REFER")
            h.far.request(h.far.came("INVITE")[0], "BYE")
            await h.caller.comes("BYE")
            await h.s.over()
            assert len(h.s.desk.through) == 1

    play(scene())


def test_a_pbx_that_says_yes_and_does_nothing_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_transfer, "PARTED_S", 0.3)

    async def scene() -> None:
        async with at_home(answers(200)) as h:
            h.refers(202, "200 OK", ends=False)
            await h.put_through()
            await until(lambda: h.s.desk.through)
            assert not h.far.came("BYE")
            assert h.s.pbx.health()["controls"]["sip"]["bridges"] == 1
            h.far.request(h.far.came("INVITE")[0], "BYE")
            await h.caller.comes("BYE")
            await h.s.over()

    play(scene())


def test_a_pbx_that_takes_both_calls_away_without_a_word_has_joined_them() -> None:
    async def scene() -> None:
        async with at_home(answers(200)) as h:
            h.refers(202)
            await h.put_through()
            await h.s.over()
            assert len(h.s.desk.through) == 1

    play(scene())


@pytest.mark.parametrize(
    ("status", "notify"), [(603, ""), (405, ""), (202, "503 Service Unavailable"), (202, "486 Busy")]
)
def test_a_caller_whom_the_pbx_does_not_take_is_bridged_here(status: int, notify: str) -> None:
    async def scene() -> None:
        async with at_home(answers(200)) as h:
            h.refers(status, notify, ends=False)
            await h.put_through()
            await until(lambda: h.s.desk.through)
            assert not h.far.came("BYE")
            h.far.request(h.far.came("INVITE")[0], "BYE")
            await h.caller.comes("BYE")
            await h.s.over()
            assert len(h.s.desk.through) == 1

    play(scene())


def test_a_colleague_who_hangs_up_while_the_pbx_refuses_to_join_them_has_not_got_the_caller() -> None:
    async def scene() -> None:
        async with at_home(answers(200)) as h:

            def answer(request: Request) -> int | None:
                if request.method != "REFER":
                    return 200
                h.far.request(h.far.came("INVITE")[0], "BYE")
                h.far.reply(request, 603)
                return None

            h.far.answers = answer
            await h.put_through(HOME, NextStep("talk"))
            await until(lambda: len(h.s.desk.dialled) > 1)
            found = h.s.desk.dialled[1]
            assert found is not None
            assert found.outcome == "failed"
            assert not h.s.desk.through

    play(scene())


def test_a_pbx_that_does_not_take_refer_is_not_asked() -> None:
    async def scene() -> None:
        async with at_home(answers(200), says=NO_REFER) as h:
            await h.put_through()
            await until(lambda: h.s.desk.through)
            assert not h.far.came("REFER")

    play(scene())


def test_a_colleague_elsewhere_is_not_the_pbxs_to_join() -> None:
    async def scene() -> None:
        async with FarEnd(answers(200)) as other, at_home(answers(200)) as h:
            await h.put_through(NextStep("dial", f"sip:anna@localhost:{other.port}"))
            await until(lambda: h.s.desk.through)
            assert not h.far.came("REFER")
            assert other.came("INVITE")

    play(scene())


def test_a_caller_who_hangs_up_while_he_is_referred_is_gone() -> None:
    async def scene() -> None:
        async with at_home(answers(200)) as h:
            h.refers(202, ends=False)
            await h.put_through()
            await h.caller.comes("REFER")
            h.caller.hang_up()
            await h.s.over()
            assert not h.s.desk.through
            await until(lambda: len(h.far.came("BYE")) == 1)

    play(scene())


def test_where_only_refer_is_wanted_a_refusal_brings_the_caller_back() -> None:
    async def scene() -> None:
        async with at_home(answers(200), transfer="refer") as h:
            h.refers(603, ends=False)
            await h.put_through(replace(HOME, briefing=True), NextStep("talk"))
            await until(lambda: h.s.desk.briefing_links)
            h.s.desk.briefing_links[0].close()
            await until(lambda: len(h.s.desk.dialled) > 1)
            found = h.s.desk.dialled[1]
            assert found is not None
            assert found.outcome == "failed"
            assert not h.s.desk.through

    play(scene())


def test_where_only_refer_is_wanted_nobody_is_rung_by_us() -> None:
    async def scene() -> None:
        async with at_home(answers(200), transfer="refer") as h:

            def answer(request: Request) -> int | None:
                if request.method != "REFER":
                    return 200
                h.far.reply(request, 202)
                h.caller.notify("200 OK")
                h.caller.hang_up()
                return None

            h.far.answers = answer
            await h.put_through()
            refer = await h.caller.comes("REFER")
            assert NameAddr.parse(refer.headers.get("Refer-To")).uri.user == "200"
            await h.s.over()
            assert not h.far.came("INVITE")
            assert len(h.s.desk.through) == 1

    play(scene())


def test_a_blind_refer_that_fails_brings_the_caller_back() -> None:
    async def scene() -> None:
        async with at_home(answers(200), transfer="refer") as h:
            h.refers(202, "486 Busy Here", ends=False)
            await h.put_through(HOME, NextStep("talk"))
            await until(lambda: len(h.s.desk.dialled) > 1)
            found = h.s.desk.dialled[1]
            assert found is not None
            assert found.outcome == "busy"

    play(scene())


def test_a_caller_who_came_over_tcp_is_put_through_over_the_same_connection() -> None:
    """His PBX can't be reached otherwise: the port in its Via is nobody's."""

    async def scene() -> None:
        control = SipControl(SipControlSettings(transfer="bridge"))
        both: tuple[Kind, ...] = ("udp", "tcp")
        async with (
            stage(controls=[control], settings=lambda usual: replace(usual, transports=both)) as s,
            Connection(s.pbx.endpoint.address("tcp")) as pbx,
        ):
            pbx.invite()
            await pbx.comes(200)
            pbx.send("ACK", number=1)
            s.desk.steps = [HOME, NextStep("hangup")]
            (await s.link()).close()
            invite = await pbx.comes("INVITE")
            assert isinstance(invite, Request)
            assert invite.uri.startswith("sip:200@127.0.0.1:9;transport=tcp")
            pbx.reply(invite, 486)
            await until(lambda: len(s.desk.dialled) > 1)
            found = s.desk.dialled[1]
            assert found is not None
            assert found.outcome == "busy"
            bye = await pbx.comes("BYE")
            assert isinstance(bye, Request)
            pbx.reply(bye, 200)
            await s.over()

    play(scene())
