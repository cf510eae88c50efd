"""SIGKILL at any moment: what was acknowledged is there, and nothing is there in part."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

WRITER = """
import asyncio, sys
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.store.sqlite import SqliteStore

AT = "2026-11-20T07:32:00.123Z"

def hook(call_id, event):
    return Outgoing(webhook_id=f"{call_id}-{event}", call_id=call_id, event=event, url="http://127.0.0.1:9/",
                    body=b"{}" * 2000)

async def call(store, call_id):
    await store.create_call(CallRow(id=call_id), [hook(call_id, "started")])
    print("created", call_id, flush=True)
    for n in range(3):
        await store.add_message(call_id, Message("user", "word " * 200), AT)
    print("spoken", call_id, flush=True)
    await store.change_call(call_id, {"status": "ended", "ended_at": AT},
                            [hook(call_id, "status-update"), hook(call_id, "end-of-call-report")])
    print("ended", call_id, flush=True)

async def worker(store, name):
    for n in range(100_000):
        await call(store, f"{name}-{n}")

async def main():
    store = await SqliteStore.open(sys.argv[1])
    await asyncio.gather(*(worker(store, f"{sys.argv[2]}-{n}") for n in range(8)))

asyncio.run(main())
"""


def write_until_killed(path: Path, generation: int, after_lines: int) -> dict[str, set[str]]:
    """Run the writer and kill it after so many acknowledgements; what it acknowledged, by kind."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(generation)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after_lines)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    acknowledged: dict[str, set[str]] = {"created": set(), "spoken": set(), "ended": set()}
    for line in lines:
        if line.endswith("\n"):
            kind, call_id = line.split()
            acknowledged[kind].add(call_id)
    return acknowledged


def test_a_killed_writer_leaves_every_acknowledged_write_and_no_partial_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    chance = random.Random(20261120)
    for generation in range(6):
        acknowledged = write_until_killed(path, generation, chance.randrange(1, 400))
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        states = dict(connection.execute("SELECT id, status FROM calls"))
        hooks = dict(connection.execute("SELECT call_id, count(*) FROM outbox GROUP BY call_id"))
        spoken = dict(connection.execute("SELECT call_id, count(*) FROM messages GROUP BY call_id"))
        connection.close()
        assert acknowledged["created"] <= set(states)
        assert all(spoken.get(call_id) == 3 for call_id in acknowledged["spoken"])
        assert all(states[call_id] == "ended" for call_id in acknowledged["ended"])
        for call_id, status in states.items():
            assert hooks[call_id] == (3 if status == "ended" else 1), (call_id, status)
