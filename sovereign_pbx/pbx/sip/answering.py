"""The answer to an INVITE: 200, its ACK, and sound from then on."""

import asyncio
from typing import Final

import structlog

from sovereign_pbx.pbx.sip.invitation import Invitation
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.renegotiation import ACK_S
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.negotiation import Unacceptable

log = structlog.get_logger(__name__)

_CAUSE_TIMER: Final = 102
_CAUSE_INCOMPATIBLE: Final = 88


async def answer(invitation: Invitation, leg: Leg) -> bool:
    """Whether there is a call now: False when the caller has left, or the ACK never came (then it was hung up).

    Nothing is sent before the ACK. It is the proof that the other end has our description and listens: what is said
    earlier may be lost to a phone that opens its audio with the answer, and a PBX passes the answer on before it
    acknowledges. It is also the only proof, over UDP, that who called is where he says: for an INVITE whose address is
    forged, sound would be a stream to somebody else.
    """
    sound = leg.sound
    if not leg.up or invitation.settled:
        return False
    offered = sound.agreed is not None
    sdp = sound.described if offered else sound.offer()
    headers = leg.answer_headers(invitation.request)
    invitation.accept(sdp, headers)
    leg.confirm()
    return await _acknowledged(invitation, leg, offered=offered)


async def _acknowledged(invitation: Invitation, leg: Leg, *, offered: bool) -> bool:
    waiting = {asyncio.ensure_future(work) for work in (invitation.acknowledged(), leg.ended())}
    try:
        await asyncio.wait(waiting, timeout=ACK_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    ack = invitation.transaction.ack
    if not leg.up:
        return False
    if ack is None:
        log.warning("sip_ack_never_came")
        await leg.bye(_CAUSE_TIMER)
        return False
    try:
        if not offered:
            leg.sound.take_answer(ack.body)
    except (Malformed, Unacceptable) as exc:
        log.warning("sip_answer_unacceptable", why=str(exc))
        await leg.bye(_CAUSE_INCOMPATIBLE)
        return False
    leg.sound.begin()
    return True
