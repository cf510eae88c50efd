"""A call's memory on disk: everything worth keeping goes to the store in order, none of it on the voice path."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from sovereign_pbx.core.values import Message, TurnRecord
from sovereign_pbx.store import CallRow, Outgoing, Store
from sovereign_pbx.webhooks.envelope import utc_now

log = structlog.get_logger(__name__)

_PENDING = 4096  # writes waiting for the disk; a call that has more is a fault, and loses observations, never reports

Write = Callable[[], Coroutine[Any, Any, None]]


class CallRecord:
    """One call's writes, in the order of what happened. `run` does them; `settle` waits until all are done."""

    def __init__(self, call_id: str, store: Store, delivered: Callable[[], None]) -> None:
        self._call_id = call_id
        self._store = store
        self._delivered = delivered  # tells the deliverer that the outbox has something
        self._writes: asyncio.Queue[Write] = asyncio.Queue()
        self._refused = 0

    def create(self, row: CallRow, webhook_secret: str = "") -> None:
        """The call is known. `webhook_secret`: see `Store.create_call`."""
        self._add(lambda: self._store.create_call(row, webhook_secret=webhook_secret))

    def change(self, changes: Mapping[str, Any], outgoing: Sequence[Outgoing] = ()) -> None:
        """The call changed, and whoever must hear of it does: one transaction."""
        stamped = {**changes, "updated_at": utc_now()}

        async def write() -> None:
            await self._store.change_call(self._call_id, stamped, outgoing)
            if outgoing:
                self._delivered()

        self._add(write, always=True)

    def message(self, message: Message) -> None:
        at = utc_now()
        self._add(lambda: self._store.add_message(self._call_id, message, at), always=True)

    def turn(self, turn: TurnRecord) -> None:
        self._add(lambda: self._store.add_turn(self._call_id, turn), always=True)

    def event(self, name: str, values: Mapping[str, Any]) -> None:
        """An observation; refused when the disk is hopelessly behind."""
        at = utc_now()
        self._add(lambda: self._store.add_event(self._call_id, name, values, at))

    async def run(self) -> None:
        """Write until cancelled. A write that fails is logged: the store retries by itself what can be retried.

        What has gathered is handed to the store in one go, which keeps the order: a decision that brings five writes
        wakes the store's thread once, and waits for its disk once.
        """
        while True:
            writes = [await self._writes.get()]
            while not self._writes.empty():
                writes.append(self._writes.get_nowait())
            try:
                for outcome in await asyncio.gather(*(write() for write in writes), return_exceptions=True):
                    if isinstance(outcome, BaseException):
                        log.error("record.lost", exc_info=outcome)
            finally:
                for _ in writes:
                    self._writes.task_done()

    async def settle(self) -> None:
        """Wait until everything is written."""
        await self._writes.join()

    def _add(self, write: Write, *, always: bool = False) -> None:
        if not always and self._writes.qsize() >= _PENDING:
            self._refused += 1
            return
        self._writes.put_nowait(write)
