"""What a test must not leave behind: tasks, sockets, pipes, blocked loops."""

import asyncio
import asyncio.runners
import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from blockbuster import BlockBuster

CANCEL_ALL = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined] # private: asyncio has no hook here
GRACE_S = 0.5
ALLOWED = [
    ("structlog/dev.py", "__call__"),  # pictures of tracebacks for a developer's terminal quote the source
    ("speech/tts/espeak.py", "from_config"),  # looks for its program on the PATH, once in the daemon's life
]
WATCHED = ("socket:", "pipe:", "anon_inode:[eventpoll]")


@contextmanager
def no_task_left() -> Iterator[None]:
    """Fails when a main coroutine ends while a task that it began goes on: `asyncio.run` would cancel it in silence.

    Tasks that end by themselves within a moment (handlers of connections just closed) are not leaks.
    """
    left: list[str] = []

    def check_then_cancel(loop: asyncio.AbstractEventLoop) -> None:
        pending = asyncio.all_tasks(loop)
        if pending:
            _, pending = loop.run_until_complete(asyncio.wait(pending, timeout=GRACE_S))
        left.extend(repr(task) for task in pending if not _is_a_fake_peers(task))
        CANCEL_ALL(loop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.runners, "_cancel_all_tasks", check_then_cancel)
        yield
    if left:
        pytest.fail("tasks left behind:\n" + "\n".join(left))


def _is_a_fake_peers(task: "asyncio.Task[object]") -> bool:
    """aiohttp's server does not wait for a handler that hangs, which is what tests have their fake receivers do."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.endswith("aiohttp/web_protocol.py")


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Fails when sockets, pipes or pollers are open afterwards that were not open before.

    What a fake server's thread closes within a moment is no leak.
    """
    before = open_descriptors()
    yield
    if open_descriptors() - before:
        gc.collect()  # a cycle may hold one: that is untidy, and pytest warns of it, but it is no leak
    until = time.monotonic() + GRACE_S
    while (left := open_descriptors() - before) and time.monotonic() < until:
        time.sleep(0.01)
    if left:
        pytest.fail(f"descriptors left open: {sorted(left)}")


def open_descriptors() -> set[tuple[int, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor with which the directory was read
        if target.startswith(WATCHED):
            found.add((int(name), target))
    return found


def watch_for_blocking() -> BlockBuster:
    """A guard that raises when our code, running on a loop, does what could block it."""
    guard = BlockBuster("sovereign_pbx", excluded_modules=["sovereign_pbx.testing"])
    for function in guard.functions.values():
        for file, name in ALLOWED:
            function.can_block_in(file, name)
    return guard
