"""What a good webhook receiver feels of bad ones beside it.

    .venv/bin/python scripts/hostile-receivers.py

Runs the daemon's deliverer and store with a good receiver, first alone, then beside each kind of bad one that has a
backlog of its own, and prints how long a webhook takes from its writing to its arrival at the good one, and what the
deliverer's process holds meanwhile. The receivers are processes of their own. Takes less than two minutes; ends with
status 1 when a bad one delayed the good one beyond `--limit-ms`.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import os
import socket
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvloop

from sovereign_pbx.commands.bench.process import memory_mb
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.webhooks.delivery import Attempt, Deliverer, Patience
from sovereign_pbx.webhooks.post import open_session

EVERY_S = 0.02  # a webhook for the good receiver
BODY = b'{"message": "' + b"x" * 3000 + b'"}'
ATTEMPT_S = 5.0
LIMIT_MS = 100.0

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
Writer = asyncio.StreamWriter


@dataclass(frozen=True, slots=True)
class Bad:
    """A kind of bad receiver: its path, and how many webhooks wait for it. `beside`: on the good one's own server."""

    what: str
    path: str
    waiting: int = 300
    beside: bool = False


KINDS = (
    Bad("answers after 4 s", "slow"),
    Bad("the same, a path of the good one's server", "slow", beside=True),
    Bad("never answers", "never"),
    Bad("the same, a path of the good one's server", "never", beside=True),
    Bad("HTTP 500, a path of the good one's server", "fails", beside=True),
    Bad("every second answer is HTTP 500", "flapping"),
    Bad("HTTP 429, Retry-After 1", "busy"),
    Bad("redirects to itself", "redirect"),
    Bad("endless body", "endless"),
    Bad("endless header", "header"),
    Bad("a header byte every 0.3 s", "loris"),
    Bad("not HTTP, not UTF-8", "garbage"),
    Bad("less body than its Content-Length", "short"),
    Bad("resets the connection", "reset"),
    Bad("TLS that fails", "tls"),
    Bad("refuses connections, 10 000 wait", "dead", 10_000),
    Bad("never answers, 10 000 wait", "never", 10_000),
    Bad("HTTP 500 on 10 000 paths, one waits for each", "each-fails", 10_000),
)


# --- the receivers' process


class Receivers:
    """A server whose path says how it behaves. `good` notes when each webhook came, by the clock of all processes."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        self._turn = itertools.count()
        self._kinds: dict[str, Callable[[Writer], Awaitable[None]]] = {
            "slow": self._slow,
            "never": self._never,
            "fails": self._fails,
            "each-fails": self._fails,
            "flapping": self._flapping,
            "busy": lambda to: self._say(to, b"HTTP/1.1 429 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
            "redirect": lambda to: self._say(to, b"HTTP/1.1 302 Found\r\nLocation: /redirect\r\n\r\n"),
            "endless": lambda to: self._endless(to, b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 65536),
            "header": lambda to: self._endless(to, b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536),
            "loris": lambda to: self._endless(to, b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", 0.3),
            "garbage": lambda to: self._say(to, b"\xff\xfe\x00\x01 \xc3\x28\r\n\xff: \xff\r\n\r\n\xff"),
            "short": lambda to: self._say(to, b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\nshort"),
            "reset": self._reset,
            "tls": lambda to: self._say(to, b"\x15\x03\x01\x00\x02\x02\x28"),
        }

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                first = await reader.readexactly(1)
                head = b" /tls " if first == b"\x16" else first + await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ")[1].decode("latin-1").split("/")[1]
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
                if path == "log":
                    text = json.dumps(self.came).encode()
                    await self._say(writer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
                elif path == "good":
                    self.came.setdefault(fields[b"x-webhook-id"].decode(), time.monotonic())
                    await self._say(writer, NO_CONTENT)
                else:
                    await self._kinds[path](writer)
                    break
        with contextlib.suppress(ConnectionError):
            writer.close()

    async def _say(self, to: Writer, text: bytes) -> None:
        to.write(text)
        await to.drain()

    async def _slow(self, to: Writer) -> None:
        await asyncio.sleep(4.0)
        await self._say(to, NO_CONTENT)

    async def _never(self, to: Writer) -> None:
        await asyncio.sleep(600.0)

    async def _fails(self, to: Writer) -> None:
        await self._say(to, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    async def _flapping(self, to: Writer) -> None:
        await (self._fails(to) if next(self._turn) % 2 else self._say(to, NO_CONTENT))

    async def _reset(self, to: Writer) -> None:
        to.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _endless(self, to: Writer, head: bytes, part: bytes, every_s: float = 0.0) -> None:
        await self._say(to, head)
        while True:
            await self._say(to, part)
            await asyncio.sleep(every_s)


async def receive() -> None:
    """Serve until the standard input ends; the port is told on standard output."""
    server = await asyncio.start_server(Receivers().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@asynccontextmanager
async def receivers() -> AsyncIterator[int]:
    """A process of receivers; its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--receive", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


# --- the deliverer's side


@dataclass(slots=True)
class Found:
    """One row of the table."""

    what: str
    latencies_ms: list[float] = field(default_factory=list)
    lost: int = 0
    attempts: int = 0
    tasks: int = 0
    mb: float = 0.0
    lags_ms: list[float] = field(default_factory=list)

    def at(self, part: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("inf")


async def watch(found: Found) -> None:
    """Tasks, memory, and how late the loop is, until cancelled."""
    before = memory_mb(os.getpid())
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.005)
        found.lags_ms.append((time.monotonic() - began - 0.005) * 1000)
        found.tasks = max(found.tasks, len(asyncio.all_tasks()))
        found.mb = max(found.mb, memory_mb(os.getpid()) - before)


def outgoing(call_id: str, url: str) -> Outgoing:
    return Outgoing(webhook_id=call_id, call_id=call_id, event="status-update", url=url, body=BODY, secret="s")


async def write_backlog(store: SqliteStore, bad: Bad, url: str) -> None:
    own = bad.path.startswith("each")
    for begin in range(0, bad.waiting, 500):
        numbers = range(begin, min(begin + 500, bad.waiting))
        rows = [(f"bad-{n}", f"{url}/{n}" if own else url) for n in numbers]
        await asyncio.gather(*(store.create_call(CallRow(id=name), [outgoing(name, to)]) for name, to in rows))


async def write_good(store: SqliteStore, deliverer: Deliverer, url: str, seconds: float) -> dict[str, float]:
    """One after another at a steady pace; when each was written."""
    written: dict[str, float] = {}
    began = time.monotonic()

    async def write(number: int) -> None:
        name = f"good-{number}"
        written[name] = time.monotonic()
        await store.create_call(CallRow(id=name), [outgoing(name, url)])
        deliverer.poke()

    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds / EVERY_S)):
            await asyncio.sleep(began + number * EVERY_S - time.monotonic())
            group.create_task(write(number))
    return written


async def arrived(port: int, prefix: str, number: int, within_s: float) -> dict[str, float]:
    """When the good ones came, once all have, or as many as did."""
    deadline = time.monotonic() + within_s
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /log HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        came: dict[str, float] = json.loads(await reader.readexactly(int(head.rsplit(b" ", 1)[1])))
        writer.close()
        if len(came) >= number or time.monotonic() > deadline:
            return came
        await asyncio.sleep(0.2)


def bad_url(bad: Bad, good_port: int, bad_port: int) -> str:
    if bad.path == "dead":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{unused.getsockname()[1]}/dead"
    port = good_port if bad.beside else bad_port
    return f"{'https' if bad.path == 'tls' else 'http'}://127.0.0.1:{port}/{bad.path}"


async def measure(bad: Bad | None, seconds: float) -> Found:
    found = Found("(alone)" if bad is None else bad.what)

    def count(attempt: Attempt) -> None:
        found.attempts += 1

    patience = Patience(attempt_s=ATTEMPT_S)
    async with receivers() as good_port, receivers() as bad_port, open_session() as session:
        with tempfile.TemporaryDirectory() as folder:
            store = await SqliteStore.open(Path(folder) / "calls.db")
            deliverer = Deliverer(store, session, patience=patience, observe=count)
            if bad is not None:
                await write_backlog(store, bad, bad_url(bad, good_port, bad_port))
            watching = asyncio.create_task(watch(found))
            deliverer.start()
            written = await write_good(store, deliverer, f"http://127.0.0.1:{good_port}/good", seconds)
            came = await arrived(good_port, "good-", len(written), within_s=5.0)
            watching.cancel()
            await deliverer.close(grace_s=0.1)
            await store.close()
    found.latencies_ms = [(came[name] - at) * 1000 for name, at in written.items() if name in came]
    found.lost = len(written) - len(found.latencies_ms)
    found.attempts -= len(came)
    return found


def line(found: Found, alone: Found) -> str:
    p50, p95 = found.at(0.5), found.at(0.95)
    lags = sorted(found.lags_ms)
    cells = (
        found.what,
        f"{p50:.1f}",
        f"{p95:.1f}",
        f"{p95 / alone.at(0.95):.1f}",
        f"{found.attempts}",
        f"{found.tasks}",
        f"{found.mb:.0f}",
        f"{lags[int(len(lags) * 0.99)]:.1f}",
        f"{lags[-1]:.1f}",
    )
    return f"| {' | '.join(cells)} |" + (f" {found.lost} never came" if found.lost else "")


async def compare(kinds: list[Bad | None], seconds: float, limit_ms: float) -> int:
    print(
        "| beside a receiver that … | p50 ms | p95 ms | ratio | its attempts | tasks | MB more | lag p99 ms | lag max |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    await measure(None, 0.5)  # imports and first connections are nobody's fault
    alone = await measure(None, seconds)
    print(line(alone, alone), flush=True)
    hurt = 0
    for bad in kinds:
        found = await measure(bad, seconds)
        print(line(found, alone), flush=True)
        hurt += found.lost > 0 or found.at(0.95) > alone.at(0.95) + limit_ms
    return 1 if hurt else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="how long the good receiver gets webhooks, each time"
    )
    parser.add_argument("--only", default="", help="kinds whose description holds this")
    parser.add_argument("--limit-ms", type=float, default=LIMIT_MS, help="delay of the p95 that is a failure")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.receive:
        uvloop.run(receive())
        return 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    kinds: list[Bad | None] = [bad for bad in KINDS if chosen.only in bad.what]
    return uvloop.run(asyncio.wait_for(compare(kinds, chosen.seconds, chosen.limit_ms), 120.0))


if __name__ == "__main__":
    sys.exit(main())
