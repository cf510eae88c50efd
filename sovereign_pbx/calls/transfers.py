"""The transfers of one call: from the last word that the caller heard until somebody has taken him, or he is back.

Meanwhile there is no media and the call is not over. The dialplan asks what is next (`next_step`), dials, and tells
what came of it: `put_through` when somebody has the caller, `next_step` again when nobody took him. Then the
conversation is told so before the dialplan is, so that its answer is being made while the media comes back.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog

from sovereign_pbx.calls.briefing import Briefing
from sovereign_pbx.calls.briefing_text import briefing_words
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.commands import HandOver
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.values import EndReason, TransferOutcome
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Dialled, NextStep
from sovereign_pbx.webhooks.envelope import utc_now

if TYPE_CHECKING:
    from sovereign_pbx.calls.call import Call

log = structlog.get_logger(__name__)

_MEDIA_S: Final = 15.0  # told to talk, but the PBX never brought the media; longer than its single-use id lives
_BRIEFED_S: Final = 8.0  # what a colleague who has answered waits for his briefing, at most
# A telephone that still rings so long after its time has been picked up: the dialplan of 0.3 does not tell of it.
_UNTOLD_S: Final = 5.0
NO_MEDIA: Final = "the PBX brought no audio after a transfer that nobody took"

_WHY: Final[dict[TransferOutcome, str]] = {
    "declined": "The call was declined.",
    "busy": "The line was busy.",
    "no_answer": "Nobody answered.",
    "failed": "Nobody could be reached.",
}
_AT_THE_END: Final[dict[EndReason, TransferOutcome]] = {"user_hangup": "caller_gone", "transferred": "accepted"}


@dataclass(slots=True, eq=False)
class Attempt:
    """One of them. `told`: the dialplan knows where to; `returning`: nobody took him, and his media is expected."""

    command: HandOver
    step: NextStep
    began: float
    began_at: str = field(default_factory=utc_now)
    told: bool = False
    returning: bool = False
    outcome: TransferOutcome | None = None
    refusal: tuple[TransferOutcome, str] | None = None  # by whom a briefing was heard
    words: str = ""
    briefing: Briefing | None = None
    briefed: bool = False  # `briefing` has been heard by somebody
    preparing: "asyncio.Task[None] | None" = None

    def row(self) -> dict[str, Any]:
        """As it stands in the call's record, in the report and in the API."""
        return {
            "destination": self.step.destination,
            "mode": self.command.terms.mode,
            "started_at": self.began_at,
            "outcome": self.outcome,
            "seconds": None,
            "why": "",
        }


class Transfers:
    """Those of one call, one after the other. Not for a conversation that can't come back (`OnLine.away`)."""

    def __init__(self, call: "Call", services: Services) -> None:
        self._call = call
        self._services = services
        self._policy = services.transfers
        self._loop = asyncio.get_running_loop()
        self._now: Attempt | None = None
        self.begun = 0
        self._briefings: list[Briefing] = []  # for what they have used

    @property
    def away(self) -> bool:
        """The caller is being put through, or on his way back."""
        return self._now is not None

    @property
    def returning(self) -> bool:
        """His media is expected."""
        return self._now is not None and self._now.returning

    def check(self) -> None:
        """Raises Refused `too_many_transfers`."""
        if self.begun >= self._policy.max_per_call:
            raise Refused(
                "too_many_transfers", f"{self.begun} transfers were tried in this call, [transfers] max_per_call"
            )

    # --- from the conversation

    def begin(self, command: HandOver) -> None:
        """The caller has heard his announcement, and goes."""
        call, talk = self._call, self._call.talk
        assert talk is not None
        try:
            step = call.transfer_to(command.destination, command.terms)
        except Refused as exc:  # the rules have changed since he was told
            self._refused(command, exc)
            return
        self.begun += 1
        attempt = Attempt(command, step, self._loop.time())
        call.books.transfer_started(attempt.row())
        log.info("transfer.started", destination=step.destination, mode=command.terms.mode, attempt=self.begun)
        if not talk.away:  # a conversation of the kind that ends with its transfer
            call.end(command.reason, command.error, step)
            return
        self._now = attempt
        call.next_is(step)
        talk.step_aside()
        if step.briefing and call.assistant is not None:
            attempt.preparing = call.spawn(self._prepare(attempt), "briefing")
        call.spawn(self._watch(attempt), "transfer")

    def _refused(self, command: HandOver, exc: Refused) -> None:
        call, talk = self._call, self._call.talk
        log.error("transfer.refused", destination=command.destination, why=str(exc), code=exc.code)
        call.books.record.event("transfer.refused", {"destination": command.destination, "why": str(exc)})
        if talk is None or not talk.away:
            call.end("error", f"the transfer's destination is not allowed: {exc}", NextStep("fallback"))
        else:
            talk.not_taken("failed", str(exc))

    async def _watch(self, attempt: Attempt) -> None:
        """What an old dialplan does not tell is inferred: nobody waits with the report until the two have hung up. A
        briefing is never passed over like that."""
        await asyncio.sleep(attempt.step.ring_s + _UNTOLD_S)
        if self._now is attempt and attempt.told and not attempt.returning and attempt.preparing is None:
            log.info("transfer.inferred", seconds=attempt.step.ring_s + _UNTOLD_S)
            self.put_through()

    # --- from the dialplan

    async def next_step(self, dialled: Dialled | None) -> NextStep:
        """What the dialplan does with a caller who is away; asked before it dials, and when nobody has him."""
        attempt = self._now
        assert attempt is not None
        if not attempt.told:
            attempt.told = True
            return attempt.step
        if attempt.returning:  # told to talk, and it never did
            self._call.end("error", NO_MEDIA, NextStep("fallback"))
        elif dialled is not None and dialled.outcome == "answered":
            self.put_through()
        else:
            return await self._come_back(attempt, dialled)
        return self._call.take_next_step()

    async def _come_back(self, attempt: Attempt, dialled: Dialled | None) -> NextStep:
        """Nobody took him. The conversation knows before his media is there, so that he is spoken to at once."""
        call, talk = self._call, self._call.talk
        assert talk is not None
        outcome, why = self._became(attempt, dialled)
        self._settle(attempt, outcome, why)
        attempt.returning = True
        talk.not_taken(outcome, why)
        await talk.listen_again()
        if call.over:
            return call.take_next_step()
        call.next_is(NextStep("fallback"))
        call.spawn(self._await_media(attempt), "transfer-back")
        return NextStep("talk")

    @staticmethod
    def _became(attempt: Attempt, dialled: Dialled | None) -> tuple[TransferOutcome, str]:
        """A dialplan of 0.3 does not say what came of it."""
        if attempt.refusal is not None:
            return attempt.refusal
        if dialled is None or dialled.outcome == "answered":
            return "no_answer", "Nobody took the call."
        return dialled.outcome, dialled.why or _WHY[dialled.outcome]

    async def _await_media(self, attempt: Attempt) -> None:
        await asyncio.sleep(_MEDIA_S)
        if self._now is attempt:
            self._call.end("error", NO_MEDIA, NextStep("fallback"))

    def put_through(self) -> None:
        """Somebody has the caller. Idempotent."""
        attempt = self._now
        if attempt is None or attempt.returning:
            return
        self._call.end("transferred", "", self._policy.afterwards)

    def back(self, link: MediaLink) -> None:
        """His media is up again."""
        assert self._now is not None and self._call.talk is not None
        self._now = None
        self._call.talk.relink(link)

    # --- the person called

    async def briefing(self) -> bool:
        """Somebody has answered who is to be briefed; whether there is a briefing for him."""
        attempt = self._now
        if attempt is None or attempt.preparing is None or attempt.returning:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(_BRIEFED_S):
                await asyncio.wait({attempt.preparing})
                if attempt.briefed:  # the next one of a queue, after one who did not take it
                    await self._make_briefing(attempt)
        return attempt.briefing is not None and self._now is attempt

    def briefing_connected(self, link: MediaLink) -> None:
        """The media of the person called."""
        attempt = self._now
        if attempt is None or attempt.briefing is None:
            link.close()
            return
        attempt.briefed = True
        attempt.briefing.connect(link)

    async def briefed(self) -> bool:
        """Whether the person called takes the caller."""
        attempt = self._now
        if attempt is None or attempt.briefing is None:
            return attempt is not None
        answer = await attempt.briefing.outcome()
        await attempt.briefing.close()
        log.info("transfer.briefed", answer=answer)
        self._call.books.record.event("transfer.briefed", {"answer": answer})
        if answer == "accepted":
            self.put_through()
            return True
        said: dict[str, tuple[TransferOutcome, str]] = {
            "declined": ("declined", "The person called declined."),
            "no_answer": ("no_answer", "Whoever answered did not say whether he takes the call."),
            "gone": ("declined", "The person called hung up during the briefing."),
        }
        attempt.refusal = said[answer]
        return False

    async def _prepare(self, attempt: Attempt) -> None:
        """While it rings: find the words, and have them spoken."""
        call, talk, terms = self._call, self._call.talk, attempt.command.terms
        assert call.assistant is not None and talk is not None
        attempt.words = await briefing_words(
            talk.history,
            self._services,
            call.assistant,
            given=terms.summary,
            instruction=terms.briefing,
            caller=call.offer.caller_name or call.offer.caller,
            tokens=talk.tokens,
        )
        await self._make_briefing(attempt)

    async def _make_briefing(self, attempt: Attempt) -> None:
        if attempt.briefing is not None:
            await attempt.briefing.close()
        call = self._call
        if self._now is not attempt or call.assistant is None:  # nobody would close another one
            return
        attempt.briefed = False
        attempt.briefing = Briefing(self._services, call.assistant, attempt.words, call_id=call.id, rate=call.rate)
        self._briefings.append(attempt.briefing)
        await attempt.briefing.prepare()

    @property
    def characters(self) -> Counter[str]:
        """What briefings were spoken with, by who spoke."""
        return sum((each.characters for each in self._briefings), Counter[str]())

    def heard_s(self, talk: Mapping[str, float]) -> dict[str, float]:
        """Seconds of audio by who recognised them: of the talk, and of the colleagues who were briefed."""
        total = dict(talk)
        for each in self._briefings:
            for name, seconds in each.heard_s.items():
                total[name] = total.get(name, 0.0) + seconds
        return total

    # --- the end

    def over(self, reason: EndReason, error: str) -> None:
        """The call is over, and with it whatever was under way."""
        attempt, self._now = self._now, None
        if attempt is None:
            return
        if attempt.outcome is None:
            self._settle(attempt, _AT_THE_END.get(reason, "failed"), error)
        if reason == "api_end_call":  # there is no media whose end would tell the dialplan
            self._call.see_out(self._services.pbx.hang_up(self._call.id), "hang-up")

    def _settle(self, attempt: Attempt, outcome: TransferOutcome, why: str) -> None:
        attempt.outcome = outcome
        seconds = round(self._loop.time() - attempt.began, 1)
        ended = {**attempt.row(), "seconds": seconds, "why": why}
        self._call.books.transfer_ended(ended)
        log.info(
            "transfer.ended", **{name: ended[name] for name in ("destination", "mode", "outcome", "seconds", "why")}
        )
        self._services.tracer.emit("transfer", outcome=outcome, mode=attempt.command.terms.mode)
        if attempt.briefing is not None:
            self._call.see_out(attempt.briefing.close(), "briefing-close")
