"""A house whose assistant is a realtime model of either vendor, with its API."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from sovereign_pbx.media.resample import resample
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.realtime import RealtimeDialect, RealtimeSeen, ScriptedRealtime
from tests.api.rest import make_key
from tests.calls.house import GREETING, QUESTION, House, house
from tests.waiting import until

PROVIDERS: Mapping[str, str] = {"openai": "openai_live", "xai": "xai_realtime"}
DIALECTS: tuple[RealtimeDialect, ...] = ("openai", "xai")


def live_assistant(dialect: str = "openai", **changes: Any) -> dict[str, Any]:
    """A realtime assistant; `llm` goes into its llm_config."""
    llm = {
        "provider": PROVIDERS[dialect],
        "turn_detection": {"silence_duration_ms": 300},
        "messages": [{"role": "system", "content": "You answer the telephone."}],
        **changes.pop("llm", {}),
    }
    return {"first_message": GREETING, "llm_config": llm, **changes}


@dataclass
class LiveHouse:
    """The house, its realtime vendor, and a client of its API."""

    house: House
    vendor: ScriptedRealtime
    rest: aiohttp.ClientSession
    url: str

    @property
    def session(self) -> RealtimeSeen:
        """The newest, as the vendor saw it."""
        return self.vendor.sessions[-1]

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.rest.request(method, self.url + path, json=body) as response:
            return response.status, await response.json()

    async def order(self, **command: Any) -> tuple[int, Any]:
        """Give the newest call a command."""
        _, listed = await self.ask("GET", "/calls?limit=1")
        return await self.ask("POST", f"/calls/{listed['calls'][0]['id']}/control", command)

    async def messages(self) -> list[tuple[str, str]]:
        """Of the report."""
        (report,) = await self.house.reported()
        return [(message["role"], message["content"]) for message in report["messages"]]


@asynccontextmanager
async def live_house(
    folder: Path, dialect: RealtimeDialect = "openai", assistant: Mapping[str, Any] | None = None, **sections: Any
) -> AsyncIterator[LiveHouse]:
    """A daemon whose one assistant is a realtime model at a scripted vendor."""
    ports = reserve_ports()
    port = ports.take(socket.SOCK_STREAM)
    http = {"enabled": True, "port": port, "commands_per_minute": 1000, "requests_per_minute": 10000}
    account = PROVIDERS[dialect].partition("_")[0]
    chosen = dict(assistant or live_assistant(dialect))
    try:
        async with ScriptedRealtime(dialect=dialect) as vendor:
            providers = {account: {"api_key": "test-key", "base_url": vendor.base_url}}
            providers |= sections.pop("providers", {})
            async with house(folder, {"reception": chosen}, http=http, providers=providers, **sections) as place:
                key = await asyncio.to_thread(make_key, place.daemon.config)
                async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as rest:
                    yield LiveHouse(place, vendor, rest, f"http://127.0.0.1:{port}/api/v1")
    finally:
        ports.release()


async def greeted(caller: AudioSocketCaller) -> None:
    """Place the call, and hear the greeting out."""
    await caller.place()
    await quiet(caller)


async def quiet(caller: AudioSocketCaller) -> None:
    """Wait until the assistant has said what it was saying."""
    await until(lambda: bool(caller.heard.sounds()))
    await until(lambda: caller.heard.sounds()[-1].end < asyncio.get_running_loop().time() - 0.5, 15.0)


async def asks(caller: AudioSocketCaller) -> None:
    """The caller asks, and waits for the beginning of an answer."""
    before = len(caller.heard.sounds())
    await caller.say(resample(QUESTION, 8000, caller.heard.rate)).finished.wait()
    await until(lambda: len(caller.heard.sounds()) > before, 8.0)
