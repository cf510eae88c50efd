"""sipp calls the daemon's side: whole calls, and calls that go wrong where calls do."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from sovereign_pbx.pbx.link import Decision
from sovereign_pbx.pbx.sip import answering
from sovereign_pbx.pbx.sip.renegotiation import ACK_S
from sovereign_pbx.testing.private_tree import PrivateTree
from sovereign_pbx.testing.progress_line import ProgressLine
from sovereign_pbx.testing.sipp_tree import sipp_tree
from tests.pbx.sip import sipp
from tests.pbx.sip.sipp import ACK, ANSWERED, BYE, INVITE, RINGS, Step, offer, pause, recv, request, send, taken
from tests.pbx.sip.stage import Stage, play, stage

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]  # the first one may fetch sipp

CANCEL = send(request("CANCEL", number=1, dialog=False, branch="[branch-1]"))
REFUSED_ACK = send(request("ACK", number=1, branch="[branch-4]"))


@pytest.fixture(scope="module")
def tree() -> PrivateTree:
    return sipp_tree(ProgressLine("sipp"))


@dataclass(frozen=True)
class Scene:
    """What sipp does, what the desk says and how long it thinks, and what must be true afterwards. `crossing`: ours may
    be faster with an answer than sipp with its next request."""

    steps: tuple[Step, ...]
    decision: Decision | None = None
    thinks_s: float = 0.0
    ack_s: float = ACK_S
    calls: int = 1
    after: Callable[[Stage, sipp.Played], bool] = lambda stage, played: True
    kind: Literal["udp", "tcp"] = "udp"
    crossing: bool = False


def again(step: Step, back: int) -> Step:
    """The same request once more, with the branch that it had `back` steps before."""
    return step.replace("[branch]", f"[branch-{back}]")


def reinvited(number: int, direction: str, answered: str) -> tuple[Step, ...]:
    """A re-INVITE with its answer and ACK."""
    asked = send(request("INVITE", number=number, body=offer(direction, number)))
    return asked, recv(100, optional=True), recv(200, saying=f"a={answered}"), send(request("ACK", number=number))


MALFORMED = request("INFO", number=5, extra=["Max-Forwards: 69"])
RUBBISH = "not at all SIP, but it comes from the same place\n\n"

SCENES = {
    "a call that the caller ends": Scene(
        (*ANSWERED, pause(100), *BYE), after=lambda one, _: len(one.desk.links) == 1 and len(one.desk.offers) == 1
    ),
    "a call over tcp": Scene((*ANSWERED, pause(100), *BYE), kind="tcp"),
    "a call without an offer, which the ack answers": Scene(
        (
            send(request("INVITE", number=1, dialog=False)),
            *RINGS,
            recv(200, saying="m=audio"),
            send(request("ACK", number=1, body=offer())),
            pause(100),
            *BYE,
        ),
        after=lambda one, _: len(one.desk.links) == 1,
    ),
    "a busy caller": Scene((INVITE, *RINGS, recv(486), REFUSED_ACK), Decision("busy")),
    "a cancel before anything was said": Scene(
        (INVITE, CANCEL, *RINGS, recv(200), recv(487), send(request("ACK", number=1, branch="[branch-6]"))),
        thinks_s=20,
        calls=0,  # the desk may have been asked or not, so quick it goes
        after=lambda one, _: one.desk.cancelled == len(one.desk.offers) == len(one.desk.gone_calls),
        crossing=True,
    ),
    "a cancel while it rings": Scene(
        (
            INVITE,
            recv(100, optional=True),
            recv(180),
            send(request("CANCEL", number=1, dialog=False, branch="[branch-3]")),
            recv(200),
            recv(487),
            send(request("ACK", number=1, branch="[branch-6]")),
        ),
        thinks_s=20,
        after=lambda one, _: one.desk.cancelled == 1,
    ),
    "a cancel that crosses the answer": Scene(
        (
            INVITE,
            *RINGS,
            recv(200),
            send(request("CANCEL", number=1, dialog=False, branch="[branch-4]")),
            recv(200),
            ACK,
            pause(50),
            *BYE,
        ),
        after=lambda one, _: len(one.desk.links) == 1,
    ),
    "hold, and back": Scene(
        (*ANSWERED, *reinvited(2, "sendonly", "recvonly"), pause(50), *reinvited(3, "sendrecv", "sendrecv"), *BYE),
        after=lambda one, _: one.desk.holds == [True, False],
    ),
    "an ack that comes late": Scene(
        (INVITE, *RINGS, recv(200), pause(1700), ACK, pause(50), *BYE),
        after=lambda one, played: len(one.desk.links) == 1 and played.received("SIP/2.0 200 OK") >= 3,
    ),
    "an ack that never comes": Scene(
        (INVITE, *RINGS, recv(200), taken("BYE")),
        ack_s=3.0,  # two repetitions of the answer
        after=lambda one, played: not one.desk.links and played.received("SIP/2.0 200 OK") >= 2,
    ),
    # sipp repeats its last request whenever an answer is repeated, so that both go on for as long as the desk thinks
    "an invite that comes again and again": Scene(
        (INVITE, recv(100, optional=True), recv(180), again(INVITE, 3), recv(200), ACK, pause(50), *BYE),
        thinks_s=0.1,
        after=lambda one, played: len(one.desk.offers) == 1 and played.received("SIP/2.0 180 Ringing") > 1,
    ),
    "a bye that comes again and again": Scene(
        (*ANSWERED, pause(50), *BYE, again(BYE[0], 2), pause(20)),
        after=lambda one, played: len(one.desk.links) == 1 and played.received("SIP/2.0 200 OK") >= 3,
    ),
    "rubbish and a malformed request in the middle": Scene(
        (*ANSWERED, send(RUBBISH), send(MALFORMED), recv(400), pause(50), *BYE),
        after=lambda one, _: one.pbx.endpoint.counts["malformed"] == 2,
    ),
    "a request with an old number": Scene(
        (*ANSWERED, *reinvited(7, "sendrecv", "sendrecv"), send(request("INFO", number=3)), recv(500), *BYE)
    ),
}


@pytest.mark.parametrize("name", list(SCENES))
def test_sipp_plays(name: str, tree: PrivateTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SCENES[name]
    monkeypatch.setattr(answering, "ACK_S", scene.ack_s)

    async def inside() -> None:
        async with stage(scene.decision, settings=lambda usual: replace(usual, transports=("udp", "tcp"))) as one:
            one.desk.delay_s = scene.thinks_s
            address = one.pbx.endpoint.address(scene.kind)
            how: Any = {"transport": f"{scene.kind[0]}1", "crossing": scene.crossing}
            played = await sipp.play(tree, scene.steps, address, tmp_path, **how)
            assert played.code == 0, played.errors
            await one.over(scene.calls or len(one.desk.gone_calls))
            assert scene.after(one, played), played.messages[-4000:]

    play(inside())


def test_sipp_is_hung_up_on(tree: PrivateTree, tmp_path: Path) -> None:
    async def inside() -> None:
        async with stage() as one:
            address = one.pbx.endpoint.address("udp")
            playing = asyncio.ensure_future(sipp.play(tree, (*ANSWERED, taken("BYE")), address, tmp_path))
            try:
                (await one.link()).close()
                played = await playing
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
            assert played.code == 0, played.errors
            assert "Q.850;cause=16" in played.messages
            await one.over()

    play(inside())
