"""What outlives a daemon, for tests of campaigns: the database, and the telephones that rang. In virtual time.

The tables are the real ones, on a connection of this thread. `Pbx` refuses what would be wrong of a runner to ask, and
a `Killed` at any of the points that the world counts ends a daemon as `kill -9` does: nothing it would do after that
has any effect.
"""

import asyncio
import sqlite3
import weakref
from asyncio import events
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sovereign_pbx.assistants.dialling import DialRules
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.campaign_calls import CampaignCall
from sovereign_pbx.calls.campaign_floor import Floor
from sovereign_pbx.calls.campaign_hours import Hours
from sovereign_pbx.calls.campaign_left import LeftLines
from sovereign_pbx.calls.campaign_pace import TotalPace
from sovereign_pbx.calls.campaign_runner import CampaignRunner
from sovereign_pbx.calls.campaigns import Campaigns, utc_text
from sovereign_pbx.calls.number_zones import no_zones
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.store import CallRow, rows, schema, writer
from sovereign_pbx.store import reading as call_reading
from sovereign_pbx.store.campaign_rows import LEAD_COLUMNS, LeadRow, lead_from
from sovereign_pbx.store.campaigns import CampaignTables
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.writer import Statement
from sovereign_pbx.testing import virtual_time

RING_S = 30.0
MORNING = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # a Friday

ASSISTANT = Assistant.parse(
    {
        "id": "caller",
        "name": "Caller",
        "first_message": "Good morning {{name}}.",
        "llm_config": {"provider": "openai", "messages": [{"role": "system", "content": "You call for the bakery."}]},
    },
    where="the test",
)


class Killed(BaseException):
    """`kill -9`."""


class Wrong(BaseException):
    """The runner did what it must never do; no `except Exception` shall hide it."""


@dataclass
class End:
    """How somebody takes a call."""

    reason: str = "user_hangup"
    answered: bool = True
    seconds: float = 20.0
    found: Mapping[str, Any] = field(default_factory=lambda: {"who": "person"})


@dataclass
class Dialled:
    """A telephone that rang."""

    number: str
    call: CampaignCall
    at: float
    over: asyncio.Event
    end: End


@contextmanager
def unwatched() -> Iterator[None]:
    """A database in memory keeps nobody waiting: the guard against blocking the loop need not look at it."""
    loop = events._get_running_loop()
    events._set_running_loop(None)
    try:
        yield
    finally:
        events._set_running_loop(loop)


@dataclass
class World:
    """`ends` says how the nth call to a number goes; `refusals` are raised by the next calls of a number, in order."""

    ends: Callable[[str, int], End] = lambda number, attempt: End()
    refusals: dict[str, list[Refused]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    kill_at: set[int] = field(default_factory=set)
    connection: sqlite3.Connection = field(init=False)
    dialled: list[Dialled] = field(default_factory=list)
    points: int = 0
    most_at_once: int = 0
    place_s: float = 0.1
    left_lines: int = 0
    zones_of: Callable[[str], str] = no_zones
    began_at: datetime = MORNING
    dead: bool = False
    _loop_began: float = virtual_time.START_S

    def __post_init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self.connection.close)
        self.connection.execute("PRAGMA foreign_keys = ON")
        schema._migrate(self.connection)
        self.directory = Directory({"caller": ASSISTANT}, [Number(number="+31850835037", id="ours")])

    # --- time

    def clock(self) -> float:
        """Seconds, on through restarts."""
        return asyncio.get_running_loop().time() - self._loop_began

    def now(self) -> datetime:
        return self.began_at + timedelta(seconds=self.clock())

    # --- the store

    def point(self) -> None:
        """One of the moments at which a daemon may end."""
        if self.dead:
            raise Killed
        self.points += 1
        if self.points in self.kill_at:
            self.dead = True
            raise Killed

    async def write(self, name: str, *statements: Statement) -> None:
        self.point()
        with unwatched():
            self.connection.execute("BEGIN")
            try:
                failure = writer._perform(self.connection, statements)
            except sqlite3.Error as exc:
                failure = str(exc)
            self.connection.execute("ROLLBACK" if failure else "COMMIT")
        await asyncio.sleep(0.001)
        self.point()
        if failure:
            raise StoreError(f"{name}: {failure}")

    async def read(self, query: Callable[..., Any], *args: Any) -> Any:
        if self.dead:
            raise Killed
        with unwatched():
            found = query(self.connection, *args)
        await asyncio.sleep(0.001)
        return found

    async def call_row(self, call_id: str) -> CallRow | None:
        row: CallRow | None = await self.read(call_reading.call, call_id)
        return row

    async def events(self, call_id: str) -> list[tuple[str, str, Mapping[str, Any]]]:
        return [("", "answered_by", dict(one.end.found)) for one in self.dialled if one.call.call_id == call_id]

    def put_row(self, row: CallRow) -> None:
        values = rows.call_values({name: getattr(row, name) for name in rows.CALL_COLUMNS})
        marks = ", ".join("?" * len(values))
        insert = f"INSERT OR REPLACE INTO calls ({', '.join(values)}) VALUES ({marks})"
        with unwatched():
            self.connection.execute(insert, tuple(values.values()))

    # --- the PBX (`Dialler`)

    async def place(self, call: CampaignCall) -> None:
        self.point()
        await asyncio.sleep(self.place_s)
        if call.destination in self.denied:
            raise Refused("destination_not_allowed", "no")
        if self.refusals.get(call.destination):
            raise self.refusals[call.destination].pop(0)
        with unwatched():
            self._check(call)
        at = utc_text(self.now())
        row = CallRow(id=call.call_id, direction="outbound", created_at=at, updated_at=at)
        self.put_row(row)
        self.point()
        attempt = 1 + sum(one.number == call.destination for one in self.dialled)
        end = self.ends(call.destination, attempt)
        one = Dialled(call.destination, call, self.clock(), asyncio.Event(), end)
        self.dialled.append(one)
        self.most_at_once = max(self.most_at_once, sum(not each.over.is_set() for each in self.dialled))
        asyncio.get_running_loop().call_later(end.seconds, self._end, one, row, end)
        self.point()

    def _check(self, call: CampaignCall) -> None:
        """What is on disk before anything is dialled."""
        lead = self.lead(call.lead_id)
        if (lead.status, lead.call_id, lead.phone_number) != ("calling", call.call_id, call.destination):
            raise Wrong(f"dialled before it was written: {lead}")
        if call.call_id in {one.call.call_id for one in self.dialled}:
            raise Wrong(f"dialled twice: {lead}")
        found = self.connection.execute("SELECT status FROM campaigns WHERE id = ?", (call.campaign_id,)).fetchone()
        if found != ("scheduled",):
            raise Wrong(f"dialled for a campaign that is {found[0]}")

    def _end(self, one: Dialled, row: CallRow, end: End) -> None:
        if self.dead:
            return
        at = utc_text(self.now())
        row.end_reason, row.ended_at, row.status, row.updated_at = end.reason, at, "ended", at
        row.started_at = at if end.answered else None
        row.assistant = one.call.assistant.to_public()
        self.put_row(row)
        one.over.set()

    async def over(self, call_id: str) -> None:
        found = next((one for one in self.dialled if one.call.call_id == call_id), None)
        if found is not None:
            await found.over.wait()

    async def left_over(self) -> int:
        """Lines that the dialplan has after a crash."""
        return self.left_lines

    # --- daemons

    def campaigns(self) -> Campaigns:
        return Campaigns(
            CampaignTables(self.write, self.read), self.directory, DialRules(allow=("+31*",)), self.zones_of
        )

    def runner(self, campaigns: Campaigns, *, at_once: int = 10, per_minute: int = 600) -> CampaignRunner:
        total = TotalPace(at_once, per_minute, self.clock)
        return CampaignRunner(
            Floor(
                tables=CampaignTables(self.write, self.read),
                campaigns=campaigns,
                directory=self.directory,
                dialler=self,
                call_row=self.call_row,
                events=self.events,
                hours=Hours(campaigns.zones),
                left=LeftLines(self.left_over, total),
                total=total,
                ring_s=RING_S,
                now=self.now,
                clock=self.clock,
            )
        )

    def recover(self) -> None:
        """As the next daemon begins: the calls of the last one are ended in the books (calls/recovery.py)."""
        self.dead = False
        self.connection.execute(
            "UPDATE calls SET ended_at = updated_at, end_reason = 'error', status = 'failed' WHERE ended_at IS NULL"
        )
        for one in self.dialled:
            still_s = one.at + min(one.end.seconds, RING_S) - self.clock()
            if one.end.answered or still_s <= 0:
                one.over.set()
            elif not one.over.is_set():  # the PBX rings on, whoever has ordered it
                asyncio.get_running_loop().call_later(still_s, one.over.set)

    # --- what can be seen

    def lead(self, lead_id: str) -> LeadRow:
        return next(one for one in self.leads() if one.id == lead_id)

    def leads(self) -> list[LeadRow]:
        """Of all campaigns, oldest first."""
        rows = self.connection.execute(f"SELECT {', '.join(LEAD_COLUMNS)} FROM leads ORDER BY seq")
        return [lead_from(row) for row in rows]

    def states(self) -> list[tuple[str, str | None, int]]:
        """(status, outcome, attempts) of each lead, oldest first."""
        return [(one.status, one.outcome, one.attempts) for one in self.leads()]

    def status(self) -> str:
        """Of the only campaign."""
        return str(self.connection.execute("SELECT status FROM campaigns").fetchone()[0])


def fields(**changes: Any) -> dict[str, Any]:
    """A campaign that may call from nine to five in Amsterdam."""
    usual = {
        "name": "Reminders",
        "assistant_id": "caller",
        "schedule_start_time": "09:00:00",
        "schedule_end_time": "17:00:00",
        "timezone": "Europe/Amsterdam",
    }
    return {**usual, **changes}


def leads(count: int) -> list[dict[str, Any]]:
    return [
        {"phone_number": f"+3120000{number:04}", "variables": {"name": f"Lead {number}"}} for number in range(count)
    ]


class running:
    """`async with running(world) as campaigns:` a runner goes on meanwhile."""

    def __init__(self, world: World, **pace: int) -> None:
        self.campaigns = world.campaigns()
        self._runner = world.runner(self.campaigns, **pace)
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Campaigns:
        self._task = asyncio.create_task(self._runner.run())
        return self.campaigns

    async def __aexit__(self, *args: object) -> None:
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            pass


async def reached(condition: Callable[[], object], within_s: float = 7200.0, step_s: float = 0.25) -> None:
    """Wait, in virtual time, until `condition()`."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(step_s)
