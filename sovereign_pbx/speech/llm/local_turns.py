"""Who uses a local engine: whoever waits on the line at once, everybody else while nobody does.

An engine that reads two prompts at a time reads each at half the speed; on a machine of a few cores a summary would
cost the next caller seconds. So other work waits, is broken off when a live reply comes, and is asked for again from
the beginning; what the engine has read of its prompt by then mostly is in its cache.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sovereign_pbx.speech.fallback import closing

T = TypeVar("T")


class RightOfWay:
    """Of one engine. Belongs to one event loop."""

    def __init__(self) -> None:
        self._live = 0
        self._free = asyncio.Event()
        self._free.set()
        self._wanted = asyncio.Event()
        self._other = asyncio.Lock()  # other work is done one after the other: it has time
        self.broken_off = 0

    @contextmanager
    def live(self) -> Iterator[None]:
        """A reply that a caller waits for is under way."""
        self._live += 1
        self._free.clear()
        self._wanted.set()
        try:
            yield
        finally:
            self._live -= 1
            if not self._live:
                self._wanted.clear()
                self._free.set()

    async def when_free(self, ask: Callable[[], AsyncIterator[T]]) -> list[T]:
        """The whole answer of `ask`, which is called again after every live reply that came between. The caller keeps
        the time. Raises what `ask` raises."""
        async with self._other:
            while True:
                await self._free.wait()
                answer = await self._undisturbed(ask)
                if answer is not None:
                    return answer
                self.broken_off += 1

    async def _undisturbed(self, ask: Callable[[], AsyncIterator[T]]) -> list[T] | None:
        """None if somebody on the line came between."""
        asking = asyncio.create_task(_all(ask()), name="local-other")
        wanted = asyncio.create_task(self._wanted.wait(), name="local-wanted")
        try:
            await asyncio.wait({asking, wanted}, return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            asking.cancel()
            wanted.cancel()
            await asyncio.gather(asking, wanted, return_exceptions=True)


async def _all(events: AsyncIterator[T]) -> list[T]:
    async with closing(events) as each:
        return [event async for event in each]
