"""The one source of everything observable about calls: steps that start and end, and events.

Logs, metrics and whatever else wants to know are observers; what is observed knows none of them. Without an observer a
step costs a comparison. An observer is called on the spot, so it must be quick; what it raises is logged and goes no
further.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import structlog
from pyee.base import EventEmitter

from sovereign_pbx.core.errors import SovereignError

log = structlog.get_logger(__name__)

Phase = Literal["started", "complete", "failed", "cancelled", "event"]


@dataclass(frozen=True, slots=True)
class Trace:
    """What an observer is told. `seconds` is known once a step has ended, `error` when it failed.

    `cancelled` is no failure: a caller who interrupts cancels a reply.
    """

    name: str
    phase: Phase
    keys: Mapping[str, Any]
    seconds: float | None = None
    error: BaseException | None = None


Observer = Callable[[Trace], None]

_UNOBSERVED: AbstractContextManager[None] = nullcontext()


class Tracer:
    """Tells observers what happens."""

    def __init__(self) -> None:
        self._emitter = EventEmitter()
        self._observed = False

    def __repr__(self) -> str:
        return f"<Tracer with {len(self._emitter.listeners('trace'))} observers>"

    def watch(self, observer: Observer) -> Callable[[], None]:
        """Call `observer` with every Trace from now on; the returned function ends that."""
        guarded = _Guarded(observer)
        self._emitter.on("trace", guarded)
        self._observed = True

        def leave() -> None:
            self._emitter.remove_listener("trace", guarded)
            self._observed = bool(self._emitter.listeners("trace"))

        return leave

    def step(self, name: str, **keys: Any) -> AbstractContextManager[None]:
        """`with tracer.step("llm.reply", messages=3): …` tells of the start, and of the end with its duration."""
        return _Step(self._tell, name, keys) if self._observed else _UNOBSERVED

    def emit(self, name: str, **keys: Any) -> None:
        """Something happened that has no duration."""
        if self._observed:
            self._tell(Trace(name, "event", keys))

    def _tell(self, trace: Trace) -> None:
        self._emitter.emit("trace", trace)


class _Guarded:
    """pyee would hand an observer's exception to whoever emitted, and tell nobody after him."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __call__(self, trace: Trace) -> None:
        try:
            self._observer(trace)
        except Exception:
            log.exception("observer_failed", trace=trace.name)


class _Step:
    """A class and not a generator: half the cost, and no traceback of its own."""

    __slots__ = ("_began", "_keys", "_name", "_tell")

    def __init__(self, tell: Observer, name: str, keys: dict[str, Any]) -> None:
        self._tell = tell
        self._name = name
        self._keys = keys
        self._began = 0.0

    def __enter__(self) -> None:
        self._tell(Trace(self._name, "started", self._keys))
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        phase: Phase = "complete"
        if error is not None:
            phase = "cancelled" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "failed"
        self._tell(Trace(self._name, phase, self._keys, seconds, error))


def log_trace(trace: Trace) -> None:
    """The observer that writes logs: starts and ends for whoever debugs, failures for everybody.

    Errors of our own tree say enough; anything else is a fault of the program and brings its traceback.
    """
    if trace.phase == "event":
        return  # whoever emits an event logs it in his own words
    values = {key: value for key, value in trace.keys.items() if isinstance(value, str | int | float | bool)}
    if trace.seconds is not None:
        values["ms"] = round(trace.seconds * 1000, 1)
    event = f"{trace.name}.{trace.phase}"
    if trace.phase != "failed":
        log.debug(event, **values)
    elif isinstance(trace.error, SovereignError | TimeoutError):
        log.warning(event, error=str(trace.error) or type(trace.error).__name__, **values)
    else:
        log.error(event, exc_info=trace.error, **values)
