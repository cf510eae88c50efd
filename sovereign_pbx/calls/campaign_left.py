"""Lines that are taken still by people whom an earlier daemon had called: the dialplan's fallback has them. Each counts
as a call of its campaign until it is over, so that a daemon which is started again does not add its own to them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from sovereign_pbx.calls.campaign_pace import TotalPace
from sovereign_pbx.core.errors import SovereignError

log = structlog.get_logger(__name__)

_LOOK_S: Final = 1.0
_LONGEST_S: Final = 3600.0


class LeftLines:
    """`count` tells how many lines there are that an earlier daemon had made; it raises where that can't be told."""

    def __init__(self, count: Callable[[], Awaitable[int]], total: TotalPace) -> None:
        self._count = count
        self._total = total
        self._of: dict[str, int] = {}

    def of(self, campaign_id: str) -> int:
        """How many of this campaign's there may be."""
        return self._of.get(campaign_id, 0)

    def begin(self, cut_off: Mapping[str, int]) -> None:
        """So many of each campaign's people were talking, or about to, when the earlier daemon ended."""
        self._hold(cut_off, sum(cut_off.values()))

    async def watch(self) -> None:
        """Until they are gone."""
        cut_off, waited = dict(self._of), 0.0
        while any(self._of.values()) and waited < _LONGEST_S:
            await asyncio.sleep(_LOOK_S)
            waited += _LOOK_S
            try:
                self._hold(cut_off, await self._count())
            except SovereignError as exc:
                log.info("campaigns.left_lines_unknown", why=str(exc))
        self._hold({}, 0)

    def _hold(self, cut_off: Mapping[str, int], lines: int) -> None:
        self._of = {campaign_id: min(count, lines) for campaign_id, count in cut_off.items()}
        self._total.hold(min(lines, sum(cut_off.values())))
