"""Campaigns in a whole daemon whose PBX only says how each call ended; the real Asterisk is in test_campaign_scenes."""

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.calls.campaign_csv import CsvRules
from sovereign_pbx.calls.outbound import OutboundRequest
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.pbx.link import DialOrder, NotAnswered
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.campaign_rows import LeadRow
from sovereign_pbx.store.sqlite import SqliteStore
from tests.calls.house import House, assistant, house, play

SETTINGS: dict[str, Any] = {
    "assistants": {"reception": assistant(first_message="Good morning {{name}}.")},
    "dialling": {"allow": ["+316*"]},
}
CAMPAIGN: dict[str, Any] = {
    "name": "Reminders",
    "assistant_id": "reception",
    "system_message_template": "Remind {{name}}.",
    "schedule_start_time": "00:00:00",
    "schedule_end_time": "00:00:00",
    "timezone": "UTC",
    "calls_per_minute": 600,
}
NUMBERS = [f"+3161234560{number}" for number in range(3)]


@dataclass
class Line:
    """Takes the orders of a daemon in place of Asterisk, and tells at once that nobody answered."""

    daemon: Any
    orders: list[DialOrder] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)  # the state of each order's lead, on disk, when it was given

    def attach(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(self.daemon.pbx, "check_outbound", lambda: None)
        patch.setattr(self.daemon.pbx, "originate", self.originate)

    async def originate(self, order: DialOrder) -> None:
        assert order.call_id not in {one.call_id for one in self.orders}
        self.seen.append(await asyncio.to_thread(self._on_disk, order.call_id))
        self.orders.append(order)
        how = NotAnswered("busy", "The line was busy.", 17)
        asyncio.get_running_loop().call_later(0.05, self.daemon.desk.not_answered, order.call_id, how)

    def _on_disk(self, call_id: str) -> str:
        path = self.daemon.config.database
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            query = "SELECT leads.status FROM leads JOIN calls ON calls.id = leads.call_id WHERE calls.id = ?"
            found = connection.execute(query, (call_id,)).fetchone()
        return str(found[0]) if found else "nothing"


async def started(home: House) -> str:
    """A campaign that has begun."""
    campaigns = home.daemon.campaigns
    leads = [{"phone_number": number, "variables": {"name": "Jan"}} for number in NUMBERS]
    made = await campaigns.create(CAMPAIGN, leads)
    await campaigns.change(made.row.id, {"status": "scheduled"})
    return made.row.id


async def leads_when(home: House, campaign_id: str, status: str) -> list[LeadRow]:
    """Its leads, once the campaign has this status."""
    async with asyncio.timeout(20):
        while (await home.daemon.campaigns.get(campaign_id)).row.status != status:  # noqa: ASYNC110 - it is on disk
            await asyncio.sleep(0.02)
    return await home.daemon.campaigns.leads(campaign_id)


def test_each_lead_is_on_disk_before_it_is_dialled_and_settled_when_its_call_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with house(tmp_path, **SETTINGS) as home:
            line = Line(home.daemon)
            line.attach(monkeypatch)
            leads = await leads_when(home, await started(home), "completed")
            assert [order.destination for order in line.orders] == NUMBERS
            assert line.seen == ["calling"] * 3
            assert [(one.status, one.outcome, one.attempts) for one in leads] == [("failed", "busy", 1)] * 3
            assert [one.call_id for one in leads] == [order.call_id for order in line.orders]
            rows = {row.id: row for row in await home.rows()}
            first = rows[line.orders[0].call_id]
            assert (first.direction, first.assistant["first_message"]) == ("outbound", "Good morning Jan.")
            assert first.assistant["llm_config"]["messages"][-1]["content"] == "Remind Jan."
            assert first.assistant["metadata"] == {"campaign_id": leads[0].campaign_id, "lead_id": leads[0].id}
            (report, *_) = await home.reported(3)
            assert report["call"]["id"] in rows

    play(scene())


def test_nothing_is_dialled_before_the_database_has_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is what tells the next daemon that a lead may have been dialled."""

    async def not_yet(store: SqliteStore, call_id: str) -> CallRow | None:
        return None

    async def scene() -> None:
        async with house(tmp_path, **SETTINGS) as home:
            line = Line(home.daemon)
            line.attach(monkeypatch)
            monkeypatch.setattr(SqliteStore, "call", not_yet)
            campaign_id = await started(home)
            async with asyncio.timeout(10):
                while not await home.rows():  # noqa: ASYNC110 - it is on disk
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
            found = [(one.status, one.attempts) for one in await home.daemon.campaigns.leads(campaign_id)]
            assert (line.orders, found) == ([], [("pending", 0)] * 3)

    play(scene())


def test_nobody_is_dialled_who_is_on_a_do_not_call_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept, or in a file; and not by whoever else places calls either."""
    listed = tmp_path / "robinson.txt"
    listed.write_text(f"{NUMBERS[0]}\n")
    dialling = {**SETTINGS["dialling"], "do_not_call": [str(listed)]}

    async def scene() -> None:
        async with house(tmp_path, **{**SETTINGS, "dialling": dialling}) as home:
            line = Line(home.daemon)
            line.attach(monkeypatch)
            await home.daemon.store.do_not_call.add([NUMBERS[1]], "asked for it", "2026-11-20T09:00:00.000Z")
            leads = await leads_when(home, await started(home), "completed")
            assert [(one.status, one.outcome, one.attempts) for one in leads] == [
                ("skipped", "do_not_call", 0),
                ("skipped", "do_not_call", 0),
                ("failed", "busy", 1),
            ]
            assert "asked for it" in (leads[1].error or "")
            reception = home.daemon.estate.directory.assistant("reception")
            assert reception is not None
            written = f"00{NUMBERS[0][1:]}"
            request = OutboundRequest(destination=written, assistant=reception, number=None, trunk=None)
            with pytest.raises(Refused) as refused:
                await home.daemon.desk.place(request)
            assert refused.value.code == "do_not_call"
            assert [order.destination for order in line.orders] == NUMBERS[2:]
            report = await home.daemon.campaigns.import_csv(
                (await home.daemon.campaigns.create(CAMPAIGN, [])).row.id,
                "phone\n" + "\n".join(NUMBERS),
                CsvRules(),
            )
            assert (report.taken, report.unwanted_numbers) == (1, NUMBERS[:2])

    play(scene())


def test_without_a_pbx_a_campaign_waits_and_leads_keep_their_attempts(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **SETTINGS) as home:
            campaign_id = await started(home)
            await asyncio.sleep(0.5)
            leads = await leads_when(home, campaign_id, "scheduled")
            assert {(one.status, one.attempts) for one in leads} <= {("pending", 0), ("calling", 1)}
            await home.stop()
            await home.start()
            leads = await leads_when(home, campaign_id, "scheduled")
            assert [one.attempts for one in leads[1:]] == [0, 0]

    play(scene())


def test_a_daemon_that_is_told_to_stop_leaves_no_lead_calling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(order: DialOrder) -> None:
        """Rings until the daemon ends."""

    async def scene() -> None:
        async with house(tmp_path, **SETTINGS) as home:
            monkeypatch.setattr(home.daemon.pbx, "check_outbound", lambda: None)
            monkeypatch.setattr(home.daemon.pbx, "originate", never)
            campaign_id = await started(home)
            async with asyncio.timeout(10):
                while (await home.daemon.campaigns.get(campaign_id)).counts.calling == 0:  # noqa: ASYNC110 - on disk
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            await home.stop()
            store = await SqliteStore.open(home.daemon.config.database)
            leads = await store.campaigns.leads(campaign_id)
            await store.close()
            assert (leads[0].status, leads[0].outcome) == ("failed", "shutdown")
            assert [one.status for one in leads[1:]] == ["pending", "pending"]

    play(scene())
