"""kill -9 of the daemon at random moments of many calls' lives: nothing promised is lost, nothing is told twice."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller, NotAnswered
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.openai import ScriptedOpenAI
from tests.calls.house import QUESTION, play
from tests.calls.scene_daemon import DaemonProcess
from tests.calls.scene_stage import settings_for
from tests.waiting import until
from tests.webhooks.receiver import Got, Receiver, listening

ROUNDS = 4
CALLERS = 20
SEED = 20261120
LOST = "the daemon was stopped during the call"


@dataclass
class Fate:
    """One caller, and what he knows of his call."""

    call_id: str = ""
    answered_at: float | None = None
    hung_up_at: float | None = None


@dataclass
class Town:
    """A daemon that dies again and again, and those who call it."""

    daemon: DaemonProcess
    ticker: CallerTicker
    receiver: Receiver
    settings: dict[str, object]
    fates: list[Fate] = field(default_factory=list)
    deaths: list[float] = field(default_factory=list)

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
        await asyncio.sleep(dice.uniform(0.0, 2.0))
        async with self.caller() as caller:
            try:
                await caller.place()
            except NotAnswered:
                return
            finally:
                fate.call_id = caller.variables.get("SOVEREIGN_CALL", "")
            fate.answered_at = caller.answered_at
            await asyncio.wait(
                [asyncio.create_task(caller.over()), asyncio.create_task(self._talk(caller, dice))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if caller.leg is not None and caller.leg.ending is None:
                fate.hung_up_at = asyncio.get_running_loop().time()
            await caller.hang_up()

    async def _talk(self, caller: AudioSocketCaller, dice: random.Random) -> None:
        await asyncio.sleep(dice.uniform(0.0, 2.0))
        if dice.random() < 0.7:
            caller.say(QUESTION)
        await asyncio.sleep(dice.uniform(0.0, 4.0))

    async def round(self, number: int) -> None:
        """Twenty callers, and a death among them."""
        dice = random.Random(SEED + number)
        callers = [asyncio.create_task(self.live(random.Random(f"{number} {one}"))) for one in range(CALLERS)]
        await asyncio.sleep(dice.uniform(1.0, 4.0))
        self.deaths.append(asyncio.get_running_loop().time())
        await self.daemon.kill()
        await asyncio.wait_for(asyncio.gather(*callers), 30.0)

    async def rows(self) -> dict[str, CallRow]:
        store = await SqliteStore.open(Path(str(self.settings["database"])))
        try:
            return {row.id: row for row in await store.calls(limit=1000)}
        finally:
            await store.close()


@asynccontextmanager
async def town(folder: Path, receiver: Receiver) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        deepgram = await stack.enter_async_context(ScriptedDeepgram(["What time do you open?"]))
        openai = await stack.enter_async_context(ScriptedOpenAI(("We open at nine.",), first_token_ms=100))
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
        settings = settings_for(folder, ports, urls, None, http={"enabled": True})
        daemon = DaemonProcess(folder, settings)
        ticker = stack.enter_context(CallerTicker())
        stack.push_async_callback(daemon.stop)
        yield Town(daemon, ticker, receiver, {**settings, "database": folder / "state" / "sovereign.sqlite"})


def told(receiver: Receiver) -> dict[str, list[tuple[str, str]]]:
    """What was told of each call, in order; repetitions of a webhook, which its id gives away, counted once."""
    seen: set[str] = set()
    found: dict[str, list[tuple[str, str]]] = {}
    for got in receiver.got:
        if got.webhook_id not in seen:
            seen.add(got.webhook_id)
            call = got.body["message"]["call"]
            found.setdefault(call["id"], []).append((got.event, call["status"]))
    return found


@pytest.mark.timeout(180)
def test_a_daemon_killed_at_any_moment_loses_no_call_and_tells_nothing_twice(tmp_path: Path) -> None:
    async def scene() -> None:
        dice = random.Random(SEED)

        async def now_and_then(got: Got) -> web.StreamResponse:
            """A receiver that is busy, and sometimes fails: deliveries are under way at every death."""
            await asyncio.sleep(dice.uniform(0.0, 0.3))
            return web.Response(status=500 if dice.random() < 0.1 else 204)

        async with town(tmp_path, Receiver(now_and_then)) as place:
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
        assert news.get(row.id, []) == (once if row.started_at is not None else []), (row, news.get(row.id))
    for fate in place.fates:
        if fate.answered_at is not None:
            assert fate.call_id in rows, "a caller was answered, and there is no trace of him"
            died_at = next(death for death in place.deaths if death > fate.answered_at)
            if died_at - fate.answered_at > 0.5:  # what was answered a moment before may not be on disk as answered
                assert rows[fate.call_id].started_at is not None
            if fate.hung_up_at is not None and died_at - fate.hung_up_at > 1.0:
                assert rows[fate.call_id].end_reason == "user_hangup"
    interrupted = sum(row.error == LOST for row in rows.values())
    assert interrupted >= ROUNDS, "the deaths came when nobody called"
    ids = Counter(got.webhook_id for got in place.receiver.got)
    repeated = [number for number in ids.values() if number > 1]
    print(f"{len(rows)} calls, {interrupted} cut off, {len(ids)} webhooks, {len(repeated)} of them repeated")  # noqa: T201  shown with -s
