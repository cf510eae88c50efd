"""kill -9 of the daemon at random moments of many calls' lives: nothing promised is lost, nothing is told twice."""

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.assistants.model import EVENTS
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller, NotAnswered
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.openai import Answer, ScriptedOpenAI
from sovereign_pbx.testing.providers.openai_rules import Flavour
from tests.calls.house import QUESTION, assistant, play
from tests.calls.scene_daemon import DaemonProcess
from tests.calls.scene_stage import settings_for
from tests.calls.test_after_the_call import kind
from tests.waiting import until
from tests.webhooks.receiver import Got, Receiver, listening

ROUNDS = 8
CALLERS = 20
SEED = 20261120
LOST = "the daemon was stopped during the call"
PHASES = ("ringing", "talking", "using a tool", "summing up", "analysing")
HOURS = {"name": "opening_hours", "description": "When the shop is open", "parameters": {"type": "object"}}
ANALYSIS = {
    "structured_data_plan": {
        "enabled": True,
        "schema": {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]},
    }
}
ANALYSED = {"mood": "He asked politely, and was content with what he was told about the opening hours. " * 4}
LONG_SUMMARY = "The caller wanted to know when the shop is open and was told that it opens at nine every day. " * 4


@dataclass
class Fate:
    """One caller, and what he knows of his call."""

    call_id: str = ""
    ringing: bool = False
    answered_at: float | None = None
    hung_up_at: float | None = None


@dataclass
class Town:
    """A daemon that dies again and again, and those who call it."""

    daemon: DaemonProcess
    ticker: CallerTicker
    receiver: Receiver
    openai: "Analysts"
    settings: dict[str, object]
    fates: list[Fate] = field(default_factory=list)
    deaths: list[float] = field(default_factory=list)
    tools_at_work: int = 0
    cut_off: Counter[str] = field(default_factory=Counter)  # calls, by the phase of their lives that a death found
    disturbing: random.Random = field(default_factory=lambda: random.Random(SEED))

    def caller(self) -> AudioSocketCaller:
        asterisk = self.settings["asterisk"]
        assert isinstance(asterisk, dict)
        return AudioSocketCaller(
            self.ticker,
            agi=("127.0.0.1", asterisk["agi"]["port"]),
            audio=("127.0.0.1", asterisk["audiosocket"]["port"]),
            keep_audio=False,
        )

    async def live(self, dice: random.Random) -> None:
        """One caller's life, cut short or not."""
        fate = Fate()
        self.fates.append(fate)
        await asyncio.sleep(dice.uniform(0.0, 6.5))
        async with self.caller() as caller:
            fate.ringing = True
            try:
                await caller.place()
            except NotAnswered:
                return
            finally:
                fate.ringing = False
                fate.call_id = caller.variables.get("SOVEREIGN_CALL", "")
            fate.answered_at = caller.answered_at
            talk = [asyncio.create_task(caller.over()), asyncio.create_task(self._talk(caller, dice))]
            await asyncio.wait(talk, return_when=asyncio.FIRST_COMPLETED)
            if caller.leg is not None and caller.leg.ending is None:
                fate.hung_up_at = asyncio.get_running_loop().time()
            await caller.hang_up()
            for task in talk:
                task.cancel()
            await asyncio.wait(talk)

    async def _talk(self, caller: AudioSocketCaller, dice: random.Random) -> None:
        await asyncio.sleep(dice.uniform(0.0, 1.0))
        if dice.random() < 0.8:
            caller.say(QUESTION)
        await asyncio.sleep(dice.uniform(0.0, 7.0))

    async def round(self, number: int) -> None:
        """Twenty callers, and a death among them."""
        dice = random.Random(SEED + number)
        callers = [asyncio.create_task(self.live(random.Random(f"{number} {one}"))) for one in range(CALLERS)]
        await asyncio.sleep(dice.uniform(2.0, 8.0))
        self.deaths.append(asyncio.get_running_loop().time())
        self.cut_off["ringing"] += sum(fate.ringing for fate in self.fates)
        analysing = self.openai.analysing
        await self.daemon.kill()
        await self._count_cut_off(analysing)
        await asyncio.wait_for(asyncio.gather(*callers), 30.0)

    async def _count_cut_off(self, analysing: int) -> None:
        rows = [row for row in (await self.rows()).values() if row.summary is None and row.started_at is not None]
        alive = sum(row.ended_at is None for row in rows)
        self.cut_off["talking"] += alive - self.tools_at_work
        self.cut_off["using a tool"] += self.tools_at_work
        self.cut_off["analysing"] += analysing
        self.cut_off["summing up"] += len(rows) - alive - analysing

    async def answer(self, got: Got) -> web.StreamResponse:
        """A receiver that takes its time and sometimes fails: questions and deliveries are under way at every death."""
        if got.event == "tool-calls":
            self.tools_at_work += 1
            try:
                await asyncio.sleep(self.disturbing.uniform(0.3, 2.5))
            finally:
                self.tools_at_work -= 1
            return web.json_response({"result": "from nine to five"})
        if got.event == "assistant-request":
            await asyncio.sleep(self.disturbing.uniform(0.2, 2.0))
            return web.json_response({})
        await asyncio.sleep(self.disturbing.uniform(0.0, 0.3))
        return web.Response(status=500 if self.disturbing.random() < 0.1 else 204)

    async def rows(self) -> dict[str, CallRow]:
        store = await SqliteStore.open(Path(str(self.settings["database"])))
        try:
            return {row.id: row for row in await store.calls(limit=1000)}
        finally:
            await store.close()


class Analysts(ScriptedOpenAI):
    """Knows how many analyses it is at work on."""

    analysing = 0

    async def _chunks(self, body: dict[str, Any], flavour: Flavour, answer: Answer) -> AsyncIterator[bytes]:
        mine = kind(body) == "analysis"
        self.analysing += mine
        try:
            async for chunk in super()._chunks(body, flavour, answer):
                yield chunk
        finally:
            self.analysing -= mine


def script(request: dict[str, Any]) -> Answer:
    """Half of those who ask make the assistant use its tool; summaries and analyses take a while."""
    messages = request["messages"]
    if kind(request) == "analysis":
        return Answer(json.dumps(ANALYSED))
    if not request.get("tools"):
        return Answer(LONG_SUMMARY)
    if messages[-1]["role"] == "tool" or random.random() < 0.5:
        return Answer("We open at nine.")
    return Answer(tools=(("opening_hours", "{}"),))


async def nobody(got: Got) -> web.StreamResponse:
    return web.Response(status=503)


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        receiver = Receiver(nobody)
        deepgram = await stack.enter_async_context(ScriptedDeepgram(["What time do you open?"]))
        openai = await stack.enter_async_context(Analysts(script, first_token_ms=100))
        elevenlabs = await stack.enter_async_context(ScriptedElevenLabs(first_audio_ms=50, real_time_factor=0.05))
        await stack.enter_async_context(listening(receiver))
        block = reserve_ports()
        stack.callback(block.release)
        ports = {name: block.take(socket.SOCK_STREAM) for name in ("agi", "audio", "http")}
        urls = {
            "receiver": receiver.url,
            "deepgram": deepgram.url,
            "openai": openai.base_url,
            "elevenlabs": elevenlabs.url,
        }
        reception = assistant(
            webhook_events=list(EVENTS),
            llm_config={**assistant()["llm_config"], "tools": [HOURS]},
            analysis_plan=ANALYSIS,
        )
        settings = settings_for(folder, ports, urls, None, http={"enabled": True}, assistants={"reception": reception})
        daemon = DaemonProcess(folder, settings)
        ticker = stack.enter_context(CallerTicker())
        stack.push_async_callback(daemon.stop)
        place = Town(daemon, ticker, receiver, openai, {**settings, "database": folder / "state" / "sovereign.sqlite"})
        receiver.answer = place.answer
        yield place


def told(receiver: Receiver) -> dict[str, list[tuple[str, str]]]:
    """What was told of each call, in order; repetitions of a webhook, which its id gives away, counted once."""
    seen: set[str] = set()
    found: dict[str, list[tuple[str, str]]] = {}
    for got in receiver.got:
        if got.webhook_id not in seen and got.event in ("status-update", "end-of-call-report"):
            seen.add(got.webhook_id)
            call = got.body["message"]["call"]
            found.setdefault(call["id"], []).append((got.event, call["status"]))
    return found


@pytest.mark.timeout(300)
def test_a_daemon_killed_at_any_moment_loses_no_call_and_tells_nothing_twice(tmp_path: Path) -> None:
    async def scene() -> None:
        async with town(tmp_path) as place:
            for number in range(ROUNDS):
                await place.daemon.start()
                await place.round(number)
            await place.daemon.start()
            rows = await place.rows()
            owed = {row.id for row in rows.values() if row.started_at is not None}
            await until(lambda: {id for id, events in told(place.receiver).items() if len(events) == 3} >= owed, 60.0)
            await place.daemon.stop()
            judge(place, await place.rows())

    play(scene())


def judge(place: Town, rows: dict[str, CallRow]) -> None:
    news = told(place.receiver)
    for row in rows.values():
        assert row.ended_at is not None and row.end_reason, row
        how = "ended-with-error" if row.error else "ended"
        once = [("status-update", "in-progress"), ("status-update", how), ("end-of-call-report", how)]
        assert row.analysis_result in (None, ANALYSED), row
        assert news.get(row.id, []) == (once if row.started_at is not None else []), (row, news.get(row.id))
    reported = [got.body["message"] for got in place.receiver.got if got.event == "end-of-call-report"]
    for report in reported:
        assert report.get("analysis") == rows[report["call"]["id"]].analysis_result
    assert any(row.analysis_result for row in rows.values()), "no analysis was ever done"
    for fate in place.fates:
        if fate.answered_at is not None:
            assert fate.call_id in rows, "a caller was answered, and there is no trace of him"
            died_at = next(death for death in place.deaths if death > fate.answered_at)
            if died_at - fate.answered_at > 0.5:  # what was answered a moment before may not be on disk as answered
                assert rows[fate.call_id].started_at is not None
            if fate.hung_up_at is not None and died_at - fate.hung_up_at > 1.0:
                assert rows[fate.call_id].end_reason == "user_hangup"
    assert len(rows) + place.cut_off["ringing"] >= 100, "too few lives"
    for phase in PHASES:
        assert place.cut_off[phase], f"no death found anybody {phase}"
    ids = Counter(got.webhook_id for got in place.receiver.got if got.event in ("status-update", "end-of-call-report"))
    reports = Counter(got.event for got in place.receiver.got)["end-of-call-report"]
    answered = sum(row.started_at is not None for row in rows.values())
    analysed = sum(row.analysis_result is not None for row in rows.values())
    repeated = sum(number > 1 for number in ids.values())
    phases = ", ".join(f"{place.cut_off[phase]} {phase}" for phase in PHASES)
    print(  # noqa: T201  shown with -s
        f"{len(rows)} calls, {answered} answered; cut off {phases}; {len(ids)} webhooks, {repeated} of them repeated; "
        f"{answered} reports, told {reports} times; {analysed} analysed"
    )
