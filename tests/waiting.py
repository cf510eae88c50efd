"""Waiting for a condition instead of sleeping for luck."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], deadline_s: float = 15.0) -> None:
    """Return as soon as `condition()` is true. Raises TimeoutError."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - what is watched here has no event to await
            await asyncio.sleep(0.005)
