"""`calls` shows what happened, for a person and for a program, beside a running daemon or without one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.commands.call_feed import CallFeed
from sovereign_pbx.core.values import Message, ToolCall, TurnRecord, TurnTiming
from sovereign_pbx.store import CallRow, Outgoing, outbox, schema
from sovereign_pbx.store.sqlite import SqliteStore

AT = "2026-11-20T07:32:00.123Z"
FIRST, SECOND = "5c4d030f-aaaa", "5c4e130f-bbbb"
TIMING = TurnTiming(endpointing_ms=400, stt_ms=50, llm_ms=230, clause_ms=0, tts_ms=120, link_ms=12)


def turn(number: int, timing: TurnTiming | None = TIMING) -> TurnRecord:
    return TurnRecord(number, f"question {number}", f"answer {number}", 1.0, 2.0, 2.8, 4.0, number == 2, timing)


async def fill(path: Path) -> None:
    store = await SqliteStore.open(path)
    hook = Outgoing(
        webhook_id="w1",
        call_id=FIRST,
        event="end-of-call-report",
        url="https://crm.example/h",
        body=b"{}",
        secret="s3cret",
    )
    call = CallRow(
        id=FIRST,
        caller_phone="+31612345678",
        assistant_phone="+31850835037",
        assistant_name="Receptionist",
        created_at=AT,
        statistics={"barge_ins": 1},
    )
    await store.create_call(call)
    await store.add_message(FIRST, Message("assistant", "Hello, how can I help?"), AT)
    await store.add_message(FIRST, Message("user", "Look \x1b[2Jme up"), AT)
    await store.add_message(FIRST, Message("assistant", "", (ToolCall("t1", "lookup", '{"q":1}'),)), AT)
    await store.add_message(FIRST, Message("assistant", "You are", interrupted=True), AT)
    for number in (1, 2):
        await store.add_turn(FIRST, turn(number))
    await store.add_event(FIRST, "digit", {"digit": "5"}, AT)
    ended = {"status": "ended", "started_at": AT, "ended_at": AT, "duration_seconds": 84, "end_reason": "user_hangup"}
    await store.change_call(FIRST, ended, [hook])
    await store.postpone("w1", "2026-11-20T09:00:00.000Z", "status: answered 500")
    await store.create_call(CallRow(id=SECOND, created_at="2026-11-20T08:00:00.000Z"))
    await store.close()


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TZ", "UTC")
    asyncio.run(fill(tmp_path / "calls.db"))
    return tmp_path / "calls.db"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["calls", *map(str, arguments)])


def as_json(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_calls_are_listed_newest_first_with_what_matters(database: Path) -> None:
    lines = run("list", "--database", database).output.splitlines()
    assert lines[0].split() == ["began", "id", "direction", "from", "to", "assistant", "status", "end", "length"]
    assert lines[1].split()[2:5] == ["5c4e130f", "inbound", "(withheld)"]
    assert (
        "+31612345678" in lines[2] and "Receptionist" in lines[2] and "user_hangup" in lines[2] and "84 s" in lines[2]
    )


def test_the_list_can_be_limited_filtered_and_read_by_programs(database: Path) -> None:
    assert [call["id"] for call in as_json("list", "--database", database)] == [SECOND, FIRST]
    assert [call["id"] for call in as_json("list", "--database", database, "--limit", "1")] == [SECOND]
    assert [call["id"] for call in as_json("list", "--database", database, "--status", "ended")] == [FIRST]


def test_an_empty_database_has_no_calls(tmp_path: Path) -> None:
    schema.connect_writer(tmp_path / "calls.db").close()
    assert run("list", "--database", tmp_path / "calls.db").output == "no calls\n"
    assert as_json("list", "--database", tmp_path / "calls.db") == []


def test_a_page_tells_facts_transcript_turns_events_and_webhooks(database: Path) -> None:
    text = run("show", "--database", database, "5c4d").output
    for expected in (
        "call       5c4d030f-aaaa",
        "direction  inbound",
        "from       +31612345678",
        "to         +31850835037",
        "status     ended user_hangup",
        "barge ins  1",
        "Hello, how can I help?",
        'lookup({"q":1})',
        "You are ⟨interrupted⟩",
        "812 ms = endpointing 400 + stt 50 + llm 230 + tts 120 + link 12",
        "digit=5",
        "end-of-call-report",
        "status: answered 500",
    ):
        assert expected in text, expected
    assert "s3cret" not in text


def saved(path: Path, *, webhooks: tuple[Outgoing, ...] = (), **fields: Any) -> Path:
    """A database with this call."""

    async def save() -> None:
        store = await SqliteStore.open(path)
        await store.create_call(CallRow(**{"id": "c1", "created_at": AT, **fields}), webhooks)
        await store.close()

    asyncio.run(save())
    return path


def lines_of(*arguments: str | Path) -> list[str]:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


def test_an_outbound_call_is_from_our_number_to_the_one_called(tmp_path: Path) -> None:
    path = saved(tmp_path / "calls.db", direction="outbound", caller_phone="+316", assistant_phone="+3185")
    assert " outbound +3185 +316 " in lines_of("list", "--database", path)[1]
    assert {"direction outbound", "from +3185", "to +316"} <= {*lines_of("show", "--database", path, "c1")}


def test_an_outbound_call_without_a_number_of_ours_is_not_called_withheld(tmp_path: Path) -> None:
    path = saved(tmp_path / "calls.db", direction="outbound", caller_phone="+316")
    assert not any("withheld" in line for line in lines_of("list", "--database", path))


USAGE: dict[str, Any] = {
    "seconds": 4.1,
    "stt": [{"provider": "deepgram", "model": "nova-3", "seconds": 4.0}],
    "llm": [
        {"provider": "openai", "model": "big", "replies": 3, "untold": 1, "input_tokens": 13, "cached_tokens": 8},
        {"provider": "local", "model": None, "replies": 1, "untold": 0, "input_tokens": 5, "output_tokens": 4},
    ],
    "tts": [{"provider": "pico", "model": None, "characters": 237}],
    "summary": [],
    "analysis": [],
    "totals": {"characters": 237},
    "cost": {
        "currency": "EUR",
        "total": 0.0012,
        "parts": {"line": 0.001, "stt": 0.0002, "llm": 0.000056, "tts": 0},
        "unpriced": ["local"],
    },
}


def test_usage_and_cost_are_told_part_by_part(tmp_path: Path) -> None:
    path = saved(tmp_path / "calls.db", statistics={"usage": USAGE, "line": {"frames_dropped": 2}})
    shown = lines_of("show", "--database", path, "c1")
    at = shown.index("part who used cost")
    assert shown[at + 1 : at + 7] == [
        "line 4.1 s 0.001000",
        "stt deepgram/nova-3 4.0 s 0.000200",
        "llm openai/big 3 replies, 1 without figures, 13 tokens in (8 cached), 0 out 0.000056",
        "llm local 1 reply, 5 tokens in, 4 out",
        "tts pico 237 characters 0.000000",
        "total without a price: local 0.001200 EUR",
    ]
    assert "line frames_dropped=2" in shown
    assert not any("{" in line for line in shown)


def test_without_prices_usage_has_no_cost(tmp_path: Path) -> None:
    usage = {name: value for name, value in USAGE.items() if name != "cost"}
    shown = lines_of("show", "--database", saved(tmp_path / "calls.db", statistics={"usage": usage}), "c1")
    assert "stt deepgram/nova-3 4.0 s" in shown
    assert not any(line.startswith("total") for line in shown)


def test_the_analysis_is_told_name_by_name(tmp_path: Path) -> None:
    found = {"sentiment": 8, "wish": "a \x1b[2Jcall", "items": ["bread"]}
    shown = lines_of("show", "--database", saved(tmp_path / "calls.db", analysis_result=found), "c1")
    assert {"Analysis", "sentiment 8", "wish a �[2Jcall", 'items ["bread"]'} <= {*shown}


def test_a_webhook_that_was_put_back_goes_now_and_not_when_it_was_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    hook = Outgoing(webhook_id="w1", call_id="c1", event="hang", url="https://crm.example/h", body=b"{}")
    path = saved(tmp_path / "calls.db", webhooks=(hook,))
    connection = schema.connect_editor(path)
    outbox.put_back(connection, ["w1"], "2026-11-20T09:00:00.000Z")
    connection.close()
    shown = lines_of("show", "--database", path, "c1")
    assert "hang pending 0 now https://crm.example/h" in shown


def test_a_turns_bar_is_as_long_as_its_parts_together(database: Path) -> None:
    text = run("show", "--database", database, FIRST).output
    bars = [word for word in text.split() if len(word) > 10 and set(word) <= set("esmtcvl")]
    assert bars == ["e" * 20 + "s" * 2 + "m" * 11 + "v" * 6 + "l"] * 2


def test_a_callers_words_cannot_drive_the_terminal(database: Path) -> None:
    text = run("show", "--database", database, FIRST).output
    assert "\x1b" not in text
    assert "Look �[2Jme up" in text


def test_a_page_for_programs_holds_everything(database: Path) -> None:
    page = as_json("show", "--database", database, FIRST)
    assert set(page) == {"call", "messages", "turns", "events", "webhooks"}
    assert page["call"]["caller_phone"] == "+31612345678"
    assert page["messages"][0] == {
        "at": AT,
        "role": "assistant",
        "content": "Hello, how can I help?",
        "tool_calls": [],
        "tool_call_id": None,
        "interrupted": False,
    }
    assert page["turns"][0]["total_ms"] == 812
    assert sum(value for name, value in page["turns"][0]["timing"].items()) == 812
    assert page["events"] == [{"at": AT, "name": "digit", "values": {"digit": "5"}}]
    assert (page["webhooks"][0]["state"], page["webhooks"][0]["attempts"]) == ("pending", 1)
    assert "s3cret" not in json.dumps(page)


def test_an_id_that_fits_several_calls_or_none_is_refused_with_the_choice(database: Path) -> None:
    several = run("show", "--database", database, "5c4")
    assert several.exit_code == 2
    assert FIRST in several.output and SECOND in several.output
    for unknown in ("9", "", "5c4_", "%"):
        result = run("show", "--database", database, unknown)
        assert result.exit_code == 2
        assert "no call has an id that begins with" in result.output


def test_a_whole_id_is_found_even_if_another_begins_with_it(tmp_path: Path) -> None:
    async def fill_two() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        for call_id in ("a", "ab"):
            await store.create_call(CallRow(id=call_id))
        await store.close()

    asyncio.run(fill_two())
    assert as_json("show", "--database", tmp_path / "calls.db", "a")["call"]["id"] == "a"


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    result = run("list", "--database", tmp_path / "none.db")
    assert result.exit_code == 2
    assert f"{tmp_path / 'none.db'}: there is no call database here" in result.output


def test_without_a_configuration_the_way_round_it_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["-c", str(tmp_path / "none.toml"), "calls", "list"])
    assert result.exit_code == 2
    assert "--database FILE works without a configuration" in result.output


def test_a_database_in_a_folder_that_cannot_be_written_is_read_without_a_trace(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere; others may not
    assert as_json("show", "--database", database, FIRST)["call"]["id"] == FIRST
    assert [path.name for path in database.parent.iterdir()] == ["calls.db"]


# --- tail


def test_the_feed_tells_who_is_called_and_what_he_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    path = saved(tmp_path / "calls.db", direction="outbound", caller_phone="+316", assistant_phone="+3185")

    async def say() -> None:
        store = await SqliteStore.open(path)
        await store.add_turn("c1", turn(1, None))
        await store.close()

    asyncio.run(say())
    connection = schema.connect_observer(path)
    assert news(CallFeed(connection)) == [
        "07:32:00 c1 dials +3185 → +316",
        "c1 callee question 1",
        "c1 assistant answer 1",
    ]
    connection.close()


def news(feed: CallFeed) -> list[str]:
    return [" ".join(line.plain.split()) for line in feed.news()]


def test_the_feed_tells_each_thing_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    path = tmp_path / "calls.db"

    async def fill_first() -> None:
        store = await SqliteStore.open(path)
        await store.create_call(CallRow(id="old", created_at=AT, ended_at=AT, status="ended"))
        await store.create_call(CallRow(id="running", created_at=AT, caller_phone="101"))
        await store.close()

    async def go_on(*, end: bool) -> None:
        store = await SqliteStore.open(path)
        if not end:
            await store.change_call("running", {"started_at": AT, "status": "in-progress"})
            await store.add_turn("running", turn(1))
        else:
            await store.add_turn("running", turn(2, None))
            await store.change_call(
                "running", {"ended_at": AT, "status": "ended", "end_reason": "user_hangup", "duration_seconds": 9}
            )
        await store.close()

    asyncio.run(fill_first())
    connection = schema.connect_observer(path)
    feed = CallFeed(connection)
    assert news(feed) == ["07:32:00 running calls 101 → ?"]
    assert news(feed) == []
    asyncio.run(go_on(end=False))
    assert news(feed) == [
        "07:32:00 running answered",
        "running caller question 1",
        "running assistant answer 1",
        "running turn 1 812 ms = endpointing 400 + stt 50 + llm 230 + tts 120 + link 12",
    ]
    asyncio.run(go_on(end=True))
    assert news(feed) == [
        "running caller question 2",
        "running assistant answer 2 ⟨interrupted⟩",
        "07:32:00 running ended user_hangup after 9 s",
    ]
    assert news(feed) == []
    connection.close()


def test_tail_follows_a_daemon_that_writes_and_ends_when_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    schema.connect_writer(path).close()
    command = [sys.executable, "-m", "sovereign_pbx", "calls", "tail", "--database", str(path), "--interval", "0.05"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    async def call() -> None:
        store = await SqliteStore.open(path)
        await store.create_call(CallRow(id="c1", caller_phone="101"))
        await store.change_call("c1", {"ended_at": AT, "status": "failed", "error": "no media"})
        await store.close()

    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            assert process.stderr.readline() == "following; Ctrl-C ends\n"
            asyncio.run(call())
            lines = [process.stdout.readline() for _ in range(2)]
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert "101 → ?" in lines[0]
    assert "failed: no media" in lines[1]


def test_a_call_is_drawn_where_the_administrator_wants_it(database: Path, tmp_path: Path) -> None:
    found = run("show", "--database", database, FIRST, "--plot", "--out", tmp_path / "slow.png")
    assert (found.exit_code, found.output.strip()) == (0, str(tmp_path / "slow.png"))
    assert (tmp_path / "slow.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_file_name_the_picture_is_named_after_the_call(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run("show", "--database", database, FIRST, "--plot")
    assert found.output.strip() == f"call-{FIRST}.png"
    assert (tmp_path / f"call-{FIRST}.png").is_file()


def test_a_call_with_nothing_to_draw_says_so(database: Path) -> None:
    found = run("show", "--database", database, SECOND, "--plot")
    assert (found.exit_code, "no recording and no answered turn" in found.output) == (2, True)
