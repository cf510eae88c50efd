"""Callers who come and go all the time, for minutes: what a daemon must not keep of them.

    .venv/bin/python scripts/soak.py --minutes 5 --callers 40
    .venv/bin/python scripts/soak.py --minutes 35 --callers 6 --csv soak.csv && scripts/draw-soak.py soak.csv soak.svg

Starts a daemon of its own with scripted vendors and a webhook receiver beside it. Every caller does something else:
hangs up while it rings, in the greeting, over his own question, while a tool runs, in the answer, after an
interruption, is hung up on, put through to somebody who answers or does not, or finds no room, since two callers more
call than may. Prints what the daemon's process holds as time goes by, and ends with status 1 when
anything stayed: tasks, descriptors, memory, rows without an end, calls without exactly one report, webhooks that were
not delivered.
"""

import argparse
import asyncio
import csv
import json
import logging
import os
import random
import re
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import tomli_w
import uvloop
from aiohttp import web

from sovereign_pbx.commands.bench.load import sound
from sovereign_pbx.commands.bench.process import cpu_of, memory_mb, process
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller, NotAnswered
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.openai import Answer, ScriptedOpenAI

SAMPLE_S = 5.0
READY_S = 30.0
SETTLE_S = 40.0  # summaries, reports and the vendors' idle connections
TASKS_MORE = 6  # handlers of the scrape itself, and timers of shared connections
DESCRIPTORS_MORE = 16  # beyond one for each caller: connections to vendors and receivers are kept for the next call
MB_AN_HOUR = 60.0  # a leak of 100 kB in each of the 600 calls of an hour would show
STALLED = " stalled: "  # the scripted vendors share the machine with everything else
STALLED_PART = 0.01
COLLEAGUE = "200"
QUESTION, INTERRUPTION = sound("question"), sound("interruption")
LONG = "We open at nine, we close at five, and on Sundays we are closed all day long, as everybody here knows. " * 2


@dataclass(slots=True)
class Sample:
    """What the daemon's process held at one moment, and its database."""

    at_s: float
    calls: int
    tasks: int
    descriptors: int
    threads: int
    mb: float
    webhooks: int
    rows: int  # of calls
    open_rows: int  # without an end
    database_mb: float  # with its write-ahead log
    refused: int  # callers for whom there was no room, since the start
    cpu_s: float  # processor time since the start


@dataclass
class Soak:
    """A daemon under callers."""

    work: Path
    dice: random.Random
    pid: int = 0
    http: str = ""
    agi: tuple[str, int] = ("127.0.0.1", 0)
    audio: tuple[str, int] = ("127.0.0.1", 0)
    placed: Counter[str] = field(default_factory=Counter)
    reports: Counter[str] = field(default_factory=Counter)
    tools: int = 0
    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    # --- the others

    async def receive(self, request: web.Request) -> web.Response:
        """The account's webhook: counts reports, answers tools after a moment."""
        message = (await request.json())["message"]
        if message["type"] == "end-of-call-report":
            self.reports[message["call"]["id"]] += 1
        if message["type"] == "assistant-request":
            words = ["Jan", "Ann", "Eve"][self.dice.randrange(3)]
            keyterms = [f"order {self.dice.randrange(10**6)}"]  # each call's own settings must not stay either
            stt = {"provider": "deepgram", "model": "nova-3", "language": "en", "keyterms": keyterms}
            return web.json_response({"assistant": {"first_message": f"Hello {words}.", "stt_config": stt}})
        if message["type"] == "tool-calls":
            self.tools += 1
            await asyncio.sleep(self.dice.uniform(0.0, 2.5))
            return web.json_response({"result": "from nine to five"})
        return web.json_response({})

    def answer(self, request: dict[str, Any]) -> Answer:
        """The scripted model: mostly words, sometimes a tool, sometimes the end."""
        if request["messages"][-1]["role"] == "tool" or not request.get("tools"):
            return Answer("We open at nine.")
        luck = self.dice.random()
        if luck < 0.08:
            return Answer(tools=(("transfer_call", f'{{"destination": "{COLLEAGUE}"}}'),))
        if luck < 0.3:
            return Answer(tools=(("opening_hours", '{"day": "sunday"}'),))
        return Answer("Goodbye.", tools=(("end_call", "{}"),)) if luck < 0.4 else Answer(LONG)

    # --- the callers

    async def keep_calling(self, ticker: CallerTicker, until: float) -> None:
        """One line that is hardly ever idle."""
        while time.monotonic() < until:
            part = self.dice.choice(PARTS)
            self.placed[part.__name__] += 1
            caller = AudioSocketCaller(ticker, agi=self.agi, audio=self.audio, keep_audio=False)
            caller.reached = self.dice.random() < 0.5
            async with caller:
                try:
                    async with asyncio.timeout(60):
                        await part(self, caller)
                except NotAnswered as exc:
                    self.placed[f"not answered ({exc.action or exc.status})"] += 1
                except TimeoutError:
                    self.faults.append(f"{part.__name__}: the call did not end within a minute")
            await asyncio.sleep(self.dice.uniform(0.0, 0.3))

    async def some(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self.dice.uniform(least_s, most_s))

    # --- watching

    async def watch(self) -> None:
        while True:
            await self.sample()
            await asyncio.sleep(SAMPLE_S)

    async def sample(self) -> Sample:
        async with aiohttp.ClientSession() as session, session.get(f"{self.http}/metrics") as response:
            text = await response.text()
        rows, open_rows, database_mb = await asyncio.to_thread(self._database)
        taken = Sample(
            at_s=round(time.monotonic() - self.began, 1),
            calls=int(_gauge(text, "calls_active")),
            tasks=int(_gauge(text, "loop_tasks")),
            descriptors=len(os.listdir(f"/proc/{self.pid}/fd")),
            threads=len(os.listdir(f"/proc/{self.pid}/task")),
            mb=round(memory_mb(self.pid), 2),
            webhooks=int(_gauge(text, "webhooks_pending")),
            rows=rows,
            open_rows=open_rows,
            database_mb=round(database_mb, 2),
            refused=int(_sum(text, "calls_refused_total")),
            cpu_s=round(cpu_of(self.pid).whole, 2),
        )
        self.samples.append(taken)
        print(
            f"{taken.at_s:7.0f} s {taken.calls:5d} calls {taken.tasks:5d} tasks {taken.descriptors:5d} descriptors"
            f" {taken.threads:4d} threads {taken.mb:7.1f} MB {taken.webhooks:5d} webhooks waiting {taken.rows:6d} rows"
            f" {taken.open_rows:4d} open {taken.database_mb:7.2f} MB of database {taken.refused:5d} refused",
            flush=True,
        )
        return taken

    @property
    def database(self) -> Path:
        return self.work / "state" / "sovereign.sqlite"

    def _database(self) -> tuple[int, int, float]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as store:
            rows, ended = store.execute("SELECT count(*), count(ended_at) FROM calls").fetchone()
        files = (self.database, self.database.with_name(f"{self.database.name}-wal"))
        return rows, rows - ended, sum(file.stat().st_size for file in files if file.exists()) / 1e6

    async def settled(self) -> Sample:
        """What is left when every call is over and summed up."""
        deadline = time.monotonic() + SETTLE_S
        taken = await self.sample()
        while (taken.calls or taken.webhooks or taken.tasks > TASKS_MORE * 3) and time.monotonic() < deadline:
            await asyncio.sleep(2.0)
            taken = await self.sample()
        return taken

    # --- the verdict

    def judge(self, idle: Sample, busy: list[Sample], left: Sample, callers: int) -> None:
        if left.calls or left.webhooks:
            self.faults.append(f"{left.calls} calls and {left.webhooks} webhooks are left")
        if left.tasks > idle.tasks + TASKS_MORE:
            self.faults.append(f"{left.tasks} tasks are left, {idle.tasks} before the first call")
        if left.descriptors > idle.descriptors + callers + DESCRIPTORS_MORE:
            self.faults.append(f"{left.descriptors} descriptors are left, {idle.descriptors} before the first call")
        self._judge_memory(busy)
        self._judge_rows()

    def _judge_memory(self, busy: list[Sample]) -> None:
        """The slope of the second half: the first fills caches."""
        half = busy[len(busy) // 2 :]
        if len(half) < 6 or half[-1].at_s - half[0].at_s < 60:
            return
        third = max(1, len(half) // 3)
        first, last = sorted(one.mb for one in half[:third]), sorted(one.mb for one in half[-third:])
        grown, lasted = last[third // 2] - first[third // 2], half[-1].at_s - half[0].at_s
        if grown > max(3.0, MB_AN_HOUR * lasted / 3600):
            self.faults.append(f"memory grew by {grown:.1f} MB in {lasted:.0f} s")

    def _judge_rows(self) -> None:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as store:
            rows = store.execute("SELECT id, started_at, ended_at, status, end_reason, error FROM calls").fetchall()
        open_rows = [row[0] for row in rows if row[2] is None or row[3] not in ("ended", "failed")]
        answered = {row[0] for row in rows if row[1] is not None}
        if open_rows:
            self.faults.append(f"{len(open_rows)} rows have no end")
        once = {call for call, count in self.reports.items() if count == 1}
        if once != answered or sum(self.reports.values()) != len(answered):
            missing, twice = len(answered - once), len([c for c in self.reports.values() if c > 1])
            self.faults.append(f"{len(answered)} answered calls: {missing} without one report, {twice} with several")
        errors = Counter(str(row[5]) for row in rows if row[5])
        stalled = sum(count for error, count in errors.items() if STALLED in error)
        if stalled <= max(1, len(rows) * STALLED_PART):
            errors = Counter({error: count for error, count in errors.items() if STALLED not in error})
            print(f"\n{stalled} calls went to the fallback because a vendor of ours was late on this machine")
        self.faults += [f"{count} calls ended with the error {error!r}" for error, count in errors.items()]
        reasons = Counter(row[4] for row in rows)
        print(f"\n{len(rows)} calls, {len(answered)} answered, {self.tools} tools used; ends: {dict(reasons)}")
        print(f"what callers did: {dict(sorted(self.placed.items()))}")


# --- what callers do


async def leaves_while_it_rings(soak: Soak, caller: AudioSocketCaller) -> None:
    placing = asyncio.create_task(caller.place())
    await soak.some(0.0, 0.15)
    await caller.hang_up()
    await asyncio.gather(placing, return_exceptions=True)
    await caller.hang_up()


async def leaves_at_once(soak: Soak, caller: AudioSocketCaller) -> None:
    await caller.place()
    await caller.hang_up()


async def leaves_in_the_greeting(soak: Soak, caller: AudioSocketCaller) -> None:
    await caller.place()
    await soak.some(0.05, 1.5)
    await caller.hang_up()


async def leaves_in_his_question(soak: Soak, caller: AudioSocketCaller) -> None:
    await caller.place()
    await soak.some(0.5, 2.0)
    caller.say(QUESTION)
    await soak.some(0.1, 1.0)
    await caller.hang_up()


async def leaves_before_the_answer(soak: Soak, caller: AudioSocketCaller) -> None:
    await _ask(soak, caller)
    await soak.some(0.0, 0.8)
    await caller.hang_up()


async def leaves_in_the_answer(soak: Soak, caller: AudioSocketCaller) -> None:
    await _ask(soak, caller)
    await soak.some(1.0, 4.0)
    await caller.hang_up()


async def interrupts(soak: Soak, caller: AudioSocketCaller) -> None:
    await _ask(soak, caller)
    await soak.some(1.0, 3.0)
    if not _is_over(caller):
        caller.say(INTERRUPTION)
        await soak.some(0.2, 4.0)
    await caller.hang_up()


async def presses_digits(soak: Soak, caller: AudioSocketCaller) -> None:
    await caller.place()
    await soak.some(0.2, 1.0)
    caller.press("42#")
    await soak.some(0.1, 2.5)
    await caller.hang_up()


async def asks_until_hung_up_on(soak: Soak, caller: AudioSocketCaller) -> None:
    await _ask(soak, caller)
    for _ in range(3):
        await soak.some(3.0, 5.0)
        if _is_over(caller):
            break
        caller.say(QUESTION)
    await caller.hang_up()


async def _ask(soak: Soak, caller: AudioSocketCaller) -> None:
    await caller.place()
    await soak.some(1.2, 2.0)
    if _is_over(caller) or caller.leg is None:
        return  # there was no room, and he has heard so
    said = [asyncio.create_task(caller.say(QUESTION).finished.wait()), asyncio.create_task(caller.leg.ended.wait())]
    await asyncio.wait(said, return_when=asyncio.FIRST_COMPLETED)
    for waiting in said:
        waiting.cancel()


def _is_over(caller: AudioSocketCaller) -> bool:
    return caller.leg is None or caller.leg.ended.is_set()


Part = Callable[[Soak, AudioSocketCaller], Awaitable[None]]
PARTS: tuple[Any, ...] = (
    leaves_while_it_rings,
    leaves_at_once,
    leaves_in_the_greeting,
    leaves_in_his_question,
    leaves_before_the_answer,
    leaves_in_the_answer,
    interrupts,
    presses_digits,
    asks_until_hung_up_on,
)


# --- the stage


@asynccontextmanager
async def staged(work: Path, dice: random.Random, callers: int) -> AsyncIterator[Soak]:
    """The vendors, the receiver and the daemon, ready for calls."""
    made = Soak(work, dice)
    async with AsyncExitStack() as stack:
        deepgram = await stack.enter_async_context(ScriptedDeepgram(["What time do you open?"]))
        openai = await stack.enter_async_context(ScriptedOpenAI(made.answer, first_token_ms=100, tokens_per_s=200))
        elevenlabs = await stack.enter_async_context(ScriptedElevenLabs(first_audio_ms=60, real_time_factor=0.1))
        ports = reserve_ports()
        stack.callback(ports.release)
        agi, audio, http = (ports.take(socket.SOCK_STREAM) for _ in range(3))
        made.agi, made.audio, made.http = ("127.0.0.1", agi), ("127.0.0.1", audio), f"http://127.0.0.1:{http}"
        urls = {"deepgram": deepgram.url, "openai": openai.base_url, "elevenlabs": elevenlabs.url}
        hook = await _receiver(stack, made)
        config = await asyncio.to_thread(_configure, work, urls, hook, (agi, audio, http), callers)
        log = work / "daemon.log"
        daemon = await stack.enter_async_context(process(["-m", "sovereign_pbx", "run", "-c", str(config)], log))
        made.pid = daemon.pid
        await _until_ready(made, log)
        yield made


async def _receiver(stack: AsyncExitStack, soak: Soak) -> str:
    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_post("/hook", soak.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/hook"


def _configure(work: Path, urls: dict[str, str], hook: str, ports: tuple[int, int, int], callers: int) -> Path:
    agi, audio, http = ports
    tool = {"name": "opening_hours", "description": "When the shop is open", "message": "Let me see."}
    colleague = {"type": "number", "number": COLLEAGUE, "description": "A colleague", "message": "One moment please."}
    assistant = {
        "first_message": "Good morning, how can I help you?",
        "webhook_events": ["assistant-request", "tool-calls", "status-update", "end-of-call-report"],
        "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "en"},
        "llm_config": {
            "provider": "openai",
            "model": "scripted",
            "messages": [{"role": "system", "content": "You answer the telephone."}],
            "tools": [tool, {"type": "end_call"}, {"type": "transfer_call", "destinations": [colleague]}],
        },
        "tts_config": {"provider": "elevenlabs", "voice_id": "soak"},
    }
    settings = {
        "daemon": {"state_dir": str(work / "state"), "drain_seconds": 1},
        "http": {"port": http},
        "asterisk": {"agi": {"port": agi}, "audiosocket": {"port": audio}},
        # no back-pressure: the callers and vendors of a soak share its processors
        "limits": {"max_calls": max(2, callers - 2), "over_limit": "message", "max_messages": 1, "max_lag_ms": 0},
        "dialling": {"allow": [COLLEAGUE]},
        "webhook": {"url": hook, "secret": "soak"},
        "recording": {"enabled": True},
        "log": {"format": "json", "level": "warning"},
        "providers": {name: {"api_key": "test-key", "base_url": url} for name, url in urls.items()},
        "assistants": {"soak": assistant},
        "numbers": [{"number": "*", "assistant": "soak"}],
    }
    path = work / "config.toml"
    path.touch(mode=0o600)
    path.write_text(tomli_w.dumps(settings), "utf-8")
    return path


async def _until_ready(soak: Soak, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(f"{soak.http}/api/v1/health") as response:
                    await response.read()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise SystemExit(f"the daemon did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _sum(text: str, name: str) -> float:
    return sum(float(found) for found in re.findall(rf"^sovereign_{name}{{.*}} ([0-9.e+-]+)$", text, re.MULTILINE))


def _gauge(text: str, name: str) -> float:
    found = re.search(rf"^sovereign_{name} ([0-9.e+-]+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


async def run(seconds: float, callers: int, seed: int, work: Path, table: Path | None) -> list[str]:
    """Soak a daemon; what is wrong with it."""
    async with staged(work, random.Random(seed), callers) as soak:
        with CallerTicker() as ticker:
            await soak.keep_calling(ticker, time.monotonic() + 3.0)  # what is loaded once is loaded now
            idle = await soak.settled()
            watching = asyncio.create_task(soak.watch())
            before = len(soak.samples)
            until = time.monotonic() + seconds
            await asyncio.gather(*(soak.keep_calling(ticker, until) for _ in range(callers)))
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            busy = soak.samples[before:]
            left = await soak.settled()
            soak.judge(idle, busy, left, callers)
            if table is not None:
                await asyncio.to_thread(write_table, soak.samples, table)
        soak.faults += complaints(work / "daemon.log")
        return soak.faults


def write_table(samples: list[Sample], path: Path) -> None:
    """Every sample as a line of CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(samples[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)


def complaints(log: Path) -> list[str]:
    """What the daemon logged as an error, each kind once, with the end of its traceback."""
    kinds: Counter[str] = Counter()
    for line in log.read_text("utf-8", "replace").splitlines():
        try:
            told = json.loads(line)
        except ValueError:  # the interpreter's own words
            if re.search(r"Error|Exception|Traceback|never", line):
                kinds[line] += 1
            continue
        if told.get("level") in ("error", "critical") and STALLED not in str(told.get("error")):
            where = " | ".join(str(told.get("exception", "")).splitlines()[-5:])
            kinds[f"{told.get('event')} {told.get('task', '')} {where}"] += 1
    return [f"logged {count} times: {kind[:600]}" for kind, count in kinds.most_common(10)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Soak a daemon in callers who come and go.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--callers", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="write every sample there")
    options = parser.parse_args()
    if not 0 < options.minutes <= 240 or not 0 < options.callers <= 500:
        parser.error("up to 240 minutes and 500 callers")
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # the vendors' word on callers who left
    with (
        tempfile.TemporaryDirectory(prefix="sovereign-soak-") as work,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        faults = runner.run(run(options.minutes * 60, options.callers, options.seed, Path(work), options.csv))
    for fault in faults:
        print(f"FAULT {fault}")
    print("nothing stayed" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
