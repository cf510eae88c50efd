"""Waiting for what another object will do, with a deadline."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Return as soon as `condition` holds; TimeoutError when it does not within the time."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  the condition is another object's state, which has no event
            await asyncio.sleep(0.005)
