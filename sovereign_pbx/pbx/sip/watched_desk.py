"""The desk as controls see it: whatever they tell it of an order's end is noticed here."""

from collections.abc import Callable

from sovereign_pbx.core.values import AnsweredBy
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Decision, Desk, Dialled, NextStep, NotAnswered, Offer


class WatchedDesk:
    """Passes everything on (`pbx.link.Desk`); `on_gone` is told of each call that is gone."""

    def __init__(self, desk: Desk, on_gone: Callable[[str], None]) -> None:
        self._desk = desk
        self._on_gone = on_gone

    async def offered(self, offer: Offer) -> Decision:
        return await self._desk.offered(offer)

    async def picked_up(self, call_id: str, answered_by: AnsweredBy = "unknown") -> Decision:
        return await self._desk.picked_up(call_id, answered_by)

    def not_answered(self, call_id: str, how: NotAnswered) -> None:
        self._desk.not_answered(call_id, how)

    def connected(self, call_id: str, link: MediaLink) -> None:
        self._desk.connected(call_id, link)

    async def next_step(self, call_id: str, dialled: Dialled | None = None) -> NextStep:
        return await self._desk.next_step(call_id, dialled)

    def put_through(self, call_id: str) -> None:
        self._desk.put_through(call_id)

    async def briefing(self, call_id: str) -> bool:
        return await self._desk.briefing(call_id)

    def briefing_connected(self, call_id: str, link: MediaLink) -> None:
        self._desk.briefing_connected(call_id, link)

    async def briefed(self, call_id: str) -> bool:
        return await self._desk.briefed(call_id)

    def digit(self, call_id: str, digit: str) -> None:
        self._desk.digit(call_id, digit)

    def held(self, call_id: str, held: bool) -> None:
        self._desk.held(call_id, held)

    def gone(self, call_id: str, cause: int | None) -> None:
        try:
            self._desk.gone(call_id, cause)
        finally:
            self._on_gone(call_id)
