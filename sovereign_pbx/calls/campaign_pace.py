"""How many calls campaigns may place: at once, and within any sixty seconds."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

_WINDOW_S: Final = 60.5  # half a second more than is promised: the way to the PBX is not always equally long
_SHORTEST_S: Final = 0.001  # a wait that is nothing but a rounding error would be begun again and again

Clock = Callable[[], float]
"""Seconds that only go forward."""


class MinutePace:
    """Calls begun within the last sixty seconds. Exact: a minute that slides, not one of the clock."""

    def __init__(self, now: Clock, began: Iterable[float] = ()) -> None:
        self._now = now
        self._began = deque(sorted(began))

    def wait_s(self, per_minute: int) -> float:
        """Seconds until another call may begin; 0 for now."""
        limit = self._now() - _WINDOW_S
        while self._began and self._began[0] <= limit:
            self._began.popleft()
        return 0.0 if len(self._began) < per_minute else max(_SHORTEST_S, self._began[-per_minute] - limit)

    def recall(self, began: Iterable[float]) -> None:
        """Calls that were begun before this pace was kept."""
        self._began = deque(sorted([*self._began, *began]))

    def begin(self) -> float:
        """A call begins now; what comes back can be given to `undo`."""
        moment = self._now()
        self._began.append(moment)
        return moment

    def undo(self, moment: float) -> None:
        """The call was not placed after all."""
        if moment in self._began:
            self._began.remove(moment)


class TotalPace:
    """The same for all campaigns together. Who waits longest is next, so that campaigns take turns."""

    def __init__(self, at_once: int, per_minute: int, now: Clock) -> None:
        self.minute = MinutePace(now)
        self._at_once = at_once
        self._per_minute = per_minute
        self._taken = 0
        self._held = 0
        self._news = asyncio.Event()  # somebody left, or there may be more
        self._turn = asyncio.Lock()

    def resize(self, at_once: int, per_minute: int) -> None:
        """Hold those who come from now on to these limits; nobody's call is ended."""
        self._at_once, self._per_minute = at_once, per_minute
        self._news.set()

    def hold(self, lines: int) -> None:
        """So many lines are taken by what is nobody's call here."""
        self._held = lines
        self._news.set()

    @asynccontextmanager
    async def place(self) -> AsyncIterator["Place"]:
        """Wait for room for one call; what is not kept is given back."""
        async with self._turn:
            place = await self._seat()
            try:
                while wait_s := self.minute.wait_s(self._per_minute):  # noqa: ASYNC110 - what is waited for is time
                    await asyncio.sleep(wait_s)
            except BaseException:
                place.leave()
                raise
            began = self.minute.begin()
        try:
            yield place
        finally:
            if not place.kept:
                self.minute.undo(began)
                place.leave()

    async def _seat(self) -> "Place":
        while self._taken + self._held >= self._at_once:
            self._news.clear()
            await self._news.wait()
        self._taken += 1
        return Place(self._leave)

    def _leave(self) -> None:
        self._taken -= 1
        self._news.set()


class Place:
    """Room for one call, until `leave`."""

    def __init__(self, release: Callable[[], None]) -> None:
        self.kept = False
        self._release: Callable[[], None] | None = release

    def keep(self) -> None:
        """The call is placed: its room is taken until it ends."""
        self.kept = True

    def leave(self) -> None:
        """The call is over. Idempotent."""
        release, self._release = self._release, None
        if release is not None:
            release()
