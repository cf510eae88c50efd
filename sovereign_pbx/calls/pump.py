"""What turns events into commands: one at a time, in order, and on time."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from sovereign_pbx.core.events import Tick

EventT = TypeVar("EventT")
EventT_contra = TypeVar("EventT_contra", contravariant=True)


class Decider(Protocol[EventT_contra]):
    """A conversation, whoever its model is."""

    @property
    def deadline(self) -> float | None: ...

    def feed(self, event: EventT_contra, now: float) -> Sequence[Any]: ...


class Pump(Generic[EventT]):
    """Feeds a conversation and performs its commands by their type; feeds it `Tick` when its deadline has passed."""

    def __init__(self, conversation: Decider[EventT | Tick], perform: Mapping[type, Callable[[Any], None]]) -> None:
        self._conversation = conversation
        self._perform = perform
        self._loop = asyncio.get_running_loop()
        self._events: deque[EventT | Tick] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def feed(self, event: EventT | Tick) -> None:
        """Hand an event to the conversation and do what it says. What a command causes at once waits its turn."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                for command in self._conversation.feed(self._events.popleft(), self._loop.time()):
                    self._perform[type(command)](command)
        finally:
            self._busy = False
        self._set_timer()

    def stop(self) -> None:
        """No more ticks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        deadline = self._conversation.deadline
        if self._timer is not None:
            if self._timer_at == deadline:
                return
            self.stop()
        if deadline is not None:
            # uvloop gives a plain Handle, which does not know its time, for a deadline that has passed already.
            self._timer = self._loop.call_at(deadline, self._tick)
            self._timer_at = deadline

    def _tick(self) -> None:
        self._timer = None
        self.feed(Tick())
