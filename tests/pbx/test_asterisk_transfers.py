"""Callers put through on a real Asterisk: who is asked, what everybody hears meanwhile, and how it went."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx import office
from tests.pbx.stage import ASSISTANT_HZ, CALLER_HZ, FALLBACK_HZ, Stage, perform, tone_frame
from tests.waiting import until

pytestmark = pytest.mark.pbx

COLLEAGUE_HZ = 900
RINGING_HZ = 425  # of the private Asterisk's indications
FALLBACK = "\n[sovereign-fallback]\nexten => s,1,Answer()\n same => n,Milliwatt()\n"


class Office:
    """The stage with its colleagues."""

    def __init__(self, stage: Stage, colleague: SipPhone, second: SipPhone, carrier: SipPhone) -> None:
        self.stage, self.colleague, self.second, self.carrier = stage, colleague, second, carrier
        self.desk = stage.desk

    async def away(self, step: NextStep, *others: NextStep) -> tuple[SipCall, str]:
        """A caller whom the dialplan puts through, and the call's id."""
        call, call_id = await self.stage.talk()
        call.say(tone(CALLER_HZ))
        self.desk.steps = [step, *others]
        self.desk.links[call_id].close()
        return call, call_id

    async def outcome(self) -> str:
        """How the `dial` step went, once the desk is told."""
        await until(lambda: self.desk.dialled and self.desk.dialled[-1] is not None)
        how = self.desk.dialled[-1]
        assert how is not None
        return how.outcome

    async def picked_up(self, phone: SipPhone) -> SipCall:
        """The call that `phone` has answered; it speaks."""
        call = await phone.incoming()
        await call.answered()
        call.say(tone(COLLEAGUE_HZ))
        return call


def tone(hertz: int) -> bytes:
    return b"".join(tone_frame(number, hertz) for number in range(1000))


async def hears(call: SipCall, *hertz: int, within_s: float = 5.0) -> None:
    """Wait until what this telephone has just heard is one of these tones (0: silence)."""
    await until(lambda: office.strongest(call.ear.heard.audio()) in hertz, within_s)


async def connected(caller: SipCall, colleague: SipCall) -> None:
    await hears(caller, COLLEAGUE_HZ)
    await hears(colleague, CALLER_HZ)


def in_the_office(root: Path, folder: Path, script: Callable[[Office], Awaitable[None]], **options: Any) -> None:
    """Run `script`; afterwards no channel, no bridge and no call may be left."""

    async def body(stage: Stage) -> None:
        async with office.people(stage.asterisk, "colleague", "second", "carrier") as (colleague, second, carrier):
            await script(Office(stage, colleague, second, carrier))
            await stage.asterisk.wait_for_channels(0)
            assert len((await stage.asterisk.cli("bridge show all")).splitlines()) <= 1

    perform(root, body, plan=office.PLAN + FALLBACK, extra=office.configuration(folder), **options)


# --- blind


@pytest.mark.parametrize("ami", [True, False])
def test_a_caller_hears_ringing_until_they_are_connected(asterisk_root: Path, tmp_path: Path, ami: bool) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "by hand"
        caller, call_id = await here.away(NextStep("dial", "201"))
        offered = await here.colleague.incoming()
        await hears(caller, RINGING_HZ)
        assert here.desk.through == []
        offered.ring()
        await offered.answer()
        offered.say(tone(COLLEAGUE_HZ))
        await connected(caller, offered)
        assert here.desk.through == [call_id]
        await offered.hang_up()
        assert await here.outcome() == "answered"
        assert (await caller.over()).how == "they hung up"

    in_the_office(asterisk_root, tmp_path, script, ami=ami)


def test_a_caller_hears_the_music_that_was_asked_for(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "ring"
        caller, call_id = await here.away(NextStep("dial", "201", music=office.MUSIC_CLASS))
        await hears(caller, office.MUSIC_HZ)
        await caller.hang_up()
        await until(lambda: [gone for gone, _ in here.desk.gone_calls] == [call_id])
        assert here.desk.through == []

    in_the_office(asterisk_root, tmp_path, script)


def test_it_rings_as_long_as_was_asked_for(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "ring"
        loop = asyncio.get_running_loop()
        caller, _ = await here.away(NextStep("dial", "201", ring_s=1), NextStep("talk"))
        began = loop.time()
        assert await here.outcome() == "no_answer"
        assert 0.8 < loop.time() - began < 1.8
        await hears(caller, ASSISTANT_HZ)
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script)


@pytest.mark.parametrize(("destination", "trunk"), [("201", ""), ("+31612345678", "carrier")])
def test_who_is_shown_and_who_diverted_is_told_to_the_person_called(
    asterisk_root: Path, tmp_path: Path, destination: str, trunk: str
) -> None:
    async def script(here: Office) -> None:
        phone = here.carrier if trunk else here.colleague
        phone.manner = "busy"
        shown = NextStep("dial", destination, trunk, caller_id="+31850835037", diverted_from="8000")
        caller, _ = await here.away(shown, NextStep("dial", destination, trunk))
        ours, his = await phone.incoming(), await phone.incoming()
        assert "sip:+31850835037@" in ours.invite.get("From")
        assert ours.invite.get("Diversion") == "<sip:8000@127.0.0.1>;reason=deflection"
        assert "sip:caller@" in his.invite.get("From")  # the second attempt is shown the caller himself again
        assert his.invite.get("Diversion") == ""
        await caller.over()

    in_the_office(asterisk_root, tmp_path, script)


@pytest.mark.parametrize(
    ("destination", "trunk", "manner", "outcome"),
    [
        ("201", "", "busy", "busy"),
        ("201", "", "decline", "declined"),
        ("201", "", "dead", "no_answer"),
        ("203", "", "busy", "failed"),  # not registered
        ("204", "", "ring", "no_answer"),  # a dialplan that gives up by itself
        ("999", "", "busy", "failed"),
        ("400", "", "busy", "busy"),
        ("400", "", "decline", "declined"),
        ("600", "", "busy", "no_answer"),
        ("601", "", "busy", "failed"),  # nobody is logged in
        ("sip:ann@{colleague}", "", "busy", "busy"),
        ("sip:ann@{colleague}", "", "decline", "declined"),
        ("+31612345678", "carrier", "busy", "busy"),
        ("+31612345678", "carrier", "decline", "declined"),
        ("+31612345678", "nobody", "busy", "failed"),
        ("+31612345678", "carrier", "ring", "no_answer"),
    ],
)
def test_each_way_of_not_being_taken_has_its_outcome(
    asterisk_root: Path, tmp_path: Path, destination: str, trunk: str, manner: Any, outcome: str
) -> None:
    async def script(here: Office) -> None:
        for phone in (here.colleague, here.second, here.carrier):
            phone.manner = manner
        where = destination.format(colleague=f"127.0.0.1:{here.colleague.port}")
        caller, _ = await here.away(NextStep("dial", where, trunk, ring_s=2), NextStep("talk"))
        assert await here.outcome() == outcome
        await hears(caller, ASSISTANT_HZ)
        assert here.desk.through == []
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script, ami=False)


@pytest.mark.parametrize("destination", ["400", "600", "sip:ann@{colleague}"])
def test_whoever_of_several_answers_has_the_caller(asterisk_root: Path, tmp_path: Path, destination: str) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner, here.second.manner = "answer", "busy"
        where = destination.format(colleague=f"127.0.0.1:{here.colleague.port}")
        caller, call_id = await here.away(NextStep("dial", where))
        await connected(caller, await here.picked_up(here.colleague))
        assert here.desk.through == [call_id]
        await caller.hang_up()
        await until(lambda: [gone for gone, _ in here.desk.gone_calls] == [call_id])
        assert here.desk.dialled == [None]

    in_the_office(asterisk_root, tmp_path, script)


@pytest.mark.parametrize("briefing", [False, True])
def test_whoever_picks_up_a_neighbours_telephone_has_the_caller(
    asterisk_root: Path, tmp_path: Path, briefing: bool
) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "ring"
        caller, call_id = await here.away(NextStep("dial", "201", briefing=briefing))
        await here.colleague.incoming()
        neighbour = await here.second.call("pick")
        await neighbour.answered()
        neighbour.say(tone(COLLEAGUE_HZ))
        if briefing:
            await until(lambda: here.desk.briefing_links)
            here.desk.briefing_links[0].close()
        await connected(caller, neighbour)
        assert here.desk.through == [call_id]
        await neighbour.hang_up()
        assert await here.outcome() == "answered"
        await caller.over()

    in_the_office(asterisk_root, tmp_path, script)


# --- with a briefing


async def briefed(here: Office, step: NextStep, *others: NextStep) -> tuple[SipCall, SipCall, str]:
    """The caller, and the colleague who hears his briefing while the caller waits."""
    here.colleague.manner = here.carrier.manner = "answer"
    caller, call_id = await here.away(step, *others)
    colleague = await here.picked_up(here.carrier if step.trunk else here.colleague)
    await until(lambda: here.desk.briefing_links)
    link = here.desk.briefing_links[0]
    here.desk.heard[link] = bytearray()  # from here on the desk talks to him
    await hears(colleague, ASSISTANT_HZ)
    return caller, colleague, call_id


@pytest.mark.parametrize("trunk", ["", "carrier"])
def test_who_is_briefed_is_heard_while_the_caller_hears_music(asterisk_root: Path, tmp_path: Path, trunk: str) -> None:
    async def script(here: Office) -> None:
        step = NextStep("dial", "201", trunk, music=office.MUSIC_CLASS, briefing=True)
        caller, colleague, call_id = await briefed(here, step)
        await hears(caller, office.MUSIC_HZ)
        heard = here.desk.heard[here.desk.briefing_links[0]]
        await until(lambda: office.strongest(bytes(heard)) == COLLEAGUE_HZ)
        await colleague.press("1")
        await until(lambda: here.desk.digits == ["1"])
        assert here.desk.through == []
        here.desk.briefing_links[0].close()
        await connected(caller, colleague)
        assert here.desk.through == [call_id]
        await caller.hang_up()
        assert (await colleague.over()).how == "they hung up"

    in_the_office(asterisk_root, tmp_path, script)


def test_who_declines_after_the_briefing_is_let_go_and_the_caller_comes_back(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def script(here: Office) -> None:
        here.desk.takes = False
        caller, colleague, _ = await briefed(here, NextStep("dial", "201", briefing=True), NextStep("talk"))
        await hears(caller, RINGING_HZ)
        here.desk.briefing_links[0].close()
        assert (await colleague.over()).how == "they hung up"
        assert await here.outcome() == "declined"
        await hears(caller, ASSISTANT_HZ)
        assert here.desk.through == []
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script)


def test_who_hangs_up_during_the_briefing_has_not_taken_the_caller(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        caller, colleague, _ = await briefed(here, NextStep("dial", "201", briefing=True), NextStep("talk"))
        await colleague.hang_up()
        assert await here.outcome() == "declined"
        await hears(caller, ASSISTANT_HZ)
        assert here.desk.through == []
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script)


def test_who_vanishes_during_the_briefing_is_given_up_by_the_desk(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        here.desk.takes = False
        caller, _, _ = await briefed(here, NextStep("dial", "201", briefing=True), NextStep("talk"))
        await here.colleague.close()  # not a packet more from him, and none is answered
        here.desk.briefing_links[0].close()
        assert await here.outcome() == "declined"
        await hears(caller, ASSISTANT_HZ)
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script)


def test_a_caller_whose_colleague_vanishes_may_hang_up(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "answer"
        caller, call_id = await here.away(NextStep("dial", "201"))
        await connected(caller, await here.picked_up(here.colleague))
        await here.colleague.close()
        await caller.hang_up()
        await until(lambda: [gone for gone, _ in here.desk.gone_calls] == [call_id])
        assert here.desk.through == [call_id]

    in_the_office(asterisk_root, tmp_path, script)


def test_a_caller_who_hangs_up_during_the_briefing_ends_it(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        caller, colleague, call_id = await briefed(here, NextStep("dial", "201", briefing=True))
        await caller.hang_up()
        assert (await colleague.over(2.0)).how == "they hung up"
        assert [gone for gone, _ in here.desk.gone_calls] == [call_id]
        assert here.desk.through == []

    in_the_office(asterisk_root, tmp_path, script)


# --- when something is missing


@pytest.mark.parametrize("briefing", [False, True])
def test_a_daemon_that_is_gone_when_somebody_answers_keeps_nobody_apart(
    asterisk_root: Path, tmp_path: Path, briefing: bool
) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "by hand"
        caller, _ = await here.away(NextStep("dial", "201", briefing=briefing))
        offered = await here.colleague.incoming()
        offered.ring()
        await here.stage.pbx.stop()
        await offered.answer()
        offered.say(tone(COLLEAGUE_HZ))
        await connected(caller, offered)
        await offered.hang_up()
        assert (await caller.over()).how == "they hung up"  # and not the fallback: he was served

    in_the_office(asterisk_root, tmp_path, script)


def test_a_daemon_that_is_gone_while_it_rings_leaves_the_caller_to_the_fallback(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "ring"
        caller, _ = await here.away(NextStep("dial", "201", ring_s=1))
        await here.colleague.incoming()
        await here.stage.pbx.stop()
        await hears(caller, FALLBACK_HZ, 1005)
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script)


def test_a_daemon_that_is_lost_during_the_briefing_keeps_nobody_apart(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        caller, colleague, _ = await briefed(here, NextStep("dial", "201", briefing=True))
        await here.stage.pbx.stop()
        await connected(caller, colleague)
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script)


def test_a_briefing_that_can_not_reach_the_daemon_keeps_nobody_apart(asterisk_root: Path, tmp_path: Path) -> None:
    async def script(here: Office) -> None:
        here.colleague.manner = "answer"
        caller, call_id = await here.away(NextStep("dial", "201", briefing=True))
        await connected(caller, await here.picked_up(here.colleague))
        assert here.desk.through == [call_id]
        await caller.hang_up()

    in_the_office(
        asterisk_root,
        tmp_path,
        script,
        edit=lambda text: text.replace("AudioSocket(${SOVEREIGN_BRIEFING},", "AudioSocket(${SOVEREIGN_BRIEFING}0,"),
    )


def test_the_dialplan_of_the_version_before_is_served(asterisk_root: Path, tmp_path: Path) -> None:
    """It tells nothing of how it went, nor what the caller speaks, and rings for as long as it says itself."""

    def older(text: str) -> str:
        application = text[text.index("TryExec(AudioSocket(${ARG1},") :].partition("\n")[0]
        text = text.replace("Gosub(sound,1(${SOVEREIGN_CALL}))", application.replace("ARG1", "SOVEREIGN_CALL"))
        text = text.replace(",SOVEREIGN_FORMATS=${SOVEREIGN_FORMATS},", ",")
        begin, end = text.index("exten => dial-out,1,"), text.index("; Tells the daemon that the caller has gone")
        text = (
            text[:begin]
            + "exten => dial-out,1,Dial(Local/${SOVEREIGN_DEST}@sovereign-dial,30)\n same => n,Return()\n\n"
            + text[end:]
        )
        return text.replace(",${SOVEREIGN_STATUS},${SOVEREIGN_CAUSES})", ")")

    async def script(here: Office) -> None:
        here.colleague.manner = "busy"
        caller, _ = await here.away(NextStep("dial", "201", music="waiting", briefing=True), NextStep("talk"))
        await until(lambda: len(here.desk.dialled) == 2)
        assert here.desk.dialled == [None, None]
        await hears(caller, ASSISTANT_HZ)
        await caller.hang_up()

    in_the_office(asterisk_root, tmp_path, script, edit=older)
