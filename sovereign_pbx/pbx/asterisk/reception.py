"""What the dialplan asks: `/inbound` before the answer, `/outbound` when somebody whom we called has answered,
`/next` after the conversation and after whoever was dialled then, `/hangup` at the end."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog
from structlog.contextvars import bind_contextvars

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import BadInput, LinkEnded, LinkFinished
from sovereign_pbx.pbx.asterisk.agi_session import AgiSession
from sovereign_pbx.pbx.asterisk.agi_text import answered_by, offer_from
from sovereign_pbx.pbx.asterisk.attempt import LEFT_EARLY
from sovereign_pbx.pbx.asterisk.lines import AFTER_S, Line, Lines
from sovereign_pbx.pbx.asterisk.put_through import PutThrough
from sovereign_pbx.pbx.carrier import Carrier
from sovereign_pbx.pbx.harmless import cause_of, clean
from sovereign_pbx.pbx.link import Decision, Desk, Dialled, NextStep, NotAnswered
from sovereign_pbx.pbx.steps import CAUSE_BUSY, CAUSE_REJECTED, MAX_ROUNDS, checked, checked_step

log = structlog.get_logger(__name__)

_FALLBACK: Final = Decision("fallback")
_REFUSE: Final = Decision("reject")
_FALLBACK_STEP: Final = NextStep("fallback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the dialplan is kept waiting, and how long Asterisk may take to bring the audio of an answered call."""

    decide_s: float = 6.0
    next_s: float = 4.0
    connect_s: float = 10.0


class Reception:
    """Handlers of the paths. Whatever goes wrong in one, the dialplan is told `fallback`, or told nothing, which
    it takes for the same."""

    def __init__(
        self,
        desk: Desk,
        lines: Lines,
        carrier: Carrier,
        deadlines: Deadlines,
        put_through: PutThrough,
        picked_up: Callable[[Line], None] = lambda line: None,
        rate_of: Callable[[Sequence[str]], int] = lambda arguments: PHONE_RATE,
    ) -> None:
        self._rate_of = rate_of
        self._picked_up = picked_up
        self._desk = desk
        self._lines = lines
        self._carrier = carrier
        self._deadlines = deadlines
        self._put_through = put_through

    async def inbound(self, session: AgiSession) -> None:
        call_id = str(uuid4())
        bind_contextvars(call_id=call_id)
        offer = offer_from(session.request, call_id, self._rate_of(session.request.arguments))
        line = self._lines.open(call_id, offer.channel, offer.pbx_id)
        if line is None:
            await self._write_decision(session, _FALLBACK)
            return
        line.rate = offer.rate
        try:
            decision = await self._decide(session, self._desk.offered(offer))
            if decision.action == "answer":
                await self._await_audio(session, line)
            await self._write_decision(session, decision)
        except BaseException:
            self._drop(line)
            raise
        if decision.action != "answer":
            self._drop(line)

    async def outbound(self, session: AgiSession) -> None:
        """Tells the dialplan `answer`, or nothing: then it hangs up."""
        line = self._line_of(session)
        if line is None or line.phase != "dialling":
            log.warning("outbound_for_unknown_call", peer=session.peer)
            return
        bind_contextvars(call_id=line.call_id)
        line.channel = clean(session.request.variables.get("channel", ""))
        self._lines.enter(line, "ringing")
        self._picked_up(line)
        try:
            found = answered_by(session.request.arguments)
            picked_up = self._desk.picked_up
            decision = _REFUSE if line.hang_up else await self._decide(session, picked_up(line.call_id, found))
            if decision.action == "answer":
                await self._await_audio(session, line)
                await session.set_variable("SOVEREIGN_ACTION", "answer")
        except BaseException:
            self._drop(line)
            raise
        if decision.action != "answer":
            self._drop(line)

    async def next(self, session: AgiSession) -> None:
        line = self._line_of(session)
        if line is None:
            log.warning("next_for_unknown_call", peer=session.peer)
            await self._write_step(session, _unknown(session))
            return
        bind_contextvars(call_id=line.call_id)
        try:
            step = await self._step(session, line)
            if step.step == "talk":
                await self._talk_again(session, line)
            await self._write_step(session, step)
        except BaseException:
            self._drop(line)
            raise
        self._after_step(line, step)

    async def hangup(self, session: AgiSession) -> None:
        """The `h` extension: the caller has gone. Says so even where there is no AMI."""
        line = self._line_of(session)
        if line is None:
            return
        arguments = session.request.arguments
        cause = cause_of(arguments[1] if len(arguments) > 1 else "")
        try:
            if line.phase == "dialling":  # only who has answered comes into the dialplan
                self._picked_up(line)
                self._desk.not_answered(line.call_id, NotAnswered("user_hangup", LEFT_EARLY, cause))
            self._put_through.ended(line, arguments[2:])
        finally:
            self._lines.close(line, cause)

    # --- before the answer

    async def _decide(self, session: AgiSession, deciding: Awaitable[Decision]) -> Decision:
        """Raises LinkEnded when the caller leaves meanwhile; every other failure is a fallback."""
        try:
            return checked(await session.unless_hung_up(deciding, self._deadlines.decide_s))
        except LinkEnded:
            log.info("left_before_the_audio")
            raise
        except TimeoutError:
            log.warning("decision_too_late", after_s=self._deadlines.decide_s)
        except BadInput as exc:
            log.warning("decision_refused", why=str(exc))
        except Exception:
            log.exception("decision_failed")
        return _FALLBACK

    async def _await_audio(self, session: AgiSession, line: Line) -> None:
        if not self._lines.holds(line):
            raise LinkFinished("the caller hung up")
        await session.set_variable("SOVEREIGN_CALL", line.token)
        self._lines.enter(line, "answering")
        self._carrier.expect(line.token, self._deadlines.connect_s, rate=line.rate)
        dial_string = self._carrier.dial_string(line.token, line.rate)
        if dial_string:  # empty is what every dialplan has always done
            await session.set_variable("SOVEREIGN_MEDIA", dial_string)

    async def _write_decision(self, session: AgiSession, decision: Decision) -> None:
        """The action goes last: a dialplan that was told half finds none, and goes to its fallback."""
        if decision.action in ("reject", "busy"):
            cause = CAUSE_BUSY if decision.action == "busy" else decision.cause or CAUSE_REJECTED
            await session.set_variable("SOVEREIGN_CAUSE", str(cause))
        if decision.action == "divert":
            await session.set_variable("SOVEREIGN_DEST", decision.destination)
        await session.set_variable("SOVEREIGN_ACTION", decision.action)

    # --- after the conversation

    async def _step(self, session: AgiSession, line: Line) -> NextStep:
        line.rounds += 1
        if line.hang_up:
            return NextStep("hangup")
        if line.rounds > MAX_ROUNDS:
            log.warning("call_runs_in_a_circle")
            return _FALLBACK_STEP
        if line.phase == "answering":  # the desk is told, for its books; there is no second attempt
            log.warning("audio_never_came")
            await self._ask_next(session, line, None)
            return _FALLBACK_STEP
        how = self._put_through.how(line, session.request.arguments[1:])
        if line.link is not None and line.link.ended is None:
            line.link.close()  # the dialplan went on without us: a transfer by somebody else
        return await self._ask_next(session, line, how)

    async def _ask_next(self, session: AgiSession, line: Line, how: Dialled | None) -> NextStep:
        """Raises LinkEnded when the caller leaves meanwhile; every other failure is a fallback."""
        try:
            step = await session.unless_hung_up(self._desk.next_step(line.call_id, how), self._deadlines.next_s)
            return checked_step(step)
        except LinkEnded:
            raise
        except TimeoutError:
            log.warning("next_step_too_late", after_s=self._deadlines.next_s)
        except BadInput as exc:
            log.warning("next_step_refused", why=str(exc))
        except Exception:
            log.exception("next_step_failed")
        return _FALLBACK_STEP

    async def _talk_again(self, session: AgiSession, line: Line) -> None:
        if self._lines.holds(line):
            self._lines.retoken(line, str(uuid4()))
        await self._await_audio(session, line)

    async def _write_step(self, session: AgiSession, step: NextStep) -> None:
        if step.step == "dial":
            await session.set_variable("SOVEREIGN_DEST", step.destination)
            await session.set_variable("SOVEREIGN_RING", str(max(1, round(step.ring_s))))
            for name, value in _dial_variables(step).items():
                if value:  # the dialplan has cleared what an earlier step said
                    await session.set_variable(name, value)
        await session.set_variable("SOVEREIGN_NEXT", step.step)

    def _after_step(self, line: Line, step: NextStep) -> None:
        if step.step == "fallback":
            self._drop(line)
        elif step.step == "hangup":
            self._lines.enter(line, "after", AFTER_S)
        elif step.step == "dial":
            self._lines.dial(line)

    # --- both

    def _line_of(self, session: AgiSession) -> Line | None:
        return self._lines.asked_about(session.request.arguments)

    def _drop(self, line: Line) -> None:
        """The call is no longer ours: gone, or the administrator's."""
        self._carrier.forget(line.token)
        self._lines.close(line, None)


def _unknown(session: AgiSession) -> NextStep:
    """Who has been put through by a daemon that is no more was served, and is let go; everybody else is not."""
    return NextStep("hangup") if session.request.arguments[1:2] == ("ANSWER",) else _FALLBACK_STEP


def _dial_variables(step: NextStep) -> dict[str, str]:
    return {
        "SOVEREIGN_TRUNK": step.trunk,
        "SOVEREIGN_CALLERID": step.caller_id,
        "SOVEREIGN_DIVERTED": step.diverted_from,
        "SOVEREIGN_MUSIC": step.music,
        "SOVEREIGN_BRIEF": "yes" if step.briefing else "",
    }
