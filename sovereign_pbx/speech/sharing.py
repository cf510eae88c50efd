"""Vendor clients shared by everything that uses the same account.

Making an SDK's client takes 20 to 70 ms (TLS contexts; 0.4 s more for the first import): it is made once per account,
in a thread, and its warm connections serve every call. The last user closes it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


@dataclass(slots=True)
class _Entry(Generic[C]):
    making: "asyncio.Task[C]"
    users: int = 0


class Shares(Generic[K, C]):
    """Clients by account. `make` runs in a thread; `close` on the loop. A client belongs to the loop it was made on."""

    def __init__(self, make: Callable[[K], C], close: Callable[[C], Awaitable[object]]) -> None:
        self._make = make
        self._close = close
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[K, _Entry[C]]] = WeakKeyDictionary()

    async def lease(self, key: K) -> C:
        """The client for `key`, made if nobody has it. Give it back with `release`."""
        entries = self._loops.setdefault(asyncio.get_running_loop(), {})
        entry = entries.get(key)
        if entry is None:
            making = asyncio.create_task(asyncio.to_thread(self._make, key), name="vendor-client")
            entry = entries[key] = _Entry(making)
        entry.users += 1
        try:
            # Shielded: one impatient user must not take the client away from the others.
            return await asyncio.shield(entry.making)
        except BaseException:
            await self.release(key)
            raise

    async def release(self, key: K) -> None:
        """One user less; the last one closes the client."""
        entries = self._loops.get(asyncio.get_running_loop(), {})
        entry = entries.get(key)
        if entry is None:
            return
        entry.users -= 1
        if entry.users > 0:
            return
        del entries[key]
        (made,) = await asyncio.gather(entry.making, return_exceptions=True)
        if not isinstance(made, BaseException):
            await self._close(made)
