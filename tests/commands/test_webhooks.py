"""`webhooks` shows what was to be told, and has dead letters sent again, beside a daemon or without one."""

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.commands.database import as_owner_of
from sovereign_pbx.store import NONE_LEFT_OUT, START, CallRow, Outgoing, outbox, schema
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.webhooks import signing
from sovereign_pbx.webhooks.delivery import Deliverer
from sovereign_pbx.webhooks.post import open_session
from tests.waiting import until
from tests.webhooks.receiver import SECRET, Receiver, fine, listening

AT = "2026-11-20T07:32:00.123Z"
LATER = "2027-11-20T07:32:00.123Z"
URL = "https://user:hidden@crm.example/hook?token=hidden"


def hook(webhook_id: str, call_id: str, event: str = "status-update", url: str = URL) -> Outgoing:
    body = json.dumps({"message": {"type": event}}).encode()
    return Outgoing(webhook_id=webhook_id, call_id=call_id, event=event, url=url, body=body, secret=SECRET)


async def fill(path: Path) -> None:
    """Call a: delivered, dead, pending. Call b: one that waits for its next attempt, and one behind it."""
    store = await SqliteStore.open(path)
    report = hook("a-report", "a", "end-of-call-report")
    await store.create_call(CallRow(id="a"), [hook("a-begin", "a"), hook("a-end", "a"), report])
    await store.delivered("a-begin", AT)
    await store.bury("a-end", AT, "status: answered 500")
    await store.create_call(CallRow(id="b"), [hook("b-begin", "b"), hook("b-end", "b")])
    await store.postpone("b-begin", LATER, "status: answered 503")
    await store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "calls.db"
    asyncio.run(fill(path))
    return path


def invoke(database: Path, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(cli, ["webhooks", arguments[0], "--database", str(database), *arguments[1:]], **options)


def listed(database: Path, *arguments: str) -> list[str]:
    return [one["webhook_id"] for one in json.loads(invoke(database, "list", "--json", *arguments).stdout)]


def due(database: Path) -> list[str]:
    with closing(schema.connect_observer(database)) as connection:
        found = outbox.due(connection, AT, START, 64, NONE_LEFT_OUT).found
        return [one.outgoing.webhook_id for one in found]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["a-end", "a-report", "b-begin", "b-end"]),
        (["--dead"], ["a-end"]),
        (["--pending"], ["a-report", "b-begin", "b-end"]),
        (["--all"], ["a-begin", "a-end", "a-report", "b-begin", "b-end"]),
        (["--call", "b"], ["b-begin", "b-end"]),
        (["--event", "end-of-call-report"], ["a-report"]),
        (["--all", "--limit", "2"], ["b-begin", "b-end"]),
        (["--dead", "--call", "b"], []),
    ],
)
def test_a_list_holds_what_was_asked_for_in_order(database: Path, options: list[str], expected: list[str]) -> None:
    assert listed(database, *options) == expected


def test_the_list_for_people_says_why_and_shows_no_credentials_of_addresses(database: Path) -> None:
    text = invoke(database, "list").stdout
    assert "https://crm.example/hook?… " in text and "answered 500" in text
    assert "hidden" not in text


def test_one_that_must_wait_for_another_of_its_call_says_so(database: Path) -> None:
    waiting = {one["webhook_id"]: one["waits_for"] for one in json.loads(invoke(database, "list", "--json").stdout)}
    assert waiting == {"a-end": None, "a-report": None, "b-begin": None, "b-end": "b-begin"}
    assert "after b-begin" in invoke(database, "list", "--call", "b").stdout


def test_a_webhook_is_shown_with_the_headers_it_would_be_sent_with(database: Path) -> None:
    shown = json.loads(invoke(database, "show", "a-e", "--json").stdout)
    headers = shown["headers"]
    body = b'{"message": {"type": "status-update"}}'
    assert headers["X-Webhook-Id"] == "a-end" and headers["X-Webhook-Event"] == "status-update"
    assert headers["X-Webhook-Signature"] == signing.sign(SECRET, headers["X-Webhook-Timestamp"], body)
    assert (shown["body"], shown["last_error"]) == ({"message": {"type": "status-update"}}, "status: answered 500")
    page = invoke(database, "show", "a-end").stdout
    assert "X-Webhook-Signature" in page and "answered 500" in page and '"type": "status-update"' in page
    assert SECRET not in page and "hidden" not in page


@pytest.mark.parametrize(
    ("webhook_id", "words"), [("x", "no webhook has an id"), ("a", "several webhooks"), ("", "no webhook")]
)
def test_an_id_that_fits_none_or_several_is_refused(database: Path, webhook_id: str, words: str) -> None:
    result = invoke(database, "show", webhook_id)
    assert result.exit_code == 2 and words in result.stderr


def test_a_dead_webhook_put_back_keeps_its_place_and_holds_back_the_later_one(database: Path) -> None:
    assert due(database) == ["a-report"]
    result = invoke(database, "retry", "a-end")
    assert (result.exit_code, result.stdout) == (0, "1 webhook put back\n")
    assert due(database) == ["a-end"]


def test_one_that_waits_for_its_next_attempt_is_sent_at_once(database: Path) -> None:
    assert invoke(database, "retry", "b-begin").exit_code == 0
    assert due(database) == ["a-report", "b-begin"]


def test_one_that_was_delivered_is_not_sent_again(database: Path) -> None:
    result = invoke(database, "retry", "a-begin", "a-end")
    assert result.exit_code == 2 and "has been delivered" in result.stderr
    assert listed(database, "--dead") == ["a-end"]


def test_what_was_put_back_is_tried_as_long_as_a_new_one(database: Path) -> None:
    invoke(database, "retry", "a-end")
    with closing(schema.connect_observer(database)) as connection:
        (one,) = outbox.due(connection, AT, START, 64, NONE_LEFT_OUT).found
        written = connection.execute("SELECT created_at FROM outbox WHERE webhook_id = 'a-end'").fetchone()[0]
    assert one.attempts == 0 and one.created_at >= written


def test_all_dead_ones_of_a_receiver_are_put_back(database: Path) -> None:
    assert invoke(database, "retry", "--all-dead", "--url-contains", "other.example").stdout == "no webhooks put back\n"
    assert invoke(database, "retry", "--all-dead", "--url-contains", "crm.example").stdout == "1 webhook put back\n"


def make_many_dead(path: Path) -> None:
    async def fill_up() -> None:
        store = await SqliteStore.open(path)
        for n in range(30):
            await store.create_call(CallRow(id=f"many{n}"), [hook(f"many{n}", f"many{n}")])
            await store.bury(f"many{n}", AT, "no")
        await store.close()

    asyncio.run(fill_up())


def test_many_are_put_back_only_when_that_is_confirmed(database: Path) -> None:
    make_many_dead(database)
    refused = invoke(database, "retry", "--all-dead", input="n\n")
    assert refused.exit_code == 1 and "Send 31 webhooks again?" in refused.output
    assert len(listed(database, "--dead")) == 31
    assert "31 webhooks put back" in invoke(database, "retry", "--all-dead", input="y\n").output
    assert listed(database, "--dead") == []


def test_yes_asks_nothing(database: Path) -> None:
    make_many_dead(database)
    assert invoke(database, "retry", "--all-dead", "--yes").stdout == "31 webhooks put back\n"


@pytest.mark.parametrize(
    "arguments", [[], ["a-end", "--all-dead"], ["a-end", "--url-contains", "x"], ["--url-contains", "x"]]
)
def test_what_is_meant_must_be_said(database: Path, arguments: list[str]) -> None:
    assert invoke(database, "retry", *arguments).exit_code == 2
    assert listed(database, "--dead") == ["a-end"]


def test_a_running_daemon_takes_up_what_another_process_put_back(database: Path) -> None:
    async def run() -> None:
        async with listening(Receiver(fine)) as receiver, open_session() as session:
            store = await SqliteStore.open(database)
            with closing(sqlite3.connect(database)) as connection, connection:
                connection.execute("UPDATE outbox SET url = ?, origin = ?", (receiver.url, "x"))
            deliverer = Deliverer(store, session, poll_s=0.1)
            deliverer.start()
            await until(lambda: [got.webhook_id for got in receiver.got] == ["a-report"])
            result = await asyncio.to_thread(invoke, database, "retry", "a-end", "b-begin")
            assert result.exit_code == 0, result.output
            await until(lambda: len(receiver.got) == 4)
            order = [got.webhook_id for got in receiver.got]
            assert order.index("b-begin") < order.index("b-end")
            await deliverer.close()
            await store.close()

    asyncio.run(run())


def test_without_a_database_it_says_so(tmp_path: Path) -> None:
    result = invoke(tmp_path / "none.db", "retry", "x")
    assert result.exit_code == 2 and "no call database" in result.stderr
    assert not (tmp_path / "none.db").exists()


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    result = invoke(tmp_path / "other.db", "retry", "x")
    assert result.exit_code == 2 and "another program" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could leave files of root behind")
def test_root_leaves_no_files_that_the_daemons_user_cannot_open(database: Path) -> None:
    owner = 65534
    os.chown(database.parent, owner, owner)
    os.chown(database, owner, owner)
    for parent in database.parents[1:4]:  # pytest's folders are for root only
        os.chmod(parent, 0o755)
    assert invoke(database, "retry", "a-end").exit_code == 0
    with as_owner_of(database):
        assert os.geteuid() == owner
        owners = owners_while_open(database)
    assert os.geteuid() == 0
    assert owners == [owner] * 3


def owners_while_open(database: Path) -> list[int]:
    """Of the database and what stands beside it while a connection has written."""
    with closing(schema.connect_editor(database)) as connection:
        outbox.put_back(connection, ["b-begin"], AT)
        return [path.stat().st_uid for path in database.parent.glob("calls.db*")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_user_who_may_not_write_is_told_so(database: Path) -> None:
    database.chmod(0o400)
    result = invoke(database, "retry", "a-end")
    assert result.exit_code == 2 and "run as root" in result.stderr


def test_a_report_by_mail_is_shown_without_headers(tmp_path: Path) -> None:
    async def fill_mail() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        await store.create_call(CallRow(id="a"), [hook("m", "a", "end-of-call-report", "mailto:desk@example.com")])
        await store.close()

    asyncio.run(fill_mail())
    assert json.loads(invoke(tmp_path / "calls.db", "show", "m", "--json").stdout)["headers"] == {}
    assert "mailto:desk@example.com" in invoke(tmp_path / "calls.db", "list").stdout
