"""Offers within a dialog (re-INVITE, UPDATE), from either end, and the session timer that they keep alive."""

import asyncio
import random
from typing import TYPE_CHECKING, Final

import structlog

from sovereign_pbx.core.errors import LinkBroken
from sovereign_pbx.pbx.sip import session_timer
from sovereign_pbx.pbx.sip.invitation import ALLOW, SDP, SUPPORTED
from sovereign_pbx.pbx.sip.session_timer import MIN_SE_S, SessionTimer
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.negotiation import Unacceptable
from sovereign_pbx.wire.sip import Headers, Response, cseq

if TYPE_CHECKING:
    from sovereign_pbx.pbx.sip.leg import Leg

log = structlog.get_logger(__name__)

ACK_S: Final = 33.0  # RFC 3261 §13.3.1.4: 64*T1, and a moment for the timer that is running beside
AGAIN_S: Final = (2.1, 4.0)  # RFC 3261 §14.1: who owns the Call-ID waits so long after a 491, the other one less
_TRIES: Final = 3
_CAUSE_TIMER: Final = 102
_CAUSE_INCOMPATIBLE: Final = 88


class Renegotiation:
    """Of one leg. While an offer is open in one direction, another one is turned down: 491 (RFC 3261 §14)."""

    def __init__(self, leg: "Leg") -> None:
        self._leg = leg
        self._asking = False  # an offer of ours is open
        self._open: ServerTransaction | None = None  # a re-INVITE of theirs that has our 200
        self._ours = False  # and its ACK will bring the answer to our offer
        self._timer: SessionTimer | None = None
        self._due: asyncio.TimerHandle | None = None

    # --- what comes

    def take(self, transaction: ServerTransaction) -> None:
        """A re-INVITE or an UPDATE."""
        request, leg = transaction.request, self._leg
        if self._pending:
            leg.respond(transaction, 491)
            return
        if session_timer.too_small(request.headers):
            leg.respond(transaction, 422, [("Min-SE", str(MIN_SE_S))])
            return
        try:
            body = self._described(transaction)
        except Malformed as exc:
            log.info("sip_offer_malformed", why=str(exc))
            leg.respond(transaction, 400)
        except Unacceptable as exc:
            log.info("sip_offer_unacceptable", why=str(exc))
            leg.respond(transaction, 488, [warning(exc)])
        else:
            leg.dialog.refresh(request.headers)
            headers = [leg.contact, ALLOW, SUPPORTED, *self.begin_timer_for(request.headers)]
            leg.respond(transaction, 200, [*headers, SDP] if body else headers, body)
            if request.method == "INVITE":
                self._open, self._ours = transaction, not request.body
                leg.home.spawn(self._await_ack(transaction, ours=self._ours), "sip-ack")

    @property
    def _pending(self) -> bool:
        """An ACK that has come counts at once: the next offer may be right behind it."""
        theirs = self._open is not None and (self._ours or not self._open.acknowledged.is_set())
        return self._asking or theirs

    def _described(self, transaction: ServerTransaction) -> bytes:
        """Our answer; to an INVITE without an offer, our offer; nothing for an UPDATE that only says: I am here."""
        request, sound = transaction.request, self._leg.sound
        if request.body:
            return sound.answer(request.body)
        return sound.offer() if request.method == "INVITE" else b""

    async def _await_ack(self, transaction: ServerTransaction, *, ours: bool) -> None:
        """Without it nobody knows what the other end thinks of the call: it is over (RFC 3261 §14.2)."""
        leg = self._leg
        try:
            async with asyncio.timeout(ACK_S):
                await transaction.acknowledged.wait()
        except TimeoutError:
            log.warning("sip_ack_never_came")
            await leg.bye(_CAUSE_TIMER)
            return
        finally:
            if self._open is transaction:
                self._open = None
        if not ours or transaction.ack is None or not leg.up:
            return
        try:
            leg.sound.take_answer(transaction.ack.body)
        except (Malformed, Unacceptable) as exc:
            log.warning("sip_answer_unacceptable", why=str(exc))
            await leg.bye(_CAUSE_INCOMPATIBLE)
        else:
            leg.tell_hold()

    # --- the session timer

    def begin_timer_for(self, request: Headers) -> list[tuple[str, str]]:
        """By the INVITE or UPDATE that came; the headers of our 200."""
        timer, headers = session_timer.answered(request, self._leg.home.session_expires_s)
        self._run(timer)
        return headers

    def begin_timer_by(self, answer: Headers) -> None:
        """By the 200 that came."""
        self._run(session_timer.agreed(answer, self._leg.home.session_expires_s))

    def close(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _run(self, timer: SessionTimer | None) -> None:
        self.close()
        self._timer = timer
        if timer is not None and self._leg.up:
            self._due = asyncio.get_running_loop().call_later(timer.due_s, self._is_due)

    def _is_due(self) -> None:
        assert self._timer is not None
        self._leg.home.spawn(
            self._refresh(self._timer) if self._timer.refresher == "us" else self._expire(), "sip-session-timer"
        )

    async def _expire(self) -> None:
        log.warning("sip_session_expired")
        await self._leg.bye(_CAUSE_TIMER)

    async def _refresh(self, timer: SessionTimer) -> None:
        """Say that we are here. Refused for a passing reason it is tried again; the interval's end is the call's."""
        leg, interval = self._leg, timer.interval_s
        for _ in range(_TRIES):
            if not leg.up:
                return
            answer = await self._ask(interval)
            if answer.status < 300:
                if leg.up:
                    self._run(session_timer.agreed(answer.headers, interval))
                return
            if answer.status == 422:
                interval = session_timer.raised(answer.headers, interval)
            else:
                await asyncio.sleep(random.uniform(*AGAIN_S))
        log.warning("sip_refresh_refused", status=answer.status)
        await self._expire()

    async def _ask(self, interval_s: int) -> Response:
        """UPDATE where the other end takes it, for it leaves the sound alone; else a re-INVITE that changes nothing."""
        leg = self._leg
        headers = [*session_timer.asked(interval_s, "uac"), SUPPORTED, ALLOW]
        if self._pending:
            return Response(491, "")
        if "UPDATE" in leg.allowed:
            answer = await leg.send("UPDATE", headers)
            if answer.status not in (405, 501):
                return answer
            leg.allowed -= {"UPDATE"}
        return await self._offer_again(headers)

    async def _offer_again(self, headers: list[tuple[str, str]]) -> Response:
        leg = self._leg
        self._asking = True
        try:
            answer = await leg.send("INVITE", [*headers, SDP], leg.sound.offer())
            if answer.status >= 300:
                return answer
            leg.home.endpoint.send_ack(leg.dialog.request("ACK", number=cseq(answer.headers)[0]), leg.hop)
            leg.dialog.refresh(answer.headers)
            leg.sound.take_answer(answer.body)
        except (Malformed, Unacceptable) as exc:
            log.warning("sip_answer_unacceptable", why=str(exc))
            leg.end(None, LinkBroken("the other end's answer can't be used"))
            return Response(488, "")
        finally:
            self._asking = False
        leg.tell_hold()
        return answer


def warning(exc: Unacceptable) -> tuple[str, str]:
    """RFC 3261 §20.43, for whoever reads a trace."""
    text = str(exc).replace("\\", "/").replace('"', "'")
    return "Warning", f'{exc.code} sovereign-pbx "{text[:200]}"'
