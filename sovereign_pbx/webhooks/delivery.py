"""Delivers what the outbox holds: at least once, in order per call, without one receiver holding up another's.

Theory of operation: one task reads what is due (backlog.py) and starts an attempt for each whose receiver has a place
free (lanes.py); an attempt ends in `delivered`, `postpone` or `bury` and wakes the task. Nothing that matters is
remembered here and not in the store: a stopped or killed deliverer simply starts again.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Literal

import aiohttp
import structlog

from sovereign_pbx.core.errors import WebhookError
from sovereign_pbx.store import Due, Outgoing, Store
from sovereign_pbx.webhooks import signing
from sovereign_pbx.webhooks.backlog import Backlog, lane, origin
from sovereign_pbx.webhooks.carrier import Carrier, TurnedDown
from sovereign_pbx.webhooks.envelope import utc_text
from sovereign_pbx.webhooks.lanes import USUAL, Bounds, Lanes
from sovereign_pbx.webhooks.post import ComeAgain, post, public_url

log = structlog.get_logger(__name__)

_AT_A_TIME = 8  # attempts begun between two looks
# Between the beginnings of two attempts. Calls' audio runs on the same loop, and beginning one takes a millisecond:
# sixty-four at once held it up for fifty.
_PACE_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How hard to try. Waits double from `first_s` to `longest_s`, each shortened by a random part of up to a half."""

    attempt_s: float = 15.0
    first_s: float = 5.0
    longest_s: float = 3600.0
    give_up_s: float = 86_400.0  # a receiver that is down over a night and a morning loses nothing

    def wait_s(self, attempts: int) -> float:
        """How long to wait after attempt number `attempts` (from 1) failed."""
        doubled: float = self.first_s * 2 ** min(attempts - 1, 30)
        return min(doubled, self.longest_s) * random.uniform(0.5, 1.0)

    def asked_for_s(self, after_s: float) -> float:
        """How long to wait for a receiver that said so itself: never less, unless it wants more than `longest_s`."""
        return min(max(after_s, self.first_s / 2) * random.uniform(1.0, 1.1), self.longest_s)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt, for metrics. `dead`: it was the last one. `fault`: the WebhookFault, or ""."""

    event: str
    outcome: Literal["delivered", "failed", "dead"]
    fault: str
    seconds: float


class Deliverer:
    """Owns its tasks: `start` it once, `poke` it when the outbox has grown, `close` it.

    `carriers` take what goes to other addresses than http(s), by scheme. `poll_s`: how often to look without being
    poked, and so how soon what another process put back is seen. `now` is the wall clock, for back-off and signatures.
    """

    def __init__(
        self,
        store: Store,
        session: aiohttp.ClientSession,
        *,
        user_agent: str = signing.USER_AGENT,
        carriers: Mapping[str, Carrier] = MappingProxyType({}),
        patience: Patience = Patience(),
        bounds: Bounds = USUAL,
        poll_s: float = 2.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        observe: Callable[[Attempt], None] = lambda attempt: None,
    ) -> None:
        self._store = store
        self._session = session
        self._user_agent = user_agent
        self._carriers = carriers
        self._patience = patience
        self._poll_s = poll_s
        self._now = now
        self._observe = observe
        self._woken = asyncio.Event()
        self._stopping = False
        self._held: set[str] = set()  # webhook ids with an attempt under way
        self._lanes = Lanes(bounds)
        self._backlog = Backlog(store, self._lanes)
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Deliverer {len(self._held)} under way, {self._lanes.failing} receivers failing>"

    def start(self) -> None:
        """Begin with what the last run left."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="webhook-delivery")

    def poke(self) -> None:
        """Something was enqueued: look at once."""
        self._woken.set()

    async def close(self, grace_s: float = 3.0) -> None:
        """Stop. Attempts under way have `grace_s` to finish; all else stays in the outbox for the next start."""
        if self._task is None:
            return
        self._stopping = True
        self._woken.set()
        await asyncio.wait([self._task], timeout=grace_s)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    # --- which ones

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as attempts:
            while not self._stopping:
                self._woken.clear()
                await self._backlog.look(self._now(), self._held)
                if not self._stopping:
                    await self._begin_some(attempts)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(self._poll_s, self._backlog.goes_on_in_s or self._poll_s)):
                        await self._woken.wait()

    async def _begin_some(self, attempts: asyncio.TaskGroup) -> None:
        begun = 0
        for due in itertools.islice(self._backlog.take(self._now()), _AT_A_TIME):
            self._held.add(due.outgoing.webhook_id)
            attempts.create_task(self._attempt(due))
            begun += 1
            await asyncio.sleep(_PACE_S)
        if begun == _AT_A_TIME:  # there may be more, and there may be news from somebody less served
            self._woken.set()

    # --- one of them

    async def _attempt(self, due: Due) -> None:
        with structlog.contextvars.bound_contextvars(call_id=due.outgoing.call_id):
            try:
                await self._deliver(due)
            except Exception as exc:  # the store refused; the others must go on
                log.exception("webhook_not_settled", webhook_id=due.outgoing.webhook_id, error=str(exc))
                # It is still due: without a pause it would be sent again and again.
                await asyncio.sleep(self._poll_s)
            finally:
                self._lanes.leave(lane(due), origin(due))
                self._held.discard(due.outgoing.webhook_id)
                self._backlog.settled(due)
                self._woken.set()

    async def _deliver(self, due: Due) -> None:
        began = time.monotonic()
        error = await self._send(due)
        if error is None:
            self._lanes.went_well(lane(due))
            await self._store.delivered(due.outgoing.webhook_id, utc_text(self._now()))
            self._tell(Attempt(due.outgoing.event, "delivered", "", time.monotonic() - began))
            return
        wait_s = self._wait_s(due, error)
        asked_for_s = wait_s if isinstance(error, ComeAgain) else 0.0
        self._lanes.failed(lane(due), self._now().timestamp(), asked_for_s)
        last = await self._put_off(due, str(error), wait_s, for_good=isinstance(error, TurnedDown))
        self._tell(Attempt(due.outgoing.event, "dead" if last else "failed", error.kind, time.monotonic() - began))

    async def _send(self, due: Due) -> WebhookError | None:
        carrier = self._carriers.get(due.outgoing.url.partition(":")[0])
        try:
            await (carrier.carry(due.outgoing) if carrier is not None else self._post(due.outgoing))
        except WebhookError as exc:
            return exc
        return None

    async def _post(self, one: Outgoing) -> None:
        headers = signing.headers(
            one.event,
            one.body,
            one.secret,
            webhook_id=one.webhook_id,
            unix_s=int(self._now().timestamp()),
            user_agent=self._user_agent,
        )
        await post(self._session, one.url, headers, one.body, deadline_s=self._patience.attempt_s, max_bytes=None)

    def _wait_s(self, due: Due, error: WebhookError) -> float:
        if isinstance(error, ComeAgain):
            return self._patience.asked_for_s(error.after_s)
        return self._patience.wait_s(due.attempts + 1)

    async def _put_off(self, due: Due, error: str, wait_s: float, *, for_good: bool) -> bool:
        """Postpone, or bury (True) if it has been tried for long enough or will never be taken."""
        one, now, attempts = due.outgoing, self._now(), due.attempts + 1
        last_chance = datetime.fromisoformat(due.created_at) + timedelta(seconds=self._patience.give_up_s)
        what = {"webhook_event": one.event, "url": public_url(one.url), "attempts": attempts, "error": error}
        if for_good or now >= last_chance:
            log.error("webhook_given_up", **what)
            await self._store.bury(one.webhook_id, utc_text(now), error)
            return True
        until = min(now + timedelta(seconds=wait_s), last_chance)
        log.warning("webhook_failed", next_try=utc_text(until), **what)
        await self._store.postpone(one.webhook_id, utc_text(until), error)
        return False

    def _tell(self, attempt: Attempt) -> None:
        try:
            self._observe(attempt)
        except Exception:  # an observer must never stop deliveries
            log.exception("delivery_observer_failed")
