"""INVITEs outside of any dialog: let in or refused before anybody is asked, and then a call, or the sound of one."""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import uuid4

import structlog
from structlog.contextvars import bind_contextvars

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.pbx.sip import session_timer
from sovereign_pbx.pbx.sip.dialog import Dialog
from sovereign_pbx.pbx.sip.identity import user_of
from sovereign_pbx.pbx.sip.invitation import Invitation
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.legs import Legs
from sovereign_pbx.pbx.sip.proving import Proving
from sovereign_pbx.pbx.sip.refusal import Refusal
from sovereign_pbx.pbx.sip.renegotiation import warning
from sovereign_pbx.pbx.sip.session_timer import MIN_SE_S
from sovereign_pbx.pbx.sip.sound import Sound
from sovereign_pbx.pbx.sip.tokens import Tokens, token_of
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.negotiation import Unacceptable
from sovereign_pbx.wire.sip import Uri, response_to

log = structlog.get_logger(__name__)

OWN_USER: Final = "sovereign-pbx"
RETRY_AFTER: Final = ("Retry-After", "5")

_CAUSE_CONGESTION: Final = 42
_CAUSE_INCOMPATIBLE: Final = 88
_FULL: Final = Refusal(503, _CAUSE_CONGESTION)
_UNACCEPTABLE: Final = Refusal(488, _CAUSE_INCOMPATIBLE)


class TakesCalls(Protocol):
    """Whoever has the calls that come."""

    def has_room(self, entering: int) -> bool:
        """For another one beside those that are on their way in."""

    async def take(self, call_id: str, invitation: Invitation, leg: Leg) -> None:
        """A new call, until it is gone."""


@dataclass(slots=True)
class Door:
    """What an INVITE passes on its way in. `proving` is None where no password is asked."""

    legs: Legs
    tokens: Tokens
    calls: TakesCalls
    counts: Counter[str]
    proving: Proving | None = None
    entering: int = 0  # callers who are not known to `calls` yet

    async def receive(self, transaction: ServerTransaction) -> None:
        """One INVITE, from here to the end of its call."""
        user = _user(transaction)
        token = token_of(user)
        if token and token not in self.tokens:
            log.warning("sip_unknown_token", peer=transaction.flow.peer[0])
            self._turn_away(transaction, "unknown_token", 404)
        elif not token and not self.calls.has_room(self.entering):
            self._turn_away(transaction, "full", 503, RETRY_AFTER)
        elif not token and self.proving is not None and not self.proving.admits(transaction):
            self.counts["refused_unproven"] += 1  # a token is a proof by itself
        else:
            await self._enter(transaction, token, user)

    async def _enter(self, transaction: ServerTransaction, token: str, user: str) -> None:
        invitation = Invitation(transaction, self.legs.endpoint.contact(transaction.flow, user or OWN_USER))
        self.entering += not token
        try:
            leg = await self._leg(invitation, self.tokens.rate(token))
        finally:
            self.entering -= not token
        if leg is None:
            return
        if not token:
            call_id = str(uuid4())
            bind_contextvars(call_id=call_id)
            await self.calls.take(call_id, invitation, leg)
            return
        take = self.tokens.claim(token)
        if take is None:  # another one was quicker
            self.counts["refused_unknown_token"] += 1
            leg.refuse(Refusal(404))
        else:
            await take(invitation, leg)

    async def _leg(self, invitation: Invitation, rate: int | None) -> Leg | None:
        """The early dialog with its sound; None for an INVITE that was refused, or cancelled meanwhile."""
        request = invitation.request
        if invitation.settled:
            return None
        try:
            dialog = Dialog.offered(request, invitation.tag)
        except Malformed as exc:
            log.info("sip_invite_malformed", why=str(exc))
            self._refused(invitation, "malformed", Refusal(400))
            return None
        if session_timer.too_small(request.headers):
            self._refused(invitation, "timer", Refusal(422), ("Min-SE", str(MIN_SE_S)))
            return None
        try:
            sound = await self.legs.open_sound(invitation.transaction.flow.local[0])
        except Refused as exc:
            log.error("sip_no_port", why=str(exc))
            self._refused(invitation, "no_port", _FULL, RETRY_AFTER)
            return None
        # It may have been cancelled meanwhile
        if invitation.settled or (request.body and not self._judged(invitation, sound, rate)):
            sound.discard()
            return None
        return Leg(
            self.legs,
            dialog,
            sound,
            contact=invitation.contact,
            first=request,
            flow=invitation.transaction.flow,
            invitation=invitation,
        )

    def _judged(self, invitation: Invitation, sound: Sound, rate: int | None) -> bool:
        """Whether there is anything to agree on: nobody is asked about a call that can't be answered."""
        try:
            sound.answer(invitation.request.body, rate)
        except Malformed as exc:
            log.info("sip_offer_malformed", why=str(exc))
            self._refused(invitation, "malformed", Refusal(400))
        except Unacceptable as exc:
            log.info("sip_offer_unacceptable", why=str(exc))
            self._refused(invitation, "unacceptable", _UNACCEPTABLE, warning(exc))
        else:
            return True
        return False

    def _refused(self, invitation: Invitation, why: str, refusal: Refusal, *headers: tuple[str, str]) -> None:
        self.counts[f"refused_{why}"] += 1
        invitation.refuse(refusal, headers)

    def _turn_away(self, transaction: ServerTransaction, why: str, status: int, *headers: tuple[str, str]) -> None:
        """Once: strangers may give a forged address, to which nothing must be repeated."""
        self.counts[f"refused_{why}"] += 1
        response = response_to(transaction.request, status, tag=transaction.tag, headers=headers)
        transaction.respond_once(response)


def _user(transaction: ServerTransaction) -> str:
    try:
        return user_of(Uri.parse(transaction.request.uri))
    except Malformed:
        return ""
