"""PBX, desk and books against each other: what is lost is ended once, and what only looks so is left alone."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.calls import audit
from sovereign_pbx.calls.audit import NO_CHANNEL, NO_END, Audit
from sovereign_pbx.config import Config
from sovereign_pbx.config_parts import instance_of
from sovereign_pbx.config_sections import Daemon
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.store import CallRow
from tests.asterisk_of import asterisk_of
from tests.calls.house import House, house, play
from tests.waiting import until

AT = "2026-11-20T07:32:00.000Z"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "CONFIRM_S", 0.02)


@dataclass
class World:
    """A desk, a PBX and books that are whatever a test says. `after`: done between the two looks."""

    under_way: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()
    pending: int = 0
    fails: bool = False
    after: Callable[["World"], None] = lambda world: None
    ended: list[tuple[str, str]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    looks: int = 0

    def lost(self, call_id: str, why: str) -> None:
        self.ended.append((call_id, why))

    def call_ids(self) -> frozenset[str]:
        self.looks += 1
        return self.lines

    async def audit(self) -> dict[str, Any]:
        lines = [{"call_id": one, "channel": f"PJSIP/{one}", "phase": "talking"} for one in self.lines]
        return {"lines": lines, "asked": True, "why": "", "differences": [], "mended": 3}

    async def unfinished(self) -> list[CallRow]:
        if self.fails:
            raise SovereignError("the disk does not answer")
        return [CallRow(id=one, created_at=AT) for one in self.rows]

    async def health(self) -> "World":
        if self.looks == 1:
            self.after(self)
        return self

    async def close(self, ids: Collection[str]) -> int:
        self.closed += ids
        return len(ids)


def examined(world: World) -> Audit:
    made = Audit(world, world, world, world.close)
    asyncio.run(made.mend())
    return made


A = frozenset({"a"})


def test_a_call_that_the_pbx_has_not_got_is_ended_and_says_why() -> None:
    world = World(under_way=A, present=A)
    assert examined(world).mended == 1
    assert world.ended == [("a", NO_CHANNEL)]


def test_a_row_that_is_open_without_a_call_is_closed() -> None:
    world = World(rows=A)
    assert examined(world).mended == 1
    assert (world.ended, world.closed) == ([], ["a"])


@pytest.mark.parametrize(
    "world",
    [
        World(under_way=A, present=A, lines=A, rows=A),
        World(present=A, rows=A),
        World(rows=A, pending=1),
        World(rows=A, fails=True),
    ],
    ids=["all agree", "being summed up", "its end waits to be written", "the books can't be read"],
)
def test_what_is_no_difference_is_left_alone(world: World) -> None:
    assert examined(world).mended == 0
    assert (world.ended, world.closed) == ([], [])


def come(world: World) -> None:
    world.lines = world.present = A


def finish(world: World) -> None:
    world.under_way = world.rows = frozenset()


@pytest.mark.parametrize("after", [come, finish])
def test_what_differs_once_only_is_left_alone(after: Callable[[World], None]) -> None:
    world = World(under_way=A, rows=A, after=after)
    examined(world)
    assert (world.looks, world.ended, world.closed) == (2, [], [])


def test_the_report_tells_every_call_and_changes_nothing() -> None:
    world = World(under_way=frozenset("ab"), present=frozenset("abc"), lines=frozenset("a"), rows=frozenset("d"))
    found = asyncio.run(Audit(world, world, world, world.close).report())
    assert {(one["call_id"], one["channel"], one["under_way"]) for one in found["calls"]} == {
        ("a", "PJSIP/a", True), ("b", "", True), ("c", "", False)
    }  # fmt: skip
    assert [(one["kind"], one["call_id"], one["why"]) for one in found["differences"]] == [
        ("call", "b", NO_CHANNEL), ("row", "d", NO_END)
    ]  # fmt: skip
    assert (found["asked"], found["mended"]) == (True, 3)
    assert (world.ended, world.closed) == ([], [])


# --- the whole daemon


def with_audits(folder: Path, scene: Callable[[House], Awaitable[None]]) -> None:
    """A daemon that looks every fifth of a second."""

    async def played() -> None:
        async with house(folder) as place:
            await place.stop()
            place.settings["asterisk"]["audit_seconds"] = 0.2
            await place.start()
            await scene(place)

    play(played())


def test_a_call_of_which_the_pbx_never_told_the_end_is_ended_and_reported(tmp_path: Path) -> None:
    async def scene(place: House) -> None:
        async with place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.sounds())
            (line,) = asterisk_of(place.daemon)._lines
            asterisk_of(place.daemon)._lines._on_gone = lambda call_id, cause: None  # what it would tell is lost
            asterisk_of(place.daemon)._lines.close(line, None)
            (report,) = await place.reported()
            assert (report["end_reason"], report["error"]) == ("error", NO_CHANNEL)
            assert len(await place.reported()) == 1
        (row,) = await place.rows()
        assert (row.status, row.end_reason, row.error) == ("failed", "error", NO_CHANNEL)

    with_audits(tmp_path, scene)


def test_a_row_that_nobody_will_ever_close_is_closed_and_reported_once(tmp_path: Path) -> None:
    async def scene(place: House) -> None:
        row = CallRow(id="left", status="in-progress", created_at=AT, started_at=AT, updated_at=AT)
        async with place.caller() as caller:  # whose call goes on beside it, unharmed
            await caller.place()
            await place.daemon.desk._services.store.create_call(row)
            (report,) = await place.reported()
            assert (report["call"]["id"], report["error"]) == ("left", NO_END)
            await caller.hang_up()
        assert [one["end_reason"] for one in await place.reported(2)] == ["error", "user_hangup"]
        rows = {row.id: row for row in await place.rows()}
        assert (rows["left"].status, rows["left"].error, rows["left"].ended_at) == ("failed", NO_END, AT)

    with_audits(tmp_path, scene)


def test_calls_that_come_and_go_are_never_mended(tmp_path: Path) -> None:
    async def scene(place: House) -> None:
        async def one(number: int) -> None:
            async with place.caller(caller=f"+3161234567{number}") as caller:
                await asyncio.sleep(number * 0.07)
                await caller.place()
                await asyncio.sleep(0.3)
                await caller.hang_up()

        await asyncio.gather(*(one(number) for number in range(8)))
        reports = await place.reported(8)
        assert {report["end_reason"] for report in reports} == {"user_hangup"}
        assert place.daemon.audit.mended == 0

    with_audits(tmp_path, scene)


def test_an_installation_knows_its_own_channels_again_after_a_restart_and_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def instance(state_dir: str = "/var/lib/a", host: str = "one") -> str:
        monkeypatch.setattr("socket.gethostname", lambda: host)
        return instance_of(replace(Config(), daemon=Daemon(state_dir=state_dir)))

    assert instance() == instance()
    assert len({instance(), instance("/var/lib/b"), instance(host="two")}) == 3
