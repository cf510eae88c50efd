"""What calls that begin now are given, all of it replaced together when the configuration is read anew."""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import ClientSession, web

from sovereign_pbx.calls.accounts import Accounts
from sovereign_pbx.calls.recording_links import RecordingLinks
from sovereign_pbx.calls.session import Services
from sovereign_pbx.config import Config
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.turn import TurnModel
from sovereign_pbx.speech.phrases import PhraseCache
from sovereign_pbx.webhooks.delivery import Deliverer

log = structlog.get_logger(__name__)

_CLOSE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """What no configuration changes."""

    clock: MediaClock
    phrases: PhraseCache
    turn_model: TurnModel | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Webhooks and mails on their way, and the session that they go by."""

    deliverer: Deliverer
    session: ClientSession

    def start(self) -> None:
        self.deliverer.start()

    async def close(self) -> None:
        """What is not delivered stays in the outbox, for the next."""
        try:
            await self.deliverer.close()
        finally:
            await self.session.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """One configuration and what was made of it. `resources` are closed when nobody uses `services` any more."""

    config: Config
    accounts: Accounts
    links: RecordingLinks
    services: Services
    resources: AsyncExitStack


def longest_s(config: Config) -> float:
    """After so long no call can be using anything that it was given at its beginning."""
    return float(config.limits.max_call_seconds) + 60.0


class Retiring:
    """Earlier configurations: each is closed when the last call that began with it has ended."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], InUse] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def in_use(self) -> tuple[InUse, ...]:
        """Those that some call still uses."""
        return tuple(self._tasks.values())

    def add(self, former: InUse, calls: Collection[asyncio.Task[Any]], api: web.AppRunner | None) -> None:
        """`calls` are the tasks of all calls there are. `api` is what answered requests until now."""
        task = asyncio.create_task(_retired(former, calls, api), name="retire-configuration")
        self._tasks[task] = former
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """When all calls are over: wait until everything is closed, though not for a request that never ends."""
        if not self._tasks:
            return
        tasks = [*self._tasks]
        _, late = await asyncio.wait(tasks, timeout=_CLOSE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("configuration.not_retired", exc_info=exc)


async def _retired(former: InUse, calls: Collection[asyncio.Task[Any]], api: web.AppRunner | None) -> None:
    try:
        if api is not None:
            await api.cleanup()  # lets requests under way finish, that which asked for this among them
        if calls:
            await asyncio.wait(calls)
    finally:
        await former.resources.aclose()
        log.info("configuration.retired", checksum=former.config.checksum[:12])
