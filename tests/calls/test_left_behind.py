"""Calls that a killed daemon left behind are told to whom the call itself was to be told, signed as expected."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from sovereign_pbx.assistants.account import Account, Target
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.left_behind import LeftBehind, own_secret
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from tests.calls.house import assistant, house, play
from tests.calls.scene_daemon import DaemonProcess
from tests.waiting import until
from tests.webhooks.receiver import Got, Receiver, fine, listening

FILE, OTHER, OF_ACCOUNT = "https://file.example/", "https://other.example/", "https://account.example/"
SAVED = Assistant.parse(
    {"id": "a1", "name": "a", "webhook_url": FILE, "webhook_secret": "file's"}, where="the configuration"
)
PLAIN = Assistant.parse({"id": "a2", "name": "b"}, where="the configuration")
DIRECTORY = Directory({"a": SAVED, "b": PLAIN}, [])
ACCOUNT = Account(url=OF_ACCOUNT, secret="account's")


def row(assistant: Assistant | None) -> CallRow:
    public = assistant.to_public() if assistant else {}
    return CallRow(id="c1", assistant_id=assistant.id if assistant else None, assistant=public)


def target(assistant: Assistant | None, secrets: dict[tuple[str, str], str] | None = None) -> Target | None:
    return LeftBehind(DIRECTORY, ACCOUNT, secrets or {}).target_of(row(assistant), "end-of-call-report")


def overridden(ground: Assistant, **changes: Any) -> Assistant:
    return ground.merged(changes)


@pytest.mark.parametrize(
    ("assistant", "expected"),
    [
        (SAVED, Target(FILE, "file's")),
        (PLAIN, Target(OF_ACCOUNT, "account's")),
        (None, Target(OF_ACCOUNT, "account's")),
        (overridden(SAVED, first_message="Hi"), Target(FILE, "file's")),
        (overridden(SAVED, webhook_url=OTHER, webhook_secret="its own"), Target(OTHER, "kept")),
        (overridden(PLAIN, webhook_url=OTHER, webhook_secret="its own"), Target(OTHER, "kept")),
        (overridden(SAVED, webhook_events=["status-update"]), None),
        (overridden(SAVED, webhook_dialect="camel"), Target(FILE, "file's", "camel")),
        (Assistant.parse({"name": "t", "webhook_url": OTHER}, where="an answer"), Target(OTHER, "kept")),
    ],
)
def test_a_call_is_told_where_it_was_to_be_told(assistant: Assistant | None, expected: Target | None) -> None:
    assert target(assistant, {("c1", OTHER): "kept", ("c2", FILE): "another call's"}) == expected


def test_what_can_no_longer_be_read_goes_by_the_saved_assistant() -> None:
    left = LeftBehind(DIRECTORY, ACCOUNT, {})
    spoilt = CallRow(id="c1", assistant_id="a1", assistant={"first_message": 7})
    assert left.target_of(spoilt, "end-of-call-report") == Target(FILE, "file's")


def hook(webhook_id: str, event: str = "status-update") -> Outgoing:
    return Outgoing(webhook_id=webhook_id, call_id="c1", event=event, url=OTHER, body=b"{}", secret="its own")


def test_a_secret_is_kept_while_the_call_may_need_it_and_forgotten_then(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        await store.create_call(CallRow(id="c1"))
        await store.change_call("c1", {"started_at": "2026-11-20T07:32:00.000Z"}, [hook("w1")])
        await store.delivered("w1", "2026-11-20T07:32:00.000Z")
        assert await store.kept_secrets() == {("c1", OTHER): "its own"}
        changes = {"ended_at": "2026-11-20T07:33:00.000Z", "summary": "Said hello."}
        await store.change_call("c1", changes, [hook("w2", "end-of-call-report")])
        assert await store.kept_secrets() == {}
        await store.delivered("w2", "2026-11-20T07:33:00.000Z")
        rows = await store.deliveries("c1")
        assert [one.state for one in rows] == ["delivered", "delivered"]
        await store.close()
        store = await SqliteStore.open(tmp_path / "calls.db")
        await store.change_call("c1", {"summary": None})
        assert await store.kept_secrets() == {}, "forgotten on disk, too"
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("assistant", "expected"),
    [
        (None, ""),
        (SAVED, ""),
        (overridden(SAVED, first_message="Hi"), ""),
        (overridden(SAVED, webhook_url=OTHER, webhook_secret="its own"), "its own"),
        (overridden(PLAIN, webhook_url=OTHER, webhook_secret="its own"), "its own"),
        (Assistant.parse({"name": "t", "webhook_url": OTHER, "webhook_secret": "its own"}, where="it"), "its own"),
        (Assistant.parse({"name": "t", "webhook_secret": "its own"}, where="it"), ""),
    ],
)
def test_only_a_secret_that_the_saved_assistant_does_not_have_is_kept_with_the_call(
    assistant: Assistant | None, expected: str
) -> None:
    assert own_secret(assistant, DIRECTORY) == expected


@pytest.mark.parametrize("started_at", ["2026-11-20T07:32:00.000Z", None])
def test_a_calls_own_secret_is_shown_by_no_row_and_forgotten_with_the_report(
    tmp_path: Path, started_at: str | None
) -> None:
    def on_disk() -> str:
        with closing(sqlite3.connect(tmp_path / "calls.db")) as connection:
            (secret,) = connection.execute("SELECT webhook_secret FROM calls").fetchone()
        return str(secret)

    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        await store.create_call(CallRow(id="c1", assistant={"webhook_url": OTHER}), webhook_secret="its own")
        assert await store.kept_secrets() == {("c1", OTHER): "its own"}
        assert "its own" not in repr(await store.call("c1"))
        await store.change_call("c1", {"started_at": started_at})
        assert on_disk() == "its own"
        await store.change_call("c1", {"ended_at": "2026-11-20T07:33:00.000Z"})
        assert on_disk() == ("its own" if started_at else "")
        await store.change_call("c1", {"summary": "Said hello."})
        assert (on_disk(), await store.kept_secrets()) == ("", {})
        await store.close()

    asyncio.run(run())


def test_the_report_of_an_assistant_saved_nowhere_is_signed_by_its_own_secret_after_a_kill(tmp_path: Path) -> None:
    whole = assistant(name="Just for you", webhook_secret="its own", webhook_events=["end-of-call-report"])
    its_own = Receiver(fine, secret="its own")

    async def answer(got: Got) -> web.StreamResponse:
        brought = {"assistant": {**whole, "webhook_url": its_own.url}}
        return web.json_response(brought if got.event == "assistant-request" else {})

    async def scene() -> None:
        async with house(tmp_path, numbers=[{"number": "*"}]) as place, listening(its_own):
            place.receiver.answer = answer
            await place.stop()
            place.settings["http"] = {"enabled": True, "port": unused_port()}
            daemon = DaemonProcess(tmp_path, place.settings)
            try:
                await daemon.start()
                agi, audio = (
                    ("127.0.0.1", place.settings["asterisk"][name]["port"]) for name in ("agi", "audiosocket")
                )
                async with AudioSocketCaller(place.ticker, agi=agi, audio=audio) as caller:
                    await caller.place()
                    await until(lambda: caller.heard.sounds())
                    await daemon.kill()
                await daemon.start()
                await until(lambda: its_own.got or its_own.refused, 10.0)
                assert ([got.event for got in its_own.got], its_own.refused) == (["end-of-call-report"], [])
            finally:
                await daemon.stop()

    play(scene())
