"""Whole days of deliveries in virtual time, to receivers of every kind at once: order, repetition, fairness."""

import asyncio
import dataclasses
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import aiohttp
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core.errors import WebhookError
from sovereign_pbx.store import NONE_LEFT_OUT, START, Besides, Due, Outgoing, Place, Slice
from sovereign_pbx.store.rows import lane_of, origin_of
from sovereign_pbx.testing import virtual_time
from sovereign_pbx.webhooks import delivery
from sovereign_pbx.webhooks.delivery import Deliverer, Patience
from sovereign_pbx.webhooks.envelope import utc_text
from sovereign_pbx.webhooks.lanes import USUAL
from sovereign_pbx.webhooks.post import ComeAgain

Kind = Literal["good", "slow", "dead", "silent", "flapping", "busy"]
BAD: tuple[Kind, ...] = ("slow", "dead", "silent", "flapping", "busy")
BEGAN = datetime(2026, 11, 20, tzinfo=UTC)
PATIENCE = Patience(attempt_s=10.0, give_up_s=7200.0)
BUSY_S = 90.0


def now() -> datetime:
    return BEGAN + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass
class Row:
    """One webhook of the outbox."""

    outgoing: Outgoing
    created_at: str
    state: str = "pending"
    attempts: int = 0
    due_at: str = ""


class Outbox:
    """The store's promises about webhooks, in the plainest way; every other method is missing.

    It takes its time: what it answers may be out of date when it arrives.
    """

    def __init__(self, dice: random.Random) -> None:
        self.rows: dict[str, Row] = {}
        self._dice = dice

    async def _take_time(self) -> None:
        await asyncio.sleep(self._dice.choice([0.0, 0.0, 0.001, 0.02]))

    def add(self, outgoing: Outgoing) -> None:
        self.rows[outgoing.webhook_id] = Row(outgoing, utc_text(now()))

    async def due(self, now: str, after: Place = START, *, limit: int = 64, besides: Besides = NONE_LEFT_OUT) -> Slice:
        """Slices of seven calls' webhooks."""
        rows = self._first_of_calls(now)
        part = rows[after.seq : after.seq + 7]
        found = [
            Due(outgoing=row.outgoing, attempts=row.attempts, created_at=row.created_at)
            for row in part
            if row.outgoing.webhook_id not in besides.webhook_ids
            and lane_of(row.outgoing.url) not in besides.lanes
            and origin_of(row.outgoing.url) not in besides.origins
        ]
        await self._take_time()
        return Slice(found=found[:limit], after=Place("", after.seq + 7) if len(part) == 7 else None)

    async def outbox_end(self) -> int:
        end = len(self.rows)
        await self._take_time()
        return end

    async def due_since(self, now: str, since: int, calls: Collection[str], limit: int = 64) -> list[Due]:
        new = set(list(self.rows)[since:])
        found = [
            row for row in self._first_of_calls(now) if row.outgoing.webhook_id in new or row.outgoing.call_id in calls
        ]
        answer = [Due(outgoing=row.outgoing, attempts=row.attempts, created_at=row.created_at) for row in found]
        await self._take_time()
        return answer[:limit]

    def _first_of_calls(self, now: str) -> list[Row]:
        first: dict[str, Row] = {}
        for row in self.rows.values():
            if row.state == "pending":
                first.setdefault(row.outgoing.call_id, row)
        return [row for row in first.values() if row.due_at <= now]

    async def delivered(self, webhook_id: str, at: str) -> None:
        await self._take_time()
        self._pending(webhook_id).state = "delivered"

    async def postpone(self, webhook_id: str, until: str, error: str) -> None:
        await self._take_time()
        row = self._pending(webhook_id)
        row.due_at, row.attempts = until, row.attempts + 1

    async def bury(self, webhook_id: str, at: str, error: str) -> None:
        await self._take_time()
        self._pending(webhook_id).state = "dead"

    def _pending(self, webhook_id: str) -> Row:
        assert self.rows[webhook_id].state == "pending"
        return self.rows[webhook_id]


@dataclass
class Try:
    """One attempt, as the receivers saw it. Times are the loop's."""

    webhook_id: str
    url: str
    began: float
    ended: float = 0.0
    accepted: bool = False


@dataclass
class World:
    """The receivers, by the kind in their path."""

    dice: random.Random
    tries: list[Try] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)
    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    written: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.dice)

    async def post(
        self,
        session: Any,
        url: str,
        headers: dict[str, str],
        body: bytes,
        *,
        deadline_s: float,
        max_bytes: int | None,
    ) -> bytes:
        """Stands in for the real one."""
        one = Try(headers["X-Webhook-Id"], url, asyncio.get_running_loop().time())
        assert body == self.outbox.rows[one.webhook_id].outgoing.body
        self.tries.append(one)
        for place in (url.partition("?")[0], origin_of(url)):
            self.busy[place] += 1
            self.most[place] = max(self.most[place], self.busy[place])
        try:
            await self._answer(url, deadline_s)
            one.accepted = True
            return b""
        finally:
            one.ended = asyncio.get_running_loop().time()
            for place in (url.partition("?")[0], origin_of(url)):
                self.busy[place] -= 1

    async def _answer(self, url: str, deadline_s: float) -> None:
        kind = url.rpartition("-")[2].partition("?")[0]
        if kind == "dead":
            raise WebhookError(url, "refused")
        if kind == "silent":
            await asyncio.sleep(deadline_s)
            raise WebhookError(url, "timeout")
        await asyncio.sleep(9.5 if kind == "slow" else 0.01)
        if kind == "flapping" and self.dice.random() < 0.5:
            raise WebhookError(url, "status")
        if kind == "busy" and self.dice.random() < 0.7:
            raise ComeAgain(url, "status", "", BUSY_S)

    async def write(self, call_id: str, url: str, number: int, deliverer: Deliverer) -> None:
        for n in range(number):
            webhook_id = f"{call_id}-{n}"
            self.outbox.add(
                Outgoing(webhook_id=webhook_id, call_id=call_id, event=f"e{n}", url=url, body=webhook_id.encode())
            )
            self.written[webhook_id] = asyncio.get_running_loop().time()
            deliverer.poke()
            await asyncio.sleep(self.dice.choice([0.0, 0.0, 1.0]))


@dataclass(frozen=True)
class Call:
    """Its webhooks go to a path of a server, and begin at some moment."""

    server: int
    path: int
    kind: Kind
    webhooks: int
    at: float

    @property
    def url(self) -> str:
        return f"http://server{self.server}/{self.path}-{self.kind}?key={self.webhooks}"


calls = st.builds(
    Call,
    server=st.integers(0, 2),
    path=st.integers(0, 3),
    kind=st.sampled_from(("good", *BAD)),
    webhooks=st.integers(1, 3),
    at=st.sampled_from([0.0, 0.0, 0.5, 20.0, 400.0]),
)


def play(placed: list[Call], seed: int, until: Literal["settled", "good"] = "settled") -> World:
    world = World(random.Random(seed))

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            # mypy: as much of a store as a deliverer uses
            deliverer = Deliverer(world.outbox, session, patience=PATIENCE, now=now)  # type: ignore[arg-type]
            deliverer.start()
            async with asyncio.TaskGroup() as group:
                for number, call in enumerate(placed):
                    group.create_task(place(call, f"c{number}", deliverer))
            while any(row.state == "pending" for row in waiting()):  # noqa: ASYNC110 - virtual time costs nothing
                await asyncio.sleep(5.0)
            await deliverer.close()

    def waiting() -> list[Row]:
        rows = list(world.outbox.rows.values())
        return rows if until == "settled" else [row for row in rows if "good" in row.outgoing.url]

    async def place(call: Call, call_id: str, deliverer: Deliverer) -> None:
        await asyncio.sleep(call.at)
        await world.write(call_id, call.url, call.webhooks, deliverer)

    with pytest.MonkeyPatch.context() as patch, structlog.testing.capture_logs():
        patch.setattr(delivery, "post", world.post)
        virtual_time.run(run())
    return world


@settings(max_examples=40, deadline=None)
@given(st.lists(calls, max_size=40), st.integers(0, 1000))
def test_everything_is_delivered_in_order_or_given_up_in_time(placed: list[Call], seed: int) -> None:
    world = play(placed, seed)
    tried: dict[str, list[Try]] = defaultdict(list)
    for one in world.tries:
        tried[one.webhook_id].append(one)
    for webhook_id, row in world.outbox.rows.items():
        attempts = tried[webhook_id]
        assert (row.state == "delivered") is attempts[-1].accepted
        assert not any(one.accepted for one in attempts[:-1]), "told again though it was taken"
        if "dead" in row.outgoing.url or "silent" in row.outgoing.url:
            assert row.state == "dead"
            assert attempts[-1].ended - world.written[webhook_id] >= PATIENCE.give_up_s
        elif "good" in row.outgoing.url or "slow" in row.outgoing.url:
            assert row.state == "delivered" and len(attempts) == 1
        for earlier, later in itertools.pairwise(attempts):
            least = BUSY_S if "busy" in row.outgoing.url else PATIENCE.first_s / 2
            assert later.began - earlier.ended >= least - 0.01
    for number, call in enumerate(placed):
        ends = [tried[f"c{number}-{n}"] for n in range(call.webhooks)]
        for before, after in itertools.pairwise(ends):
            assert before[-1].ended <= after[0].began, "a later webhook overtook"
    for place, most in world.most.items():
        assert most <= (USUAL.per_lane if place.count("/") > 2 else USUAL.per_origin)


@settings(max_examples=25, deadline=None)
@given(st.lists(calls, min_size=1, max_size=200), st.integers(0, 1000))
def test_nobody_else_makes_a_good_receiver_wait(placed: list[Call], seed: int) -> None:
    """Whatever else its server has to answer, and whatever waits for others."""
    good = [dataclasses.replace(call, kind="good") for call in placed[:3]]
    world = play([*placed, *good], seed, until="good")
    for one in world.tries:
        if "good" in one.url:
            latency = one.ended - world.written[one.webhook_id]
            # its own path's queue counts: a hundredth of a second each, four at once
            assert latency < 1.0, (one, latency)


def test_a_path_that_asked_for_time_is_left_alone_by_all_its_webhooks() -> None:
    world = play([Call(0, 0, "busy", 1, 0.0)] * 20, seed=5)
    refused = [one for one in world.tries if not one.accepted]
    first = min(one.ended for one in refused)
    under_way = [one for one in world.tries if one.began < first]
    assert len(under_way) <= USUAL.per_lane
    assert not [one for one in world.tries if first < one.began < first + BUSY_S - 0.1]
