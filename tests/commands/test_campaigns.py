"""`campaigns` shows what campaigns do, beside a daemon or without one."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.store.campaign_rows import CampaignRow, LeadRow
from sovereign_pbx.store.sqlite import SqliteStore

AT = "2026-11-20T09:00:00.000Z"


def campaign(campaign_id: str, name: str, **changes: Any) -> CampaignRow:
    usual: dict[str, Any] = {
        "assistant_id": "caller",
        "status": "scheduled",
        "schedule_start_time": "00:00:00",
        "schedule_end_time": "00:00:00",
        "timezone": "Europe/Amsterdam",
        "created_at": AT,
        "updated_at": AT,
    }
    return CampaignRow(id=campaign_id, name=name, **{**usual, **changes})


def lead(number: int) -> LeadRow:
    return LeadRow(id=f"lead-{number}", campaign_id="aa-1", phone_number=f"+3161234567{number}", created_at=AT)


async def fill(path: Path) -> None:
    store = await SqliteStore.open(path)
    tables = store.campaigns
    await tables.create(campaign("aa-1", "Reminders"), [lead(number) for number in range(4)])
    await tables.create(campaign("aa-2", "Evil \x1b[2J", status="paused", status_reason="trunk 'x' is not active"))
    for number, call, status, outcome in ((0, "call-0", "completed", "user_hangup"), (1, "call-1", "failed", "busy")):
        await tables.claim(f"lead-{number}", call, AT)
        await tables.settle(replace(lead(number), call_id=call), status, outcome, AT)
    await tables.claim("lead-2", "call-2", AT)
    await store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "calls.db"
    asyncio.run(fill(path))
    return path


def run(database: Path, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["campaigns", command, "--database", str(database), *arguments])


def test_campaigns_are_listed_with_their_progress(database: Path) -> None:
    shown = run(database, "list").stdout
    line = next(line for line in shown.splitlines() if "Reminders" in line)
    assert line.split()[2:] == ["aa-1", "Reminders", "scheduled", "2", "of", "4", "1", "1", "0"]
    (other, one) = json.loads(run(database, "list", "--json").stdout)
    assert (one["id"], one["leads"]["pending"], one["leads"]["total"]) == ("aa-1", 1, 4)
    assert other["status_reason"] == "trunk 'x' is not active"


def test_one_campaign_is_shown_with_outcomes_and_who_is_being_called(database: Path) -> None:
    shown = run(database, "show", "Reminders").stdout
    for text in ("50 %", "2 of 4 leads", "always open", "1 at once, 10 a minute", "busy 1", "+31612345672", "call-2"):
        assert text in shown, text
    everything = run(database, "show", "aa-1", "--leads").stdout
    assert "+31612345673" in everything
    page = json.loads(run(database, "show", "aa-1", "--json", "--leads").stdout)
    assert page["outcomes"] == [
        {"status": "completed", "outcome": "user_hangup", "leads": 1},
        {"status": "failed", "outcome": "busy", "leads": 1},
    ]
    assert len(page["all_leads"]) == 4


def test_why_a_campaign_was_paused_is_shown_and_a_name_cannot_drive_the_terminal(database: Path) -> None:
    shown = run(database, "show", "aa-2").stdout
    assert "trunk 'x' is not active" in shown
    assert "\x1b[2J" not in shown


def test_a_name_or_an_id_that_fits_none_or_several_is_refused(database: Path) -> None:
    several, none = run(database, "show", "aa-"), run(database, "show", "zz")
    assert (several.exit_code, none.exit_code) == (2, 2)
    assert "several campaigns fit 'aa-'" in several.stderr
    assert "no campaign has this name" in none.stderr


def test_a_watched_campaign_tells_each_change_and_ends_with_it(database: Path) -> None:
    async def finish() -> None:
        store = await SqliteStore.open(database)
        await store.campaigns.settle(replace(lead(2), call_id="call-2"), "completed", "user_hangup", AT)
        await store.campaigns.claim("lead-3", "call-3", AT)
        await store.campaigns.settle(replace(lead(3), call_id="call-3"), "failed", "no_answer", AT)
        await store.close()

    later = threading.Timer(0.5, lambda: asyncio.run(finish()))
    later.start()
    lines = run(database, "watch", "aa-1", "--interval", "0.1").stdout.splitlines()
    later.join()
    assert lines[0].startswith("scheduled: 2 of 4 leads settled, 1 being called")
    assert lines[-1] == "completed: 4 of 4 leads settled, 0 being called, 2 completed, 2 failed, 0 skipped"


def test_who_waits_where_and_what_is_tried_again_is_shown(database: Path) -> None:
    async def more() -> None:
        store = await SqliteStore.open(database)
        row = campaign("bb-1", "Everywhere", retries={"busy": {"minutes": 5, "attempts": 2}}, message_left="retry")
        zones = ("", "Pacific/Auckland", "Pacific/Auckland", "America/New_York Mars/Base")
        new = [replace(lead(at), id=f"new-{at}", campaign_id="bb-1", zones=one) for at, one in enumerate(zones)]
        await store.campaigns.create(row, new)
        await store.close()

    asyncio.run(more())
    shown = run(database, "show", "Everywhere").stdout
    for text in ("busy after 5 min, 2 attempts", "called again", "2      always open", "a time zone is not known here"):
        assert text in shown, text
    assert shown.index("Pacific/Auckland") < shown.index("Mars/Base")
