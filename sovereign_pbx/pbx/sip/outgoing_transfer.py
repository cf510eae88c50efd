"""A caller put through by SIP alone: his colleague is rung, briefed where that is wanted, and then the two are joined,
by their PBX (REFER with Replaces) or here (the bridge).

Whatever goes wrong once somebody has answered the caller reaches him, or is back: he is never lost by a transfer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import structlog

from sovereign_pbx.core.errors import LinkBroken, LinkEnded, LinkFinished, Refused
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Desk, Dialled, NextStep
from sovereign_pbx.pbx.sip.bridging import Bridges, Side
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.outgoing_call import Outgoing, Whom, replaced
from sovereign_pbx.pbx.sip.outgoing_result import Unanswered
from sovereign_pbx.pbx.sip.replaces import takes_refer
from sovereign_pbx.pbx.sip.sip_call import SipCall

log = structlog.get_logger(__name__)

T = TypeVar("T")

TransferWay = Literal["auto", "refer", "bridge"]

BRIEFING_S: Final = 10.0  # as in pbx.asterisk.put_through: what the person called is kept waiting in silence
HEARD_S: Final = 90.0  # a briefing ends by itself after 45 s; this is for a desk that has forgotten it
REFER_S: Final = 12.0
PARTED_S: Final = 2.0  # what a PBX takes to end our two calls once it has joined them

_CAUSE_NORMAL: Final = 16

_TALKED: Final = Dialled("answered", "They talked, and the person called has hung up.", _CAUSE_NORMAL)
_LOST: Final = Dialled("answered", "They talked, until the sound was lost.")
_JOINED: Final = Dialled("answered", "The PBX has put them through.", _CAUSE_NORMAL)
_LEFT: Final = Dialled("declined", "The person called hung up during the briefing.")
_NOT_TAKEN: Final = Dialled("declined", "The person called heard the briefing and did not take the call.")
_GONE_AT_ONCE: Final = Dialled("failed", "The person called hung up as he was put through.")


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """`transfer`: as configured. `at_home`: the colleague was rung at the caller's own PBX."""

    transfer: TransferWay = "auto"
    at_home: bool = False
    briefing_s: float = BRIEFING_S
    refer_s: float = REFER_S


class Putting:
    """One caller put through to one colleague. `run` once."""

    def __init__(
        self, desk: Desk, bridges: Bridges, call: SipCall, step: NextStep, outgoing: Outgoing, how: How
    ) -> None:
        self._desk = desk
        self._bridges = bridges
        self._call = call
        self._step = step
        self._outgoing = outgoing
        self._how = how

    async def run(self) -> Dialled:
        """See `Control.put_through`. Raises LinkFinished when the caller leaves before anybody has him."""
        try:
            found = await self._unless_left(self._outgoing.ring(self._step.ring_s))
            if isinstance(found, Unanswered):
                log.info("colleague_not_answered", outcome=found.kind, why=found.why, cause=found.cause)
                return found.dialled()
            refusal = await self._briefed(found) if self._step.briefing else None
            if refusal is not None:
                return refusal
            return await self._join(found)
        finally:
            leg = self._outgoing.leg
            if leg is not None and leg.up:
                leg.home.spawn(leg.bye(_CAUSE_NORMAL), "sip-bye")

    # --- the briefing

    async def _briefed(self, leg: Leg) -> Dialled | None:
        """None: he takes the caller. Whoever has heard the briefing and does not is let go; every other failure puts
        the two through."""
        if not await self._ask(self._desk.briefing(self._call.call_id), leg, default=False):
            return None if leg.up else _LEFT
        over = asyncio.Event()
        link = leg.sound.link(leg.sound.rate)
        link.on_ended = lambda how: over.set()
        leg.ears = _ColleagueEars(link)
        try:
            self._desk.briefing_connected(self._call.call_id, link)
            async with asyncio.timeout(HEARD_S):
                await self._unless_left(over.wait())
        except TimeoutError:
            log.warning("briefing_never_ended")
        finally:
            leg.ears = None
            link.close()
        taken = await self._ask(self._desk.briefed(self._call.call_id), None, default=True)
        if not leg.up:
            return _LEFT
        return None if taken else _NOT_TAKEN

    async def _ask(self, asking: Awaitable[bool], leg: Leg | None, *, default: bool) -> bool:
        """Raises LinkFinished when the caller leaves meanwhile; every other failure is the default."""
        try:
            async with asyncio.timeout(self._how.briefing_s):
                return await self._unless_left(asking, leg)
        except LinkEnded:
            if not self._call.up:
                raise
        except TimeoutError:
            log.warning("briefing_too_late", after_s=self._how.briefing_s)
        except Exception:
            log.exception("briefing_failed")
        return default

    # --- the two

    async def _join(self, leg: Leg) -> Dialled:
        if not leg.up:
            return _GONE_AT_ONCE
        if self._how.transfer == "refer" or (self._how.transfer == "auto" and self._can_refer()):
            if await self._referred(leg):
                return _JOINED
            if not self._call.up:
                raise LinkFinished("the caller hung up")
            if not leg.up:
                return _GONE_AT_ONCE
            if self._how.transfer == "refer":
                return Dialled("failed", "The PBX does not put the caller through (REFER), and [sip] transfer = refer.")
        return await self._bridged(leg)

    def _can_refer(self) -> bool:
        return self._how.at_home and takes_refer(self._call.invite)

    async def _referred(self, leg: Leg) -> bool:
        """Whether the PBX has joined the two itself. Its word is not enough, some say 200 before they know, nor needed:
        some take both calls away without one. Who has replaced our call with the colleague ends it (RFC 3891 §3)."""
        call = self._call
        try:
            status = await call.refer(replaced(leg).refer_to(leg.dialog.target), within_s=self._how.refer_s)
        except (Refused, LinkEnded, TimeoutError) as exc:
            log.info("refer_not_taken", why=str(exc) or type(exc).__name__)
            status = 0
        said = 200 <= status < 300
        if said or not call.up:
            await _within(PARTED_S, leg.ended())
        joined = not (leg.up and call.up) if said else not (leg.up or call.up)
        log.info("referred", status=status, joined=joined)
        if joined:
            self._tell_through()
            await _within(PARTED_S, call.ended())
            if call.up:
                await call.leg.bye(_CAUSE_NORMAL)
        return joined

    async def _bridged(self, leg: Leg) -> Dialled:
        call = self._call
        if not call.up:
            raise LinkFinished("the caller hung up")
        theirs = call.attach()
        ours = leg.sound.link(theirs.rate)
        bridge = self._bridges.join(Side(theirs, _sender(call.leg)), Side(ours, _sender(leg)))
        leg.ears = _ColleagueEars(ours)
        try:
            self._tell_through()
            how = await self._unless_left(bridge.ended(), leg)
        except LinkFinished:
            return _TALKED
        finally:
            leg.ears = None
            bridge.close()
            log.info("bridge_ended", **bridge.statistics())
        return _LOST if isinstance(how, LinkBroken) else _TALKED

    def _tell_through(self) -> None:
        try:
            self._desk.put_through(self._call.call_id)
        except Exception:
            log.exception("put_through_failed")

    # --- private

    async def _unless_left(self, work: Awaitable[T], leg: Leg | None = None) -> T:
        """Raises LinkFinished when the caller, or the colleague with this leg, leaves before it is done."""
        working = asyncio.ensure_future(work)
        leaving = [asyncio.ensure_future(self._call.ended())]
        if leg is not None:
            leaving.append(asyncio.ensure_future(leg.ended()))
        try:
            await asyncio.wait({working, *leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LinkFinished("the caller hung up" if not self._call.up else "the person called hung up")
            return working.result()
        finally:
            for task in (working, *leaving):
                task.cancel()
            await asyncio.gather(working, *leaving, return_exceptions=True)


async def refer_blindly(desk: Desk, call: SipCall, whom: Whom, within_s: float) -> Dialled:
    """Have the PBX put the caller through and believe what it says of it, which some say before they know."""
    try:
        status = await call.refer(str(whom.target), within_s=within_s)
    except TimeoutError:
        return Dialled("no_answer", "The PBX has not said in time what became of the transfer.")
    if not 200 <= status < 300:
        if not call.up:
            raise LinkFinished("the caller hung up")
        return Unanswered(where=whom.where, status=status).dialled()
    try:
        desk.put_through(call.call_id)
    except Exception:
        log.exception("put_through_failed")
    await _within(PARTED_S, call.ended())
    if call.up:
        await call.leg.bye(_CAUSE_NORMAL)
    return _JOINED


class _ColleagueEars:
    """Of the colleague's dialog: a digit that comes by INFO goes the way of those that the sound brings."""

    def __init__(self, link: MediaLink) -> None:
        self._link = link

    def digit(self, digit: str) -> None:
        if self._link.listener is not None:
            self._link.listener.digit(digit)

    def held(self, held: bool) -> None:
        """Whoever holds sends music of his own, or nothing: the other hears that."""

    def over(self, cause: int | None, how: LinkEnded) -> None:
        """`Leg.ended` tells it."""


def _sender(leg: Leg) -> Callable[[str], None]:
    """Sends a digit to this party, in the order in which they are pressed."""

    def send(digit: str) -> None:
        leg.home.spawn(_send(leg, digit), "sip-digit")

    return send


async def _send(leg: Leg, digit: str) -> None:
    try:
        await leg.send_digit(digit)
    except LinkEnded as exc:
        log.info("digit_not_passed_on", why=str(exc))


async def _within(seconds: float, work: Coroutine[Any, Any, object]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return
