"""One call over SIP as the desk knows it, from the first ring until it is gone.

While it is put through it is what a control works on (`control.HeldCall`): its dialog is up, and the caller hears what
is played to him here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.core.errors import BadInput, LinkEnded, LinkFinished, Refused
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.digits import DigitsOnce
from sovereign_pbx.pbx.link import Decision, Desk, Dialled, NextStep, Offer
from sovereign_pbx.pbx.sip.answering import answer
from sovereign_pbx.pbx.sip.control import Control
from sovereign_pbx.pbx.sip.invitation import Invitation
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.refusal import CAUSE_FALLBACK, CAUSE_NORMAL, FALLBACK, of_decision, of_step
from sovereign_pbx.pbx.steps import CAUSE_REJECTED, MAX_ROUNDS, checked, checked_step
from sovereign_pbx.wire.sip import Request, host_text

log = structlog.get_logger(__name__)

T = TypeVar("T")

# As in pbx.asterisk.lines: ringing: a decision is pending. answering: the ACK is. talking: it has a link. after: its
# link has ended, the desk is asked what comes next. dialled: a control has somebody take it.
Phase = Literal["ringing", "answering", "talking", "after", "dialled"]

PUT_THROUGH_S: Final = 2.0
"""How long a control may take to tidy up after a caller who has hung up while he was put through."""
NEXT_S: Final = 4.0

_FALLBACK: Final = Decision("fallback")
_REFUSE: Final = Decision("reject")
_FALLBACK_STEP: Final = NextStep("fallback")
_NOBODY: Final = Dialled("failed", "Calls that come over this way can't be put through.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTerms:
    """`early`: words of refusal are played before the answer, where there is a way to."""

    decide_s: float = 9.0
    next_s: float = NEXT_S
    early: bool = True


class SipCall:
    """`rate`: Hz, of its links. `on_gone` is told once, after the desk."""

    def __init__(
        self,
        call_id: str,
        leg: Leg,
        invite: Request,
        desk: Desk,
        control: Control | None,
        terms: CallTerms,
        *,
        rate: int,
        channel: str = "",
        on_gone: Callable[["SipCall"], None] = lambda call: None,
    ) -> None:
        self.call_id = call_id
        self.invite = invite
        self.rate = rate
        self.channel = channel
        self.phase: Phase = "ringing"
        self.pacing = asyncio.Lock()
        self.leg = leg
        self._desk = desk
        self._control = control
        self._terms = terms
        self._on_gone = on_gone
        self._digits = DigitsOnce()
        self._link: MediaLink | None = None
        self._left = asyncio.Event()
        self._cause: int | None = None
        self.is_away = False  # somebody else has him, and he may come back with another dialog
        self._gone = False
        leg.ears = self

    # --- its life: one of these is a task of its own

    async def offered(self, invitation: Invitation, offer: Offer) -> None:
        """A caller."""
        try:
            invitation.ring()
            decision = await self._decide(self._desk.offered(offer), _FALLBACK)
            if decision.action != "answer":
                self._refuse(decision, invitation)
            elif decision.early and self._terms.early and self.leg.sound.agreed is not None:
                await self._say_early(invitation)
            elif await self._answered(invitation):
                await self._converse()
        except LinkEnded:
            log.info("left_before_the_answer")
        finally:
            await self._over()

    async def picked_up(self, invitation: Invitation | None) -> None:
        """A person whom we called. `invitation`: his call is brought to us; None: it was ours, and is answered."""
        try:
            decision = await self._decide(self._desk.picked_up(self.call_id, "unknown"), _REFUSE)
            if decision.action != "answer":
                await self.leg.hang_up(decision.cause or CAUSE_REJECTED)
            elif invitation is None or await self._answered(invitation):
                self.leg.sound.begin()
                await self._converse()
        except LinkEnded:
            log.info("left_before_the_answer")
        finally:
            await self._over()

    async def _answered(self, invitation: Invitation) -> bool:
        self.phase = "answering"
        if not await answer(invitation, self.leg):
            return False
        # Who calls from hold on is told as soon as the desk has his link, which is before anything else runs
        asyncio.get_running_loop().call_soon(self.leg.tell_hold)
        return True

    async def _decide(self, deciding: Awaitable[Decision], otherwise: Decision) -> Decision:
        """Raises LinkEnded when the caller leaves meanwhile; every other failure is `otherwise`."""
        try:
            return checked(await self._unless_left(deciding, self._terms.decide_s))
        except LinkEnded:
            raise
        except TimeoutError:
            log.warning("decision_too_late", after_s=self._terms.decide_s)
        except BadInput as exc:
            log.warning("decision_refused", why=str(exc))
        except Exception:
            log.exception("decision_failed")
        return otherwise

    def _refuse(self, decision: Decision, invitation: Invitation) -> None:
        host, port = invitation.transaction.flow.peer
        target = self.leg.dialog.target
        self.leg.refuse(of_decision(decision, host_text(target.host or host, target.port or port)))

    async def _say_early(self, invitation: Invitation) -> None:
        """Words of refusal, heard before any answer: the caller does not pay for them."""
        self.leg.sound.begin()
        invitation.progress(self.leg.sound.described)
        await self._talk()
        if not self._left.is_set():
            self.leg.refuse(of_step(await self._ask_next(None)))

    async def _converse(self) -> None:
        """Talk, and whatever comes next, until he is gone."""
        await self._talk()
        dialled: Dialled | None = None
        for _ in range(MAX_ROUNDS):
            if self._left.is_set():
                return
            step = await self._ask_next(dialled)
            dialled = None
            if step.step == "talk":
                await self._talk()
            elif step.step == "dial":
                dialled = await self._dial(step)
            else:
                await self.leg.bye(CAUSE_NORMAL if step.step == "hangup" else CAUSE_FALLBACK)
                return
        log.warning("call_runs_in_a_circle")
        await self.leg.bye(CAUSE_FALLBACK)

    async def _talk(self) -> None:
        if self._left.is_set():
            return
        self.phase = "talking"
        over = asyncio.Event()
        link = self._attach(over.set)
        with bound_contextvars(call_id=self.call_id):
            self._desk.connected(self.call_id, link)
        await over.wait()
        self.phase = "after"
        log.info("audio_ended", how=type(link.ended).__name__, why=str(link.ended), **link.statistics())

    async def _ask_next(self, dialled: Dialled | None) -> NextStep:
        """Raises LinkEnded when the caller leaves meanwhile; every other failure is a fallback."""
        try:
            asking = self._desk.next_step(self.call_id, dialled)
            return checked_step(await self._unless_left(asking, self._terms.next_s))
        except LinkEnded:
            raise
        except TimeoutError:
            log.warning("next_step_too_late", after_s=self._terms.next_s)
        except BadInput as exc:
            log.warning("next_step_refused", why=str(exc))
        except Exception:
            log.exception("next_step_failed")
        return _FALLBACK_STEP

    async def _dial(self, step: NextStep) -> Dialled:
        """Somebody takes him, or nobody does. What goes wrong in between brings him back to the assistant."""
        if self._control is None:
            return _NOBODY
        self.phase = "dialled"
        self.play_ringing(step.music)
        try:
            return await self._put_through(self._control, step)
        except Refused as exc:
            return Dialled("failed", str(exc))
        except (LinkEnded, BadInput, TimeoutError) as exc:
            log.warning("put_through_failed", why=str(exc))
        except Exception:
            log.exception("put_through_failed")
        finally:
            self.phase = "after"
            self._stay()
            if self.up:
                self.play_nothing()
        return Dialled("failed", "The call could not be put through.")

    async def _put_through(self, control: Control, step: NextStep) -> Dialled:
        """Who hangs up meanwhile is noticed by the control first: it knows what it has under way. It is not waited for
        for long, though."""
        working = asyncio.ensure_future(control.put_through(self, step))
        leaving = asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await asyncio.wait({working}, timeout=PUT_THROUGH_S)
            if not working.done():
                raise LinkFinished("the caller hung up")
            return working.result()
        finally:
            await _cancelled(working, leaving)

    async def _unless_left(self, work: Awaitable[T], within_s: float) -> T:
        """Raises LinkFinished when the caller leaves before it is done, TimeoutError."""
        working = asyncio.ensure_future(_awaited(work))
        leaving = asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait({working, leaving}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if self._left.is_set():
                raise LinkFinished("the caller hung up")
            if not working.done():
                raise TimeoutError
            return working.result()
        finally:
            await _cancelled(working, leaving)

    async def _over(self) -> None:
        """Whatever happened, it ends with the desk told, once, and no dialog left."""
        try:
            if self.leg.up:  # nothing above leaves it so, save an error of our own or the daemon's end
                self.leg.refuse(FALLBACK)
                await self.leg.bye(CAUSE_FALLBACK)
        finally:
            self._tell_gone()

    def _tell_gone(self) -> None:
        if self._gone:
            return
        self._gone = True
        with bound_contextvars(call_id=self.call_id):
            try:
                self._desk.gone(self.call_id, self._cause)
            except Exception:
                log.exception("gone_failed")
            finally:
                self._on_gone(self)

    # --- for the leg

    def digit(self, digit: str) -> None:
        """By INFO: it goes the way of those that the sound brings, and is told once."""
        listener = self._link.listener if self._link is not None else None
        if listener is not None and self._digits.is_news("signalling", digit):
            listener.digit(digit)

    def held(self, held: bool) -> None:
        with bound_contextvars(call_id=self.call_id):
            self._desk.held(self.call_id, held)

    def over(self, cause: int | None, how: LinkEnded) -> None:
        if self.is_away:
            return
        self._cause = cause
        self._left.set()
        if self.phase != "dialled":  # the control tells first whom he was put through to
            self._tell_gone()

    # --- for a control

    @property
    def up(self) -> bool:
        return self.leg.up

    def play_ringing(self, music: str = "") -> None:
        """There is no music here: whoever waits hears it ring."""
        self.leg.sound.play_ringing()

    def play_nothing(self) -> None:
        self.leg.sound.play_nothing()

    async def refer(self, refer_to: str, *, within_s: float) -> int:
        return await self.leg.refer(refer_to, within_s=within_s)

    async def ended(self) -> int | None:
        """Of the dialog that he has now."""
        return await self.leg.ended()

    def attach(self) -> MediaLink:
        return self._attach(lambda: None)

    async def hang_up(self, cause: int = CAUSE_NORMAL) -> None:
        """End it, wherever it is."""
        if self.phase == "dialled" and self._control is not None:
            await self._control.hang_up(self.call_id, cause)
        self.is_away = False
        if self.leg.up:
            await self.leg.hang_up(cause)
        else:
            self._left.set()

    def let_go(self) -> None:
        """From now on the dialog may end without him being gone."""
        self.is_away = True

    def come_back(self, leg: Leg) -> None:
        """He is back, with another dialog."""
        self.is_away = False
        old, self.leg = self.leg, leg
        leg.ears, old.ears = self, None
        old.home.spawn(old.bye(), "sip-replaced")  # mostly it has ended long ago

    def _stay(self) -> None:
        """Nobody has him any more; without a dialog he is gone."""
        self.is_away = False
        if not self.leg.up:
            self._left.set()

    # --- private

    def _attach(self, over: Callable[[], None]) -> MediaLink:
        link = self.leg.sound.link(self.rate)
        link.admit_digit = lambda digit: self._digits.is_news("audio", digit)
        link.on_ended = lambda how: over()
        self._link = link
        return link


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _cancelled(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
