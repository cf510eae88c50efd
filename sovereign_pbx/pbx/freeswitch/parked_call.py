"""One call of a parked channel as the desk knows it: as one over SIP, but for its beginning."""

from collections.abc import Callable
from typing import Any, cast

import structlog

from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.freeswitch.parked_leg import ParkedLeg
from sovereign_pbx.pbx.link import Decision, Desk, NextStep, Offer
from sovereign_pbx.pbx.sip.control import Control
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.refusal import CAUSE_FALLBACK
from sovereign_pbx.pbx.sip.sip_call import CallTerms, SipCall
from sovereign_pbx.pbx.steps import CAUSE_BUSY, CAUSE_REJECTED
from sovereign_pbx.wire.sip import Request

log = structlog.get_logger(__name__)

_FALLBACK = Decision("fallback")
_REFUSE = Decision("reject")
_SERVED = 31  # normal, unspecified: the words of refusal were heard


class ParkedCall(SipCall):
    """`rings` or `is_picked_up` is its life."""

    def __init__(
        self,
        call_id: str,
        leg: ParkedLeg,
        invite: Request,
        desk: Desk,
        control: Control,
        terms: CallTerms,
        *,
        rate: int,
        channel: str,
        on_gone: Callable[[SipCall], None],
    ) -> None:
        self.parked = leg
        # A leg of SIP is asked for no more than this one has: up, ended, bye, hang_up, refuse, refer, sound
        super().__init__(
            call_id,
            cast(Leg, leg),
            invite,
            desk,
            control,
            terms,
            rate=rate,
            channel=channel,
            on_gone=on_gone,
        )

    async def rings(self, offer: Offer) -> None:
        """A caller, who has not been answered."""
        try:
            await self.parked.ring()
            decision = await self._decide(self._desk.offered(offer), _FALLBACK)
            if decision.action != "answer":
                await self._turn_away(decision)
            elif decision.early and self._terms.early:
                await self.parked.early()
                await self._talk()
                await self.parked.bye(_after_refusal(await self._ask_next(None)))
            else:
                await self._answer_and_converse()
        except LinkEnded:
            log.info("left_before_the_answer")
        except BadInput as exc:
            log.warning("parked_call_refused", why=str(exc))
        finally:
            await self._over()

    async def is_picked_up(self) -> None:
        """A person whom we called, and who has answered."""
        try:
            decision = await self._decide(self._desk.picked_up(self.call_id, "unknown"), _REFUSE)
            if decision.action != "answer":
                await self.parked.hang_up(decision.cause or CAUSE_REJECTED)
            else:
                await self.parked.bring()
                await self._converse()
        except LinkEnded:
            log.info("left_before_the_answer")
        except BadInput as exc:
            log.warning("parked_call_refused", why=str(exc))
        finally:
            await self._over()

    def came_back(self) -> None:
        """Parked again, with his sound, after he was connected with somebody."""
        self.is_away = False

    async def _answer_and_converse(self) -> None:
        self.phase = "answering"
        await self.parked.answer()
        await self._converse()

    async def _turn_away(self, decision: Decision) -> None:
        match decision.action:
            case "busy":
                await self.parked.hang_up(CAUSE_BUSY)
            case "reject":
                await self.parked.hang_up(decision.cause or CAUSE_REJECTED)
            case "divert":
                await self.parked.divert(decision.destination)
            case _:
                await self.parked.bye(CAUSE_FALLBACK)


def _after_refusal(step: NextStep) -> int:
    return _SERVED if step.step == "hangup" else CAUSE_FALLBACK


def line_of(call: ParkedCall) -> dict[str, Any]:
    """For `audit`."""
    return {"call_id": call.call_id, "channel": call.channel, "pbx_id": call.parked.uuid, "phase": call.phase}
