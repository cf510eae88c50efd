"""Host names to addresses, in threads that nobody has to wait for.

`loop.getaddrinfo` shares a handful of threads with everything else (uvloop: four), and a silent name server holds one
for half a minute. Here each look-up has a daemon thread of its own, at most `limit` at once, answers are cached by the
connector, and a thread that hangs neither delays others' work nor the end of the process.
"""

import asyncio
import contextlib
import socket
import threading

from aiohttp.abc import AbstractResolver, ResolveResult


class Resolver(AbstractResolver):
    """getaddrinfo for an aiohttp connector. Raises OSError as it does."""

    def __init__(self, limit: int = 32) -> None:
        self._places = asyncio.Semaphore(limit)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def look_up() -> None:
            found: list[ResolveResult] | Exception
            try:
                found = addresses(host, port, family)
            except (OSError, UnicodeError) as exc:
                found = exc
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, found)

        def settle(found: list[ResolveResult] | Exception) -> None:
            self._places.release()
            if answer.done():  # whoever asked has given up
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        threading.Thread(target=look_up, name="webhook-dns", daemon=True).start()
        return await answer

    async def close(self) -> None:
        """Nothing to close: threads end with their look-up."""


def addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """What the system knows under this name, in its order. Blocks."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=flags)
        for kind, _, protocol, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    ]
