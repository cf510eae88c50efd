"""What a killed daemon left open is closed by the next one; nobody is answered of whom no trace would be left."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.assistants.account import Target
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.calls.recovery import recover
from sovereign_pbx.calls.report import PLAIN_REPORTING, Reporting
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.store.sqlite import SqliteStore
from tests.calls.house import house, play
from tests.waiting import until

ANSWERED = "2026-11-20T07:32:00.000Z"
LAST_SIGN = "2026-11-20T07:33:12.400Z"
HOOK = "http://127.0.0.1:9/hook"


def call(**changes: Any) -> CallRow:
    usual: dict[str, Any] = {
        "id": "0b2f6c1e-0000-4000-8000-000000000001",
        "status": "in-progress",
        "caller_phone": "+31612345678",
        "assistant_phone": "100",
        "number_id": "main",
        "created_at": "2026-11-20T07:31:58.000Z",
        "updated_at": ANSWERED,
        "started_at": ANSWERED,
    }
    return CallRow(**{**usual, **changes})


async def recovered(
    folder: Path,
    row: CallRow,
    *,
    recordings: Path | None = None,
    dialect: Any = "snake",
    reporting: Reporting = PLAIN_REPORTING,
) -> tuple[CallRow, Sequence[Outgoing]]:
    """The call afterwards, and what is told of it, in order."""
    store = await SqliteStore.open(folder / "calls.db")
    try:
        await store.create_call(row)
        await store.add_message(row.id, Message("user", "What time do you open?"), ANSWERED)
        await store.add_event(row.id, "turn_decided", {}, LAST_SIGN)
        directory = Directory({}, [Number(number="100", name="Main line", assistant="", id="main")])
        await recover(store, lambda row, event: Target(HOOK, "", dialect), directory, recordings, reporting)
        assert await recover(store, lambda row, event: Target(HOOK, "", dialect), directory, recordings) == 0
        found = await store.call(row.id)
        assert found is not None
        told = []
        while due := (await store.due("9999")).found:
            told += [one.outgoing for one in due]
            for one in due:
                await store.delivered(one.outgoing.webhook_id, LAST_SIGN)
        return found, told
    finally:
        await store.close()


def run(scene: Any) -> Any:
    return asyncio.run(scene)


def test_a_call_cut_off_ends_when_it_was_last_heard_of(tmp_path: Path) -> None:
    row, told = run(recovered(tmp_path, call()))
    assert (row.status, row.end_reason, row.ended_at, row.duration_seconds) == ("failed", "error", LAST_SIGN, 72)
    assert [one.event for one in told] == ["status-update", "end-of-call-report"]
    assert b'"duration_seconds":72' in told[1].body.replace(b" ", b"")
    assert b"Main line" in told[0].body


def test_a_call_never_answered_is_ended_and_nobody_is_told(tmp_path: Path) -> None:
    row, told = run(recovered(tmp_path, call(status="connecting", started_at=None)))
    assert (row.status, row.end_reason, row.duration_seconds) == ("failed", "error", 0)
    assert told == []


def test_a_call_placed_and_never_answered_is_ended_and_reported(tmp_path: Path) -> None:
    row, told = run(recovered(tmp_path, call(status="connecting", started_at=None, direction="outbound")))
    assert (row.status, row.end_reason, row.duration_seconds, row.ended_at) == ("failed", "error", 0, LAST_SIGN)
    assert row.summary == "The daemon was stopped before anybody answered."
    assert [one.event for one in told] == ["status-update", "end-of-call-report"]
    for one in told:
        message = json.loads(one.body)["message"]
        assert message["call"] == {"id": row.id, "type": "outbound_phone_call", "status": "ended-with-error"}
        assert message["customer"]["number"] == row.caller_phone
    assert json.loads(told[1].body)["message"]["messages"] == []


def test_a_call_placed_and_cut_off_is_told_as_one_that_went_out(tmp_path: Path) -> None:
    _, told = run(recovered(tmp_path, call(direction="outbound")))
    types = [json.loads(one.body)["message"]["call"]["type"] for one in told]
    assert types == ["outbound_phone_call", "outbound_phone_call"]


def test_a_call_that_had_ended_keeps_its_end_and_gets_its_report(tmp_path: Path) -> None:
    ended = call(status="ended", ended_at=ANSWERED, end_reason="user_hangup", duration_seconds=3)
    row, told = run(recovered(tmp_path, ended))
    assert (row.status, row.end_reason, row.duration_seconds) == ("ended", "user_hangup", 3)
    assert row.summary
    assert [one.event for one in told] == ["end-of-call-report"]


def test_an_analysis_that_was_cut_off_is_noted_and_not_made_up(tmp_path: Path) -> None:
    plan = {"structured_data_plan": {"enabled": True, "schema": {"type": "object"}}}
    ended = call(status="ended", ended_at=ANSWERED, end_reason="user_hangup", assistant={"analysis_plan": plan})
    row, told = run(recovered(tmp_path, ended))
    assert row.summary == "The caller said: What time do you open?"
    assert row.analysis_result is None
    assert b'"analysis":' not in told[0].body
    events = run(events_of(tmp_path, row.id))
    assert ("analysis.failed", {"why": "not attempted: the daemon was stopped before it"}) in events


def test_mails_and_link_are_owed_after_a_crash_too_and_the_webhook_goes_first(tmp_path: Path) -> None:
    (tmp_path / f"{call().id}.wav").write_bytes(b"RIFF")
    named = {"notification_email": "a@x.nl", "notification_emails": ["b@x.nl"]}
    reporting = Reporting(mails=True, recording_url=lambda call_id: f"https://x/{call_id}")
    _, told = run(recovered(tmp_path, call(assistant=named), recordings=tmp_path, reporting=reporting))
    assert [one.url for one in told] == [HOOK, HOOK, "mailto:a@x.nl", "mailto:b@x.nl"]
    assert all(f"https://x/{call().id}".encode() in one.body for one in told[1:])


async def events_of(folder: Path, call_id: str) -> list[tuple[str, dict[str, Any]]]:
    store = await SqliteStore.open(folder / "calls.db")
    try:
        return [(name, values) for _, name, values in await store.events(call_id)]
    finally:
        await store.close()


def test_the_older_spelling_is_kept(tmp_path: Path) -> None:
    _, told = run(recovered(tmp_path, call(), dialect="camel"))
    assert all(b"phoneNumber" in one.body for one in told)


@pytest.mark.parametrize("there", [True, False])
def test_a_recording_that_was_begun_is_found(tmp_path: Path, there: bool) -> None:
    file = tmp_path / f"{call().id}.wav"
    if there:
        file.write_bytes(b"RIFF")
    row, _ = run(recovered(tmp_path, call(), recordings=tmp_path))
    assert row.recording_path == (str(file) if there else None)


def test_nobody_is_answered_before_the_call_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[str] = []
    create = SqliteStore.create_call

    async def slowly(self: SqliteStore, row: CallRow, outgoing: Sequence[Outgoing] = (), **more: str) -> None:
        await asyncio.sleep(0.15)
        await create(self, row, outgoing, **more)
        rows.append(row.id)

    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            assert rows, "answered, and no trace on disk"
            await caller.hang_up()

    monkeypatch.setattr(SqliteStore, "create_call", slowly)
    play(scene())


def test_a_disk_that_does_not_answer_keeps_no_caller_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = SqliteStore.create_call
    released = asyncio.Event()

    async def stuck(self: SqliteStore, row: CallRow, outgoing: Sequence[Outgoing] = (), **more: str) -> None:
        await released.wait()
        await create(self, row, outgoing, **more)

    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.sounds())
            await caller.hang_up()
            released.set()
            (report,) = await place.reported()
            assert report["end_reason"] == "user_hangup"

    monkeypatch.setattr(SqliteStore, "create_call", stuck)
    play(scene())
