"""Asking a second time when the first word is late, and hearing whoever begins first.

The wait is the model's own 95th percentile, within bounds, once enough replies have been measured; one reply in twenty
is later than that by definition, so this cuts the tail for about 5 % more requests. What it may cost at most is a share
of all replies: when a vendor is slow altogether, asking everything twice would make it slower.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sovereign_pbx.core.errors import ProviderError

T = TypeVar("T")

KEPT: Final = 200  # replies whose first word is remembered, of each model
ENOUGH: Final = 20  # fewer say nothing about a 95th percentile
PERCENTILE: Final = 0.95
CREDITS: Final = 3.0  # second requests that may follow each other, after a time without
EVENTS_LIMIT: Final = 256
MODELS: Final = 512

adopted: ContextVar[asyncio.Event | None] = ContextVar("adopted", default=None)
"""Whoever asks before it is certain that the answer is wanted sets this: nothing is asked twice before it is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """When to ask a second time. Seconds from the request."""

    after_s: float = 1.0  # as long as too few replies have been measured
    floor_s: float = 0.4
    ceiling_s: float = 2.0
    most_share: float = 0.1  # of all replies


class FirstWords:
    """How long models took to their first word, over all calls, and what second requests are still allowed."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, tuple[deque[float], list[float]]] = OrderedDict()

    def took(self, key: str, seconds: float) -> None:
        """A reply began after so long, or was given up for another after so long."""
        self._of(key)[0].append(seconds)

    def wait_s(self, key: str, hedge: Hedge) -> float:
        """How long to wait for this model before asking again."""
        taken = sorted(self._of(key)[0])
        if len(taken) < ENOUGH:
            return hedge.after_s
        return min(max(taken[int(PERCENTILE * len(taken))], hedge.floor_s), hedge.ceiling_s)

    def earn(self, key: str, hedge: Hedge) -> None:
        """One more reply was asked for."""
        credit = self._of(key)[1]
        credit[0] = min(credit[0] + hedge.most_share, CREDITS)

    def spend(self, key: str) -> bool:
        """Whether a second request is allowed now; it counts."""
        credit = self._of(key)[1]
        if credit[0] < 1.0:
            return False
        credit[0] -= 1.0
        return True

    def _of(self, key: str) -> tuple[deque[float], list[float]]:
        found = self._models.setdefault(key, (deque(maxlen=KEPT), [1.0]))
        self._models.move_to_end(key)
        while len(self._models) > MODELS:
            self._models.popitem(last=False)
        return found


FIRST_WORDS: Final = FirstWords()


class Request(Generic[T]):
    """One request, running by itself in a task of its own: its events wait here. `close` ends it at the vendor."""

    def __init__(self, who: Any, events: AsyncIterator[T]) -> None:
        self.who = who
        self._events = events
        self._queue: asyncio.Queue[T | ProviderError | None] = asyncio.Queue(EVENTS_LIMIT)
        self._begun = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._asked_at = self._clock()
        self._task = asyncio.create_task(self._pump(), name="model-request")
        self.fault: ProviderError | None = None  # it failed before its first event

    @property
    def waiting_s(self) -> float:
        """Since it was asked."""
        return self._clock() - self._asked_at

    async def begun(self) -> None:
        """Until the first event is there, or it is known that none will come."""
        await self._begun.wait()

    async def events(self) -> AsyncIterator[T]:
        """All events, the first included. Raises ProviderError as the request does."""
        while (event := await self._queue.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        aclose = getattr(self._events, "aclose", None)
        if aclose is not None:  # a task cancelled before its first step has closed nothing
            await aclose()

    async def _pump(self) -> None:
        try:
            async for event in self._events:
                await self._queue.put(event)
                self._begun.set()
            await self._queue.put(None)
        except ProviderError as exc:
            self.fault = None if self._begun.is_set() else exc
            await self._queue.put(exc)
        except Exception as exc:
            fault = ProviderError(str(getattr(self.who, "key", "")), "llm", "garbled", type(exc).__name__)
            self.fault = None if self._begun.is_set() else fault
            await self._queue.put(fault)
        finally:
            self._begun.set()


async def first_to_begin(
    first: Request[T], wait_s: float, second: Callable[[], Request[T] | None]
) -> tuple[Request[T], Request[T] | None]:
    """(whoever begins first, whoever was given up for it). `second` is called when `first` is late, and may refuse.

    A request that fails before it begins does not win while the other still may. Cancelled, it closes both.
    """
    other: Request[T] | None = None
    try:
        if await _begins_within(first, wait_s) or (other := second()) is None:
            await first.begun()
            return first, None
        winner = await _race(first, other)
        loser = other if winner is first else first
        await loser.close()
        return winner, loser
    except BaseException:
        await first.close()
        if other is not None:
            await other.close()
        raise


async def _begins_within(request: Request[T], wait_s: float) -> bool:
    """False: it is late, and the answer is wanted for certain."""
    try:
        async with asyncio.timeout(wait_s):
            await request.begun()
            return True
    except TimeoutError:
        pass
    certain = adopted.get()
    if certain is None or certain.is_set():
        return False
    waits = [asyncio.ensure_future(request.begun()), asyncio.ensure_future(certain.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return waits[0].done()
    finally:
        await _given_up(waits)


async def _race(first: Request[T], other: Request[T]) -> Request[T]:
    waits = {asyncio.ensure_future(request.begun()): request for request in (first, other)}
    try:
        pending = set(waits)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            well = [waits[each] for each in waits if each in done and waits[each].fault is None]
            if well:
                return well[0]
        return first
    finally:
        await _given_up(waits)


async def _given_up(waits: "Iterable[asyncio.Future[Any]]") -> None:
    for each in waits:
        each.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
