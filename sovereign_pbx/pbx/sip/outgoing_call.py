"""An INVITE of ours: from the first packet until somebody has answered, or nobody will.

It is never sent twice. A second one goes out only where the first was refused for want of a password, of a longer
session, or because the very same number is to be reached at another port of the same host.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import structlog

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.pbx.sip import session_timer
from sovereign_pbx.pbx.sip.dialog import MAX_FORWARDS, Dialog, new_call_id, new_tag
from sovereign_pbx.pbx.sip.invitation import ALLOW, SDP, SUPPORTED
from sovereign_pbx.pbx.sip.leg import Home, Leg
from sovereign_pbx.pbx.sip.outgoing_proof import CHALLENGED, proof
from sovereign_pbx.pbx.sip.outgoing_result import Unanswered
from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.pbx.sip.replaces import Replaced
from sovereign_pbx.pbx.sip.sound import Sound
from sovereign_pbx.pbx.sip.transport import Flow
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.negotiation import Unacceptable
from sovereign_pbx.wire.sip import Headers, NameAddr, Request, Response, Uri, cause_of, cseq, reason_header

log = structlog.get_logger(__name__)

Pairs = Iterable[tuple[str, str]]

MOST_TRIES: Final = 4
SEEN_OUT_S: Final = 40.0  # RFC 3261 §9.1: a CANCEL's INVITE is over after 64*T1, answered or not
CAUSE_INCOMPATIBLE: Final = 88
_CAUSE_NORMAL: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Whom an INVITE is for. `hop`: where it goes, if not where its address says. `where`: what is dialled, for people.
    `identity`: From without its tag, and the other headers that tell who calls. `contact`: where he finds us."""

    target: Uri
    where: str
    identity: tuple[tuple[str, str], ...]
    contact: Uri
    way: Way | None = None
    hop: Flow | Uri | None = None


class Outgoing:
    """One attempt. `ring` once; `give_up` at any time. `sound` is let go with it, or belongs to the leg. `leg` and
    `invite` are there once somebody has answered: whoever was not there to take them from `ring` ends the leg."""

    def __init__(self, home: Home, whom: Whom, sound: Sound) -> None:
        self.leg: Leg | None = None
        self.invite: Request | None = None
        self._home = home
        self._whom = whom
        self._sound = sound
        self._reason = ""
        self._tag = new_tag()
        self._call_id = new_call_id()
        self._expires_s = home.session_expires_s
        self._heard = False
        self._stale = False
        self._flow: Flow | None = None
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def give_up(self, cause: int | None = None) -> None:
        """Nobody need answer any more: whoever rings stops, whoever answers all the same is let go at once."""
        self._reason = reason_header(cause) if cause is not None else ""
        if not self._given_up.done():
            self._given_up.set_result(None)

    async def ring(self, ring_s: float) -> Leg | Unanswered:
        """Who answered, or how it ended: after `ring_s` at the latest. Raises nothing but cancellation, which gives it
        up."""
        try:
            async with asyncio.timeout(ring_s):
                return await self._until_settled()
        except TimeoutError:
            return self._unanswered(487, gave_up=True)
        finally:
            if self.leg is None:
                self._sound.discard()

    # --- the tries

    async def _until_settled(self) -> Leg | Unanswered:
        whom, extra = self._whom, list[tuple[str, str]]()
        for number in count(1):
            request = self._invite(number, whom.target, extra)
            response = await self._try(request, whom)
            if isinstance(response, Unanswered):
                return response
            if response.status < 300:
                return self._answered(request, response)
            again = self._again(request, response, whom, extra) if number < MOST_TRIES else None
            if again is None:
                return self._unanswered(response.status, cause_of(response))
            whom, extra = again
        raise AssertionError  # count() never ends

    async def _try(self, request: Request, whom: Whom) -> Response | Unanswered:
        """The final response. Given up before, the INVITE is seen out behind our back: no response gets lost."""
        try:
            pending = self._home.endpoint.request(request, whom.hop or whom.target, on_provisional=self._provisional)
        except (SovereignError, ValueError, OSError) as exc:
            log.warning("sip_invite_not_sent", where=whom.where, why=str(exc))
            return self._unanswered(0, fault=f"{whom.where} can't be called: {exc}")
        final, settled = asyncio.ensure_future(pending.final()), False
        try:
            waiting: set[asyncio.Future[Any]] = {final, self._given_up}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            settled = final.done() and not self._given_up.done()
            if settled and pending.flow is None:
                return self._unanswered(503, fault=f"{whom.where} can't be reached.")
            return final.result() if settled else self._unanswered(487, gave_up=True)
        finally:
            self._flow = pending.flow
            if not settled:
                pending.cancel(self._reason)
                self._home.spawn(self._see_out(request, whom, final), "sip-cancelled")

    def _again(
        self, request: Request, response: Response, whom: Whom, extra: list[tuple[str, str]]
    ) -> tuple[Whom, list[tuple[str, str]]] | None:
        """The next try, if the refusal says what it lacked."""
        if response.status in CHALLENGED:
            return self._proven(request, response, whom)
        if response.status == 422 and self._expires_s:
            longer = session_timer.raised(response.headers, self._expires_s)
            if longer > self._expires_s:
                self._expires_s = longer
                return whom, extra
        if 300 <= response.status < 400:
            elsewhere = _same_number(response, whom.target)
            if elsewhere is not None:
                return replace(whom, target=elsewhere, hop=None), extra
        return None

    def _proven(self, request: Request, response: Response, whom: Whom) -> tuple[Whom, list[tuple[str, str]]] | None:
        tried = any(name in request.headers for name in ("Authorization", "Proxy-Authorization"))
        stale = _is_stale(response) and not self._stale
        if tried and not stale:
            return None
        self._stale = tried
        proven = self._proof(response, request)
        return (whom, [proven]) if proven is not None else None

    def _proof(self, refusal: Response, request: Request) -> tuple[str, str] | None:
        """The header that answers a challenge to this request; None where there is none, or nothing to prove."""
        way = self._whom.way
        if refusal.status not in CHALLENGED or way is None or not way.username:
            return None
        try:
            return proof(refusal, request, way.username, way.password)
        except SovereignError as exc:
            log.warning("sip_challenge_not_answered", where=self._whom.where, why=str(exc))
            return None

    # --- an answer

    def _answered(self, request: Request, response: Response) -> Leg | Unanswered:
        dialog = self._acknowledged(request, response)
        if dialog is None:
            return self._unanswered(response.status, fault=f"{self._whom.where} answered, in a way that is no SIP.")
        try:
            self._sound.take_answer(response.body)
        except (Malformed, Unacceptable) as exc:
            log.warning("sip_answer_unacceptable", where=self._whom.where, why=str(exc))
            self._home.spawn(self._hang_up(dialog, CAUSE_INCOMPATIBLE), "sip-bye")
            return self._unanswered(488, CAUSE_INCOMPATIBLE)
        leg = Leg(self._home, dialog, self._sound, contact=str(self._whom.contact), first=response, flow=self._flow)
        leg.prove = self._proof
        leg.confirm(timer_from=response)
        self._sound.begin()
        self.leg, self.invite = leg, request
        return leg

    async def _see_out(self, request: Request, whom: Whom, final: "asyncio.Future[Response]") -> None:
        """Whoever answered while we gave up is let go; ours is the call until it is known that nobody did."""
        try:
            async with asyncio.timeout(SEEN_OUT_S):
                response = await final
        except (SovereignError, TimeoutError, OSError) as exc:
            log.info("sip_cancel_unanswered", where=whom.where, why=str(exc) or type(exc).__name__)
            return
        if response.status >= 300:
            return
        log.info("sip_answered_after_all", where=whom.where)
        dialog = self._acknowledged(request, response)
        if dialog is not None:
            await self._hang_up(dialog, _CAUSE_NORMAL)

    def _acknowledged(self, request: Request, response: Response) -> Dialog | None:
        """The dialog that a 200 makes; None where it makes none."""
        try:
            dialog = Dialog.placed(request, response)
        except Malformed as exc:
            log.warning("sip_answer_malformed", where=self._whom.where, why=str(exc))
            return None
        ack = dialog.request("ACK", number=cseq(request.headers)[0])
        self._home.endpoint.send_ack(ack, self._hop(dialog))
        return dialog

    def _hop(self, dialog: Dialog) -> Flow | Uri:
        flow = self._flow
        return flow if flow is not None and flow.reliable else dialog.next_hop

    async def _hang_up(self, dialog: Dialog, cause: int) -> None:
        """BYE to a call that was never ours to have."""
        bye = dialog.request("BYE", headers=[("Reason", reason_header(cause))])
        try:
            await self._home.endpoint.request(bye, self._hop(dialog)).final()
        except (SovereignError, OSError) as exc:
            log.info("sip_bye_failed", why=str(exc))

    # --- private

    def _invite(self, number: int, target: Uri, extra: Pairs) -> Request:
        identity = [
            (name, f"{value};tag={self._tag}" if name == "From" else value) for name, value in self._whom.identity
        ]
        headers = [
            ("Max-Forwards", MAX_FORWARDS),
            *identity,
            ("To", f"<{self._whom.target}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{number} INVITE"),
            ("Contact", f"<{self._whom.contact}>"),
            ALLOW,
            SUPPORTED,
            *session_timer.asked(self._expires_s),
            *extra,
            SDP,
        ]
        return Request("INVITE", str(target), Headers(headers), self._sound.described or self._sound.offer())

    def _provisional(self, response: Response) -> None:
        self._heard = True

    def _unanswered(
        self, status: int, cause: int | None = None, *, gave_up: bool = False, fault: str = ""
    ) -> Unanswered:
        silent = not self._heard and (gave_up or status == 408)
        return Unanswered(
            where=self._whom.where,
            status=408 if silent else status,
            cause=cause,
            heard=not silent,
            gave_up=gave_up and not silent,
            fault=fault,
        )


def replaced(leg: Leg) -> Replaced:
    """The dialog of somebody whom we called, as he knows it."""
    dialog = leg.dialog
    return Replaced(call_id=dialog.call_id, to_tag=dialog.remote.tag, from_tag=dialog.local.tag)


def _same_number(response: Response, target: Uri) -> Uri | None:
    """Where a redirection says that the very number we dialled is to be found on the very host: rules of dialling
    permitted that, and nothing else."""
    for value in response.headers.all("Contact"):
        try:
            uri = NameAddr.parse(value).uri
        except Malformed:
            continue
        same = (uri.scheme, uri.user, uri.host.lower()) == (target.scheme, target.user, target.host.lower())
        if same and (uri.port, uri.params) != (target.port, target.params):
            return Uri(uri.scheme, uri.user, uri.host, uri.port, dict(uri.params))
    return None


def _is_stale(response: Response) -> bool:
    names = ("WWW-Authenticate", "Proxy-Authenticate")
    return any("stale=true" in value.lower().replace(" ", "") for name in names for value in response.headers.all(name))
