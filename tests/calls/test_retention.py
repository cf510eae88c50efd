"""Old recordings, content and metadata go, and nothing else does."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.calls.retention import Retention, Sweeper, sweep
from sovereign_pbx.core.values import Message, TurnRecord
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.store.writer import Statement

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC).timestamp()
OLD, NEW = "2026-10-01T08:00:00.000Z", "2026-11-19T08:00:00.000Z"


def aged(path: Path, mtime: float) -> Path:
    path.write_bytes(b"RIFF")
    os.utime(path, (mtime, mtime))
    return path


def test_a_recording_older_than_the_limit_is_removed(tmp_path: Path) -> None:
    old = aged(tmp_path / "old.wav", 1000)
    assert sweep(tmp_path, before=2000) == 1
    assert not old.exists()


def test_a_younger_recording_and_other_files_stay(tmp_path: Path) -> None:
    young = aged(tmp_path / "young.wav", 3000)
    note = aged(tmp_path / "note.txt", 1000)
    assert sweep(tmp_path, before=2000) == 0
    assert young.exists()
    assert note.exists()


class Kept:
    """A store with calls in it."""

    def __init__(self, store: SqliteStore, folder: Path) -> None:
        self.store = store
        self.folder = folder

    async def add(self, call_id: str, created_at: str, **changes: Any) -> None:
        """A whole call: recorded, told, delivered (but for what `pending` names)."""
        recording = aged(self.folder / f"{call_id}.wav", NOW)
        usual: dict[str, Any] = {
            "status": "ended",
            "caller_phone": "+31612345678",
            "assistant_phone": "100",
            "assistant_name": "Desk",
            "created_at": created_at,
            "started_at": created_at,
            "ended_at": created_at,
            "duration_seconds": 12,
            "end_reason": "user_hangup",
            "summary": "He asked.",
            "analysis_result": {"sentiment": 8},
            "recording_path": str(recording),
            "assistant": {"name": "Desk", "metadata": {"crm": "12"}},
            "statistics": {"usage": {"seconds": 12.0}},
        }
        pending = changes.pop("pending", False)
        row = CallRow(id=call_id, **{**usual, **changes})
        hook = {"call_id": call_id, "event": "end-of-call-report", "url": "http://127.0.0.1:9/"}
        await self.store.create_call(row, [Outgoing(webhook_id=f"{call_id}-w", body=b"He asked.", **hook)])
        if not pending:
            await self.store.delivered(f"{call_id}-w", created_at)
        await self.store.add_message(call_id, Message("user", "Do you bake?"), created_at)
        turn = TurnRecord(1, "Do you bake?", "We do.", 0.0, 1.0, 1.5, 3.0, False, None)
        await self.store.add_turn(call_id, turn)
        await self.store.add_event(call_id, "speak", {"text": "We do."}, created_at)
        await self.store.add_event(call_id, "turn_decided", {"score": 0.9}, created_at)

    async def sweep(self, content_days: int = 0, metadata_days: int = 0) -> dict[Any, int]:
        retention = Retention(content_days, metadata_days)
        return await Sweeper(self.store, retention, recordings=self.folder, now=lambda: NOW).sweep()

    async def row(self, call_id: str) -> CallRow:
        found = await self.store.call(call_id)
        assert found is not None
        return found

    async def bodies(self, call_id: str) -> list[bytes]:
        """Of its webhooks, whatever became of them."""

        def read(connection: Any) -> list[bytes]:
            rows = connection.execute("SELECT body FROM outbox WHERE call_id = ? ORDER BY seq", (call_id,))
            return [bytes(row[0]) for row in rows]

        return await self.store._read(read)


def with_store(folder: Path, play: Callable[[Kept], Awaitable[None]]) -> None:
    async def run() -> None:
        store = await SqliteStore.open(folder / "calls.db", synchronous="normal")
        try:
            await play(Kept(store, folder))
        finally:
            await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("ending", [".wav.age", ".mp3", ".opus", ".flac"])
def test_old_recordings_go_whatever_they_were_made_into(tmp_path: Path, ending: str) -> None:
    old, young = aged(tmp_path / f"old{ending}", 1000), aged(tmp_path / f"young{ending}", 3000)
    notes = aged(tmp_path / "notes.txt", 1000)
    assert sweep(tmp_path, 2000.0) == 1
    assert not old.exists() and young.exists() and notes.exists()


def test_what_was_said_goes_and_that_there_was_a_call_stays(tmp_path: Path) -> None:
    async def play(kept: Kept) -> None:
        await kept.add("old", OLD)
        assert await kept.sweep(content_days=30) == {"content": 1, "metadata": 0}
        row = await kept.row("old")
        assert (row.summary, row.analysis_result, row.recording_path) == ("", None, None)
        assert (row.caller_phone, row.duration_seconds, row.assistant) == (
            "+31612345678",
            12,
            {"name": "Desk", "metadata": {"crm": "12"}},
        )
        assert row.statistics == {"usage": {"seconds": 12.0}}
        assert await kept.store.messages("old") == []
        assert [(turn.said, turn.heard) for turn in await kept.store.turns("old")] == [("", "")]
        events = [(name, values) for _, name, values in await kept.store.events("old")]
        assert events == [("speak", {}), ("turn_decided", {"score": 0.9})]
        assert await kept.bodies("old") == [b""]
        assert not (tmp_path / "old.wav").exists()
        assert await kept.store.unfinished() == []

    with_store(tmp_path, play)


def test_who_called_goes_with_the_events_and_the_rest_stays(tmp_path: Path) -> None:
    async def play(kept: Kept) -> None:
        await kept.add("old", OLD)
        assert await kept.sweep(metadata_days=30) == {"content": 0, "metadata": 1}
        row = await kept.row("old")
        assert (row.caller_phone, row.assistant, row.assistant_name, row.summary) == (None, {}, "Desk", "He asked.")
        assert await kept.store.events("old") == []
        assert len(await kept.store.messages("old")) == 1
        assert await kept.bodies("old") == [b""]

    with_store(tmp_path, play)


def test_the_lead_of_a_campaign_forgets_its_call(tmp_path: Path) -> None:
    async def play(kept: Kept) -> None:
        for call_id, at in (("old", OLD), ("new", NEW)):
            await kept.add(call_id, at)
            await kept.store._write("lead", *_lead(call_id))
        await kept.sweep(metadata_days=30)

        def links(connection: Any) -> tuple[list[Any], list[Any]]:
            leads = connection.execute("SELECT id, call_id, phone_number FROM leads ORDER BY seq").fetchall()
            return leads, connection.execute("SELECT call_id FROM attempts").fetchall()

        leads, attempts = await kept.store._read(links)
        assert leads == [("lead-old", None, "+316"), ("lead-new", "new", "+316")]
        assert attempts == [("new",)]

    with_store(tmp_path, play)


def _lead(call_id: str, status: str = "completed", changed_at: str = NEW) -> list[Statement]:
    """A lead that was called, of a campaign of its own."""
    campaign = (
        "INSERT INTO campaigns (id, name, assistant_id, status, schedule_start_time, schedule_end_time, timezone,"
        " weekdays, max_attempts, retry_minutes, calls_at_once, calls_per_minute, created_at, updated_at)"
        " VALUES (?, 'n', 'a', ?, '', '', 'UTC', '[]', 1, 1, 1, 1, '', ?)"
    )
    lead = (
        "INSERT INTO leads (id, campaign_id, phone_number, variables, status, outcome, error, call_id, attempts,"
        " due_at, created_at)"
        " VALUES (?, ?, '+316', '{\"name\": \"Jan\"}', 'completed', 'error', '+316 is away', ?, 1, '', '')"
    )
    attempt = "INSERT INTO attempts (call_id, lead_id, campaign_id, number, at) VALUES (?, ?, ?, 1, '')"
    name = f"lead-{call_id}"
    return [
        Statement(campaign, (call_id, status, changed_at)),
        Statement(lead, (name, call_id, call_id)),
        Statement(attempt, (call_id, name, call_id)),
    ]


def test_leads_of_campaigns_that_are_long_over_forget_who_they_were(tmp_path: Path) -> None:
    async def play(kept: Kept) -> None:
        await kept.store._write("lead", *_lead("done", "completed", OLD), *_lead("called-off", "cancelled", OLD))
        await kept.store._write("lead", *_lead("recent", "completed", NEW), *_lead("resting", "paused", OLD))
        await kept.store._write("lead", *_lead("talking", "cancelled", OLD))
        await kept.store._write("call", Statement("UPDATE leads SET status = 'calling' WHERE call_id = 'talking'", ()))

        def known(connection: Any) -> list[str]:
            query = "SELECT campaign_id FROM leads WHERE phone_number <> '' OR variables <> '{}' OR error IS NOT NULL"
            return [row[0] for row in connection.execute(query)]

        await kept.sweep(content_days=30)
        assert len(await kept.store._read(known)) == 5
        await kept.sweep(metadata_days=30)
        assert sorted(await kept.store._read(known)) == ["recent", "resting", "talking"]
        (lead,) = await kept.store.campaigns.leads("done")
        assert (lead.phone_number, lead.variables, lead.error) == ("", {}, None)
        assert (lead.status, lead.outcome, lead.attempts) == ("completed", "error", 1)

    with_store(tmp_path, play)


def test_a_campaign_that_grows_old_while_the_daemon_runs_is_found(tmp_path: Path) -> None:
    async def play(kept: Kept) -> None:
        await kept.store._write("lead", *_lead("recent", "completed", NEW))
        now = [NOW]
        sweeper = Sweeper(kept.store, Retention(0, 30), now=lambda: now[0])
        numbers = []
        for _ in range(2):
            await sweeper.sweep()
            numbers += [lead.phone_number for lead in await kept.store.campaigns.leads("recent")]
            now[0] += 30 * 86_400
        assert numbers == ["+316", ""]

    with_store(tmp_path, play)


def test_a_long_list_of_leads_goes_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.calls.retention._PAUSE_S", 0)

    async def play(kept: Kept) -> None:
        await kept.store._write("lead", *_lead("done", "completed", OLD))
        copies = (
            "INSERT INTO leads (id, campaign_id, phone_number, variables, status, attempts, due_at, created_at)"
            " SELECT 'lead-' || value, 'done', '+316', '{}', 'failed', 1, '', '' FROM json_each(?)"
        )
        await kept.store._write("leads", Statement(copies, (str(list(range(120))),)))
        sizes: list[int] = []
        strip = kept.store.strip_leads

        async def counted(leads: Any) -> None:
            sizes.append(len(leads))
            await strip(leads)

        monkeypatch.setattr(kept.store, "strip_leads", counted)
        await kept.sweep(metadata_days=30)
        assert sizes == [50, 50, 21]
        assert {lead.phone_number for lead in await kept.store.campaigns.leads("done")} == {""}

    with_store(tmp_path, play)


def test_a_young_call_stays_and_nothing_goes_where_nothing_is_asked_for(tmp_path: Path) -> None:
    async def play(kept: Kept) -> None:
        await kept.add("new", NEW)
        await kept.add("old", OLD)
        assert await kept.sweep() == {"content": 0, "metadata": 0}
        assert await kept.sweep(30, 30) == {"content": 1, "metadata": 1}
        row = await kept.row("new")
        assert (row.summary, row.caller_phone) == ("He asked.", "+31612345678")
        assert (tmp_path / "new.wav").exists()

    with_store(tmp_path, play)


def test_what_is_still_owed_is_kept(tmp_path: Path) -> None:
    async def play(kept: Kept) -> None:
        await kept.add("waiting", OLD, pending=True)
        await kept.add("unreported", OLD, summary=None, analysis_result=None)
        await kept.add("going", OLD, ended_at=None, summary=None)
        assert await kept.sweep(30, 30) == {"content": 1, "metadata": 1}
        assert await kept.bodies("waiting") == [b"He asked."]
        assert len(await kept.store.messages("unreported")) == 1
        assert (await kept.row("going")).caller_phone is not None

    with_store(tmp_path, play)


@pytest.mark.parametrize("count", [120])
def test_many_calls_go_in_batches_and_each_once(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(kept: Kept) -> None:
        for number in range(count):
            await kept.add(f"c{number:03d}", OLD if number % 2 else f"2026-09-{1 + number // 5:02d}T08:00:00.000Z")
        sizes: list[int] = []
        strip = kept.store.strip

        async def counted(kind: Any, call_ids: Any) -> None:
            sizes.append(len(call_ids))
            await strip(kind, call_ids)

        monkeypatch.setattr(kept.store, "strip", counted)
        sweeper = Sweeper(kept.store, Retention(30, 0), now=lambda: NOW)
        assert (await sweeper.sweep())["content"] == count
        assert sum(sizes) == count
        assert max(sizes) <= 50
        assert (await sweeper.sweep())["content"] == 0

    with_store(tmp_path, play)


def test_a_changed_setting_is_acted_on_while_the_daemon_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.calls.retention._LOOK_S", 0.02)

    async def play(kept: Kept) -> None:
        await kept.add("old", OLD)
        retention = Retention()
        running = asyncio.create_task(Sweeper(kept.store, retention, now=lambda: NOW).run())
        try:
            await asyncio.sleep(0.05)
            assert (await kept.row("old")).summary == "He asked."
            retention.content_days = 30
            async with asyncio.timeout(5):
                while (await kept.row("old")).summary:  # noqa: ASYNC110 - the store has no event to await
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    with_store(tmp_path, play)
