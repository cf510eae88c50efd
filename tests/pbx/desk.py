"""A desk that does as it is told and remembers what it was told."""

import asyncio

from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.core.values import AnsweredBy
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Decision, Dialled, NextStep, NotAnswered, Offer


class ScriptedDesk:
    """`decision` and `step` are returned after `delay_s`, or raised when they are exceptions; `steps` come first.

    `briefs` answers whether there is a briefing, `takes` whether who heard it takes the caller; exceptions are raised.
    """

    def __init__(self, decision: Decision | Exception | None = None) -> None:
        self.decision: Decision | Exception = decision or Decision("answer")
        self.step: NextStep | Exception = NextStep("hangup")
        self.steps: list[NextStep] = []
        self.delay_s = 0.0
        self.offers: list[Offer] = []
        self.picked: list[str] = []
        self.answered_by: list[AnsweredBy] = []
        self.unanswered: list[tuple[str, NotAnswered]] = []
        self.cancelled = 0
        self.links: dict[str, MediaLink] = {}
        self.asked_next: list[str] = []
        self.dialled: list[Dialled | None] = []
        self.through: list[str] = []
        self.briefs: bool | Exception = True
        self.takes: bool | Exception = True
        self.briefings: list[str] = []
        self.briefing_links: list[MediaLink] = []
        self.asked_briefed: list[str] = []
        self.digits: list[str] = []
        self.holds: list[bool] = []
        self.gone_calls: list[tuple[str, int | None]] = []

    async def offered(self, offer: Offer) -> Decision:
        self.offers.append(offer)
        await self._wait()
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision

    async def picked_up(self, call_id: str, answered_by: AnsweredBy = "unknown") -> Decision:
        self.picked.append(call_id)
        self.answered_by.append(answered_by)
        await self._wait()
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision

    def not_answered(self, call_id: str, how: NotAnswered) -> None:
        self.unanswered.append((call_id, how))

    def connected(self, call_id: str, link: MediaLink) -> None:
        link.listener = Ear(self)
        self.links[call_id] = link

    async def next_step(self, call_id: str, dialled: Dialled | None = None) -> NextStep:
        self.asked_next.append(call_id)
        self.dialled.append(dialled)
        await self._wait()
        if isinstance(self.step, Exception):
            raise self.step
        return self.steps.pop(0) if self.steps else self.step

    def put_through(self, call_id: str) -> None:
        self.through.append(call_id)

    async def briefing(self, call_id: str) -> bool:
        self.briefings.append(call_id)
        await self._wait()
        if isinstance(self.briefs, Exception):
            raise self.briefs
        return self.briefs

    def briefing_connected(self, call_id: str, link: MediaLink) -> None:
        link.listener = Ear(self)
        self.briefing_links.append(link)

    async def briefed(self, call_id: str) -> bool:
        self.asked_briefed.append(call_id)
        await self._wait()
        if isinstance(self.takes, Exception):
            raise self.takes
        return self.takes

    def digit(self, call_id: str, digit: str) -> None:
        self.digits.append(digit)

    def held(self, call_id: str, held: bool) -> None:
        self.holds.append(held)

    def gone(self, call_id: str, cause: int | None) -> None:
        self.gone_calls.append((call_id, cause))

    async def _wait(self) -> None:
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Ear:
    """The desk's listener on a link."""

    def __init__(self, desk: ScriptedDesk) -> None:
        self._desk = desk
        self.ends: list[LinkEnded] = []

    def digit(self, digit: str) -> None:
        self._desk.digits.append(digit)

    def ended(self, how: LinkEnded) -> None:
        self.ends.append(how)
