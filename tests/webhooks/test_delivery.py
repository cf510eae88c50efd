"""The outbox empties itself: at least once, in order per call, whatever the receivers do."""

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.store import NONE_LEFT_OUT, START, Besides, CallRow, Outgoing, Place, Slice
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.webhooks.delivery import Attempt, Deliverer, Patience
from sovereign_pbx.webhooks.lanes import USUAL, Bounds
from sovereign_pbx.webhooks.post import open_session
from tests.webhooks.receiver import SECRET, Got, Receiver, answering, dead_url, fine, listening, never


class Clock:
    """Wall time that moves on only when told to (and starts now, as the store's own times do)."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC) + timedelta(seconds=1)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Bench:
    """A store, a deliverer on it, and a clock for both."""

    def __init__(self, store: SqliteStore, deliverer: Deliverer, clock: Clock, attempts: list[Attempt]) -> None:
        self.store = store
        self.deliverer = deliverer
        self.clock = clock
        self.attempts = attempts
        self.looks_begun = self.looks_ended = 0

    async def enqueue(self, call_id: str, url: str, *events: str) -> None:
        outgoing = [
            Outgoing(webhook_id=f"{call_id}-{n}", call_id=call_id, event=event, url=url, body=b"{}", secret=SECRET)
            for n, event in enumerate(events)
        ]
        await self.store.create_call(CallRow(id=call_id), outgoing)
        self.deliverer.poke()

    async def states(self, call_id: str) -> list[str]:
        return [row.state for row in await self.store.deliveries(call_id)]

    async def pass_time_until_tried(self, times: int, step_s: float) -> None:
        """Move the clock on in steps, letting the deliverer act on each, until so many attempts were made."""
        for _ in range(2000):
            if len(self.attempts) >= times:
                return
            await self.pass_time(step_s)
        raise AssertionError(f"only {len(self.attempts)} of {times} attempts were made")

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        begun = self.looks_begun
        self.deliverer.poke()
        await until(functools.partial(self._has_acted_since, begun))

    def _has_acted_since(self, begun: int) -> bool:
        """A look that began later has ended, and so have the attempts it led to."""
        return self.looks_ended > begun and not self.deliverer._held

    async def look(self, now: str, after: Place = START, *, limit: int = 64, besides: Besides = NONE_LEFT_OUT) -> Slice:
        """Stands before the store's `due` and counts."""
        self.looks_begun += 1
        found = await type(self.store).due(self.store, now, after, limit=limit, besides=besides)
        self.looks_ended += 1
        return found


async def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - what is watched belongs to the deliverer and has no event
            await asyncio.sleep(0.001)


@asynccontextmanager
async def bench(path: Path, bounds: Bounds = USUAL) -> AsyncIterator[Bench]:
    clock, attempts, patience = Clock(), list[Attempt](), Patience(attempt_s=5.0)
    store = await SqliteStore.open(path / "calls.db", synchronous="normal")
    async with open_session() as session:
        deliverer = Deliverer(
            store,
            session,
            patience=patience,
            bounds=bounds,
            poll_s=0.05,
            now=clock,
            observe=attempts.append,
        )
        made = Bench(store, deliverer, clock, attempts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "due", made.look)
            deliverer.start()
            try:
                yield made
            finally:
                await deliverer.close(grace_s=0.1)
                await store.close()


def test_a_webhook_is_delivered_signed_and_settled(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, "status-update")
            await until(lambda: len(b.attempts) == 1)
            assert receiver.refused == []
            assert [(got.event, got.webhook_id) for got in receiver.got] == [("status-update", "c1-0")]
            assert await b.states("c1") == ["delivered"]

    asyncio.run(run())


def test_a_poke_is_enough_to_wake(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, bench(tmp_path) as b:
            b.deliverer._poll_s = 60.0
            await asyncio.sleep(0.1)  # the short poll that was under way ends, the long one begins
            await b.enqueue("c1", receiver.url, "status-update")
            await until(lambda: len(receiver.got) == 1, deadline_s=2.0)

    asyncio.run(run())


def test_a_calls_webhooks_arrive_in_order_even_when_one_must_be_repeated(tmp_path: Path) -> None:
    async def run() -> None:
        failures = iter([False, True, True])

        async def flapping(got: Got) -> web.StreamResponse:
            return web.Response(status=500 if next(failures, False) else 200)

        events = ["in-progress", "ended", "report"]
        async with listening(Receiver(flapping)) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, *events)
            await b.pass_time_until_tried(5, step_s=5)
            assert [got.event for got in receiver.got] == ["in-progress", "ended", "ended", "ended", "report"]
            assert [attempt.outcome for attempt in b.attempts] == ["delivered", "failed", "failed"] + ["delivered"] * 2

    asyncio.run(run())


def test_a_repetition_keeps_its_id_and_is_signed_anew(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(Receiver(answering(b"", 503))) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, "status-update")
            await b.pass_time_until_tried(4, step_s=5)
            assert receiver.refused == []
            assert {got.webhook_id for got in receiver.got} == {"c1-0"}
            times = [got.timestamp for got in receiver.got]
            assert times == sorted(set(times))

    asyncio.run(run())


def test_after_a_day_of_failures_a_webhook_is_buried_and_the_next_one_goes(tmp_path: Path) -> None:
    async def run() -> None:
        async def one_is_unwelcome(got: Got) -> web.StreamResponse:
            return web.Response(status=500 if got.event == "unwelcome" else 200)

        async with listening(Receiver(one_is_unwelcome)) as receiver, bench(tmp_path) as b:
            started = b.clock()
            await b.enqueue("c1", receiver.url, "unwelcome", "report")
            while "pending" in await b.states("c1"):
                await b.pass_time(300)
            assert await b.states("c1") == ["dead", "delivered"]
            tried = [got.timestamp for got in receiver.got if got.event == "unwelcome"]
            # 5 s doubling to an hour, then hourly, each wait shortened by up to a half: between 34 and 60 in a day.
            assert 30 <= len(tried) <= 65
            assert 23.9 * 3600 <= tried[-1] - started.timestamp() <= 24.2 * 3600
            assert all(later - earlier <= 3600 + 2 * 300 for earlier, later in itertools.pairwise(tried))

    with structlog.testing.capture_logs() as lines:
        asyncio.run(run())
    assert [line["webhook_event"] for line in lines if line["event"] == "webhook_given_up"] == ["unwelcome"]
    assert not any(SECRET in str(line) for line in lines)


def test_a_dead_receiver_and_a_silent_one_do_not_delay_another(tmp_path: Path) -> None:
    async def run() -> None:
        silent, alive = Receiver(never), Receiver(fine)
        async with listening(silent), listening(alive), bench(tmp_path, Bounds(at_once=20)) as b:
            dead = dead_url()
            for n in range(150):
                await b.enqueue(f"dead{n}", dead, "status-update")
                await b.enqueue(f"silent{n}", silent.url, "status-update")
            for n in range(20):
                await b.enqueue(f"alive{n}", alive.url, "status-update")
            await until(lambda: len(alive.got) == 20, deadline_s=5.0)
            # the silent receiver was never asked more than its share at once
            assert len(silent.got) <= 4

    asyncio.run(run())


def test_a_failing_receiver_is_asked_one_at_a_time_until_it_recovers(tmp_path: Path) -> None:
    async def run() -> None:
        release = asyncio.Event()
        at_once: list[int] = []
        under_way = 0

        async def count(got: Got) -> web.StreamResponse:
            nonlocal under_way
            under_way += 1
            at_once.append(under_way)
            if len(at_once) > 1:
                await release.wait()
            under_way -= 1
            return web.Response(status=500 if len(at_once) == 1 else 200)

        async with listening(Receiver(count)) as receiver, bench(tmp_path) as b:
            await b.enqueue("c0", receiver.url, "status-update")
            await until(lambda: len(b.attempts) == 1)
            for n in range(1, 9):
                await b.enqueue(f"c{n}", receiver.url, "status-update")
            b.clock.advance(1)  # it is left alone for a moment after a failure
            await until(lambda: len(at_once) == 2)
            await asyncio.sleep(0.2)  # several polls, none of which may start a second attempt
            assert at_once == [1, 1]
            release.set()
            await until(lambda: len(at_once) >= 9)

    asyncio.run(run())


def test_a_delivered_webhook_is_not_sent_twice_under_load(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, bench(tmp_path, Bounds(per_lane=16)) as b:
            for n in range(100):
                await b.enqueue(f"c{n}", receiver.url, "in-progress", "ended", "report")
            await until(lambda: len(b.attempts) == 300)
            assert len({got.webhook_id for got in receiver.got}) == len(receiver.got) == 300

    asyncio.run(run())


def test_an_answer_of_the_store_that_is_out_of_date_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        release = asyncio.Event()

        async def when_released(got: Got) -> web.StreamResponse:
            await release.wait()
            return web.Response()

        async with listening(Receiver(when_released)) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, "status-update")
            await until(lambda: len(receiver.got) == 1)

            async def late(
                now: str, after: Place = START, *, limit: int = 64, besides: Besides = NONE_LEFT_OUT
            ) -> Slice:
                found = await b.look(now)
                if found.found:  # still due when it was read; delivered before the answer arrives
                    release.set()
                    await until(lambda: len(b.attempts) == 1 and not b.deliverer._held)
                return found

            monkeypatch.setattr(b.store, "due", late)
            await until(release.is_set)
            await b.pass_time(1)
            await b.pass_time(1)
            assert len(receiver.got) == 1

    asyncio.run(run())


def test_what_a_stopped_deliverer_left_is_delivered_by_the_next(tmp_path: Path) -> None:
    async def run() -> None:
        receiver = Receiver(never)
        async with listening(receiver):
            async with bench(tmp_path) as b:
                await b.enqueue("c1", receiver.url, "in-progress", "report")
                await until(lambda: len(receiver.got) == 1)
            receiver.answer = fine
            async with bench(tmp_path) as b:
                await until(lambda: len(b.attempts) == 2)
                assert await b.states("c1") == ["delivered", "delivered"]
            assert [got.event for got in receiver.got] == ["in-progress", "in-progress", "report"]

    asyncio.run(run())


def test_closing_lets_an_attempt_under_way_finish_in_its_grace(tmp_path: Path) -> None:
    async def run() -> None:
        async def slowly(got: Got) -> web.StreamResponse:
            await asyncio.sleep(0.2)
            return web.Response()

        async with listening(Receiver(slowly)) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, "in-progress", "report")
            await until(lambda: len(receiver.got) == 1)
            await b.deliverer.close(grace_s=5.0)
            assert await b.states("c1") == ["delivered", "pending"]
            assert asyncio.all_tasks() - {asyncio.current_task()} <= {
                task for task in asyncio.all_tasks() if "webhook" not in task.get_name()
            }

    asyncio.run(run())


def test_an_endless_answer_does_not_matter_once_the_status_is_2xx(tmp_path: Path) -> None:
    async def run() -> None:
        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            except ConnectionError:
                writer.close()

        server = await asyncio.start_server(endless, "127.0.0.1", 0)
        async with server, bench(tmp_path) as b:
            await b.enqueue("c1", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "status-update")
            await until(lambda: len(b.attempts) == 1)
            assert b.attempts[0].outcome == "delivered"

    asyncio.run(run())


def test_a_store_that_fails_for_a_while_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, bench(tmp_path) as b:
            real, failures = b.store.delivered, iter([True])

            async def unwell(webhook_id: str, at: str) -> None:
                if next(failures, False):
                    raise StoreError("no")
                await real(webhook_id, at)

            monkeypatch.setattr(b.store, "delivered", unwell)
            await b.enqueue("c1", receiver.url, "status-update")
            await until(lambda: len(b.attempts) == 1)
            # at least once: what could not be settled is sent again, after a pause
            assert len(receiver.got) == 2

    with structlog.testing.capture_logs() as lines:
        asyncio.run(run())
    assert [line["event"] for line in lines] == ["webhook_not_settled"]


def test_a_store_that_keeps_failing_does_not_make_a_receiver_hear_the_same_without_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, bench(tmp_path) as b:

            async def unwell(webhook_id: str, at: str) -> None:
                raise StoreError("no")

            monkeypatch.setattr(b.store, "delivered", unwell)
            await b.enqueue("c1", receiver.url, "status-update")
            await asyncio.sleep(0.5)
            assert 1 <= len(receiver.got) <= 12  # the pause is 0.05 s here

    with structlog.testing.capture_logs():
        asyncio.run(run())


def test_an_outbox_that_cannot_be_read_is_asked_again_after_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, bench(tmp_path) as b:
            asked = 0

            async def unreadable() -> int:
                nonlocal asked
                asked += 1
                if asked <= 2:
                    raise StoreError("no")
                return await type(b.store).outbox_end(b.store)

            monkeypatch.setattr(b.store, "outbox_end", unreadable)
            b.deliverer._poll_s = 0.3
            await b.enqueue("c1", receiver.url, "status-update")
            await asyncio.sleep(0.1)
            assert asked <= 2, "it did not pause"
            await until(lambda: len(receiver.got) == 1)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(run())
    assert [line["event"] for line in lines] == ["outbox_unreadable"] * 2


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_counts_as_delivered(tmp_path: Path, status: int) -> None:
    async def run() -> None:
        async with listening(Receiver(answering(b"", status))) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, "status-update")
            await until(lambda: len(b.attempts) == 1)
            assert await b.states("c1") == ["delivered"]

    asyncio.run(run())


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked_for", "least", "most"), [("120", 120, 132), ("0", 2.5, 2.75), ("86400", 3600, 3600), ("soon", 2.5, 5)]
)
def test_a_receiver_that_says_when_to_come_again_is_obeyed_within_bounds(
    tmp_path: Path, status: int, asked_for: str, least: float, most: float
) -> None:
    async def run() -> None:
        answer = answering(b"", status, **{"Retry-After": asked_for})
        async with listening(Receiver(answer)) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, "status-update")
            await until(lambda: len(b.attempts) == 1)
            (one,) = await b.store.deliveries("c1")
            waits = (datetime.fromisoformat(one.due_at) - b.clock()).total_seconds()
            assert least - 0.01 <= waits <= most + 0.01

    asyncio.run(run())


def test_a_500_with_retry_after_is_a_failure_as_any(tmp_path: Path) -> None:
    async def run() -> None:
        answer = answering(b"", 500, **{"Retry-After": "1000"})
        async with listening(Receiver(answer)) as receiver, bench(tmp_path) as b:
            await b.enqueue("c1", receiver.url, "status-update")
            await until(lambda: len(b.attempts) == 1)
            (one,) = await b.store.deliveries("c1")
            assert (datetime.fromisoformat(one.due_at) - b.clock()).total_seconds() <= 5

    asyncio.run(run())


def test_a_slow_path_does_not_delay_another_path_of_the_same_server(tmp_path: Path) -> None:
    async def run() -> None:
        async def by_path(got: Got) -> web.StreamResponse:
            return await never(got) if got.event == "slow" else await fine(got)

        async with listening(Receiver(by_path)) as receiver, bench(tmp_path) as b:
            for n in range(200):
                await b.enqueue(f"slow{n}", f"{receiver.url}/slow?n={n}", "slow")
            for n in range(20):
                await b.enqueue(f"good{n}", f"{receiver.url}/good", "good")
            await until(lambda: sum(got.event == "good" for got in receiver.got) == 20, deadline_s=5.0)
            assert sum(got.event == "slow" for got in receiver.got) <= 4

    asyncio.run(run())


def test_an_observer_that_fails_stops_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, bench(tmp_path) as b:

            def fail(attempt: Attempt) -> None:
                raise RuntimeError("observer")

            b.deliverer._observe = fail
            await b.enqueue("c1", receiver.url, "in-progress", "report")
            await until(lambda: len(receiver.got) == 2)

    with structlog.testing.capture_logs():
        asyncio.run(run())


@given(st.integers(1, 10_000))
def test_waits_grow_to_an_hour_and_never_beyond(attempts: int) -> None:
    patience = Patience()
    assert 2.5 <= patience.wait_s(attempts) <= 3600
    assert patience.wait_s(attempts) <= 5 * 2 ** (attempts - 1)


@given(st.floats(0, 1e9))
def test_who_asks_for_time_gets_it_up_to_an_hour_and_is_never_hammered(asked_for: float) -> None:
    wait = Patience().asked_for_s(asked_for)
    assert 2.5 <= wait <= 3600
    assert wait >= min(asked_for, 3600)
