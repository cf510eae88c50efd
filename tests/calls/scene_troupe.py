"""Plays the scenes: each in a fresh stage, several at a time in processes of their own, each judged by itself.

    @scene("7", "The language model refuses", bounded="retry, then the cached apology")
    async def test_a_model_that_refuses_is_apologised_for(stage: Stage) -> None: ...

makes a test of a scene. All that were selected begin with the first that is waited for, in their order.
"""

import asyncio
import gc
import importlib
import logging
import multiprocessing
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from sovereign_pbx.store import CallRow
from tests.calls.scene_stage import LONGEST_WAIT_S, Stage, play, stage
from tests.leaks import no_descriptor_left, watch_for_blocking

AT_ONCE = max(1, os.cpu_count() or 1)  # a scene is heard by the millisecond: it wants a processor
REPLAYS = 2
_LOG_LINES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One failure. `bounded` says what limits the harm; `wait_s` is the longest silence that may be heard in it."""

    number: str
    title: str
    bounded: str
    wait_s: float
    remark: str
    options: dict[str, Any]
    module: str
    name: str
    perform: Callable[[Stage], Awaitable[None]]


@dataclass(slots=True)
class Outcome:
    """A row of the table."""

    number: str
    title: str
    bounded: str
    remark: str
    heard: list[str] = field(default_factory=list)
    longest_wait_s: float = 0.0
    recorded: list[str] = field(default_factory=list)
    failure: str = ""


class Failed(AssertionError):
    """A scene went wrong; the text is what happened in its process."""


def scene(
    number: str,
    title: str,
    *,
    bounded: str,
    wait_s: float = LONGEST_WAIT_S,
    remark: str = "",
    **options: Any,
) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[Any], None]]:
    """Make a test of a scene; `options` are the stage's."""

    def make(perform: Callable[[Stage], Awaitable[None]]) -> Callable[[Any], None]:
        made = Scene(
            number=number,
            title=title,
            bounded=bounded,
            wait_s=wait_s,
            remark=remark,
            options=options,
            module=perform.__module__,
            name=perform.__name__,
            perform=perform,
        )

        def test(troupe: Troupe) -> None:
            outcome = troupe.outcome(made)
            if outcome.failure:
                raise Failed(outcome.failure)

        test.__name__, test.__doc__, test.__module__ = perform.__name__, perform.__doc__, perform.__module__
        test.__qualname__ = perform.__qualname__
        test.scene = made  # type: ignore[attr-defined]  # functions may carry what they were made of
        return test

    return make


class Troupe:
    """Processes that play scenes."""

    def __init__(self, root: Path, scenes: Iterable[Scene], at_once: int = AT_ONCE) -> None:
        self._root = root
        self._pool = ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn"), _prepare)
        self._futures: dict[tuple[str, str], Future[Outcome]] = {}
        self.replayed: list[tuple[str, str]] = []  # title, and why it had failed
        for one in scenes:
            self._begin(one)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def outcome(self, one: Scene) -> Outcome:
        """Wait for a scene's end; one that failed is played again, and named at the end of the run.

        A scene is a live call heard by the millisecond on a machine that others share, where a stall of half a second
        is the machine's doing. A fault of the daemon's fails every time.
        """
        outcome = self._begin(one).result()
        for _ in range(REPLAYS):
            if not outcome.failure:
                break
            self.replayed.append((one.title, _reason(outcome.failure)))
            outcome = self._pool.submit(_play, str(self._root), one.module, one.name).result()
        return outcome

    def _begin(self, one: Scene) -> "Future[Outcome]":
        key = one.module, one.name
        if key not in self._futures:
            self._futures[key] = self._pool.submit(_play, str(self._root), *key)
        return self._futures[key]


def _reason(failure: str) -> str:
    lines = [line for line in failure.split("\nheard: ")[0].splitlines() if line and not line.startswith(" ")]
    return lines[-1][:300] if lines else "no reason given"


# --- in a process of the pool


def _prepare() -> None:
    import openai  # noqa: F401  # what a daemon loads with its first call, a second on a busy machine

    warnings.simplefilter("error")
    logging.disable(logging.CRITICAL)
    play(asyncio.sleep(0))  # uvloop keeps the pipe of its first run
    watch_for_blocking().activate()


def _play(root: str, module: str, name: str) -> Outcome:
    one: Scene = getattr(importlib.import_module(module), name).scene
    outcome = Outcome(one.number, one.title, one.bounded, one.remark)
    lines: list[str] = []
    unraisable: list[str] = []
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, _Keep(lines)])
    sys.unraisablehook = lambda args: unraisable.append(f"{args.exc_value!r} in {args.object!r}")
    with tempfile.TemporaryDirectory(prefix="scene-") as folder:
        try:
            with no_descriptor_left():
                play(_perform(one, Path(root), Path(folder), outcome))
                gc.collect()
            assert not unraisable, unraisable
        except BaseException:  # pytest.fail's exception is none of Exception
            outcome.failure = f"{traceback.format_exc()}\nheard: {outcome.heard}\nthe daemon's log:\n"
            outcome.failure += "\n".join(lines[-_LOG_LINES:]) + _log_of(Path(folder))
    return outcome


def _log_of(folder: Path) -> str:
    log = folder / "daemon.log"
    return log.read_text("utf-8", "replace")[-6000:] if log.exists() else ""


class _Keep:
    """A structlog processor that keeps the lines and prints nothing."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(self, logger: object, method: str, event: structlog.types.EventDict) -> str:
        values = {key: value for key, value in event.items() if key not in ("event", "call_id", "exc_info")}
        failure = sys.exc_info()[1]
        trace = "".join(traceback.format_exception(failure)) if event.get("exc_info") and failure else ""
        self._lines.append(f"{asyncio_time():.2f} [{method}] {event.get('event')} {values} {trace}")
        raise structlog.DropEvent


def asyncio_time() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


async def _perform(one: Scene, root: Path, folder: Path, outcome: Outcome) -> None:
    async with stage(root, folder, **one.options) as made:
        try:
            await one.perform(made)
            await made.check_nothing_left()
        finally:
            outcome.heard = [person.story() for person in made.people]
            outcome.longest_wait_s = max((wait for person in made.people for wait in person.waits()), default=0.0)
        outcome.recorded = [*[_told(row) for row in (await made.rows() if made.started else [])], *made.notes]
        assert outcome.longest_wait_s <= one.wait_s, f"silence of {outcome.longest_wait_s:.1f} s: {outcome.heard}"
    assert made.receiver.refused == []


def _told(row: CallRow) -> str:
    reported = "reported" if row.started_at else "never answered, no report"
    return f"{row.status}, {row.end_reason}{f': {row.error}' if row.error else ''}; {reported}"


def scenes_of(functions: Iterable[Any]) -> list[Scene]:
    """The scenes among test functions."""
    return [found for function in functions if (found := getattr(function, "scene", None)) is not None]


__all__ = ["AT_ONCE", "Failed", "Outcome", "Scene", "Troupe", "scene", "scenes_of"]
