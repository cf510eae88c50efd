"""An event loop in a thread of its own, for a library that must not share the loop on which the audio runs."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_JOIN_S = 10.0


class SideLoopClosed(RuntimeError):
    """Nothing is run any more."""


class SideLoop(Generic[R]):
    """Runs coroutines of another thread's resident, which `live` makes there and takes down in the end.

    The thread begins with the first `run`. What is cancelled here is cancelled there.
    """

    def __init__(self, name: str, live: Callable[[], AbstractAsyncContextManager[R]]) -> None:
        self._name = name
        self._live = live
        self._thread: threading.Thread | None = None
        self._settled: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, R]] = Future()
        self._closed = False

    async def run(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """The result of `work(resident)`, run there. What it raises is raised here, and so is what `live` raised."""
        if self._closed:
            raise SideLoopClosed(self._name)
        if self._thread is None:
            self._thread = threading.Thread(target=self._inhabit, name=self._name, daemon=True)
            self._thread.start()
        loop, _, resident = await asyncio.shield(asyncio.wrap_future(self._settled))
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(resident), loop))

    async def close(self) -> None:
        """Take the resident down and end the thread. Idempotent; waits for ten seconds at most."""
        self._closed = True
        if self._thread is None:
            return
        with contextlib.suppress(Exception):  # it never settled; whoever wanted it was told
            loop, leave, _ = await asyncio.shield(asyncio.wrap_future(self._settled))
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(leave.set)
        await asyncio.to_thread(self._thread.join, _JOIN_S)

    def _inhabit(self) -> None:
        try:
            asyncio.run(self._stay())
        except BaseException as exc:
            if not self._settled.done():
                self._settled.set_exception(exc)

    async def _stay(self) -> None:
        leave = asyncio.Event()
        async with self._live() as resident:
            self._settled.set_result((asyncio.get_running_loop(), leave, resident))
            await leave.wait()
