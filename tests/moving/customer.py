"""The customer's own place: a whole daemon with its API on, an account of his, his servers, and callers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.openai import Answer
from tests.api.rest import make_key
from tests.asterisk_of import ami_connected, asterisk_of
from tests.calls.house import QUESTION, House, house
from tests.moving.client import Client
from tests.moving.receiver import CustomersServer, serving
from tests.pbx.ami_server import SECRET, FakeAmi
from tests.pbx.test_asterisk_pbx import channels
from tests.waiting import until

LINE, CALLER = "+31850835037", "+31612345678"
EVENTS = ["assistant-request", "tool-calls", "status-update", "end-of-call-report"]
PROMPT = [{"role": "system", "content": "You answer the telephone."}]
BLOCKS: dict[str, Any] = {
    "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "en"},
    "llm_config": {"provider": "openai", "model": "gpt-5.4", "temperature": 0.7, "messages": PROMPT},
    "tts_config": {"provider": "elevenlabs", "voice_id": "anna", "model": "eleven_flash_v2_5"},
}


def with_tools(*tools: dict[str, Any]) -> dict[str, Any]:
    return {**BLOCKS, "llm_config": {**BLOCKS["llm_config"], "tools": list(tools)}}


@dataclass
class Place:
    """`server` receives what the assistants' webhooks say, `account` what goes to the account's."""

    house: House
    client: Client
    server: CustomersServer
    account: CustomersServer
    ami: FakeAmi | None = None

    async def assistant(self, **changes: Any) -> dict[str, Any]:
        """His usual one, with webhook and secret of his."""
        body = {
            "name": "Front desk",
            "first_message": "Hello.",
            **BLOCKS,
            "webhook_url": self.server.url,
            "webhook_secret": self.server.secret,
            "webhook_events": EVENTS,
            **changes,
        }
        made: dict[str, Any] = await self.client.assistants.create(**body)
        return made

    async def number(self, assistant: dict[str, Any] | None = None, number: str = LINE, **more: Any) -> dict[str, Any]:
        link = {"agent_id": assistant["id"]} if assistant else {}
        made: dict[str, Any] = await self.client.numbers.create(phone_number=number, **link, **more)
        return made

    async def call_in(self, called: str = LINE, *, question: bool = True) -> None:
        """Somebody calls, hears the greeting, asks something, hears the answer, hangs up."""
        async with self.house.caller(called, CALLER) as caller:
            await caller.place()
            await quiet(caller)
            if question:
                await asked(caller)
            await caller.hang_up()

    async def reports(self, count: int = 1, *, of: CustomersServer | None = None) -> list[dict[str, Any]]:
        server = of or self.server
        await until(lambda: server.faults or len(server.messages("end-of-call-report")) >= count, 10.0)
        return server.messages("end-of-call-report")

    def told_model(self) -> list[str]:
        """What tools told the model in the latest question to it that knew of any."""
        for request in reversed(self.house.openai.requests):
            told = [message["content"] for message in request["messages"] if message["role"] == "tool"]
            if told:
                return told
        return []


async def quiet(caller: AudioSocketCaller) -> None:
    """Until the assistant has said what it was saying."""
    loop = asyncio.get_running_loop()
    await until(lambda: bool(caller.heard.sounds()))
    await until(lambda: caller.heard.sounds()[-1].end < loop.time() - 0.3)


async def asked(caller: AudioSocketCaller) -> None:
    """Ask a question, and hear the answer to its end."""
    question = caller.say(QUESTION)
    await question.finished.wait()
    over = asyncio.get_running_loop().time()
    await until(lambda: any(sound.start > over for sound in caller.heard.sounds()))
    await quiet(caller)


def using(*tools: tuple[str, str], then: str = "There you are.") -> Callable[[dict[str, Any]], Answer]:
    """A model that uses these tools once, says `then`, and sums up."""

    def answer(request: dict[str, Any]) -> Answer:
        roles = {message["role"] for message in request["messages"]}
        if not request.get("stream"):
            return Answer("They spoke on the telephone.")
        return Answer(then) if "tool" in roles else Answer(tools=tools)

    return answer


class Callee(AudioSocketCaller):
    """Somebody we call: the dialplan of the answered channel asks /outbound with the order's token."""

    def __init__(self, place: Place, order: dict[str, str]) -> None:
        pbx = asterisk_of(place.house.daemon)
        self._ordered = order["Variable"].splitlines()[0].partition("=")[2]
        addresses: dict[str, Any] = {
            "agi": pbx.agi_address,
            "audio": pbx.audiosocket_address,
        }
        super().__init__(place.house.ticker, **addresses, values={"uniqueid": order["ChannelId"]})

    async def pick_up(self) -> None:
        status = await self._ask("outbound", [self._ordered])
        assert (status, self.variables.get("SOVEREIGN_ACTION")) == ("SUCCESS", "answer"), self.variables
        assert await self._connect()
        self._life = asyncio.create_task(self._live())


@asynccontextmanager
async def manager() -> AsyncIterator[FakeAmi]:
    """Asterisk's manager, which takes every order to dial."""
    ami = FakeAmi()
    ami.answers |= {
        "CoreShowChannels": channels(),
        "Originate": lambda headers: "Response: Success\r\nMessage: Originate successfully queued",
        "Hangup": lambda headers: "Response: Success\r\nMessage: Channel Hungup",
    }
    await ami.start()
    try:
        yield ami
    finally:
        await ami.stop()


@asynccontextmanager
async def moved(folder: Path, *, dials: bool = False, **sections: Any) -> AsyncIterator[Place]:
    """A daemon whose file says nothing of assistants and numbers, as somebody who just moved has it."""
    async with AsyncExitStack() as stack:
        ports = reserve_ports()
        stack.callback(ports.release)
        port = ports.take(socket.SOCK_STREAM)
        server = await stack.enter_async_context(serving(CustomersServer()))
        account = await stack.enter_async_context(serving(CustomersServer(secret="whsec-account")))
        ami = await stack.enter_async_context(manager()) if dials else None
        http = {"enabled": True, "port": port, **sections.pop("http", {})}
        webhook = {"url": account.url, "secret": account.secret, "events": EVENTS, **sections.pop("webhook", {})}
        if dials:
            sections.setdefault("dialling", {"allow": ["+31*"]})
        made = await stack.enter_async_context(
            house(folder, {"unused": BLOCKS}, http=http, webhook=webhook, numbers=[], **sections)
        )
        made.elevenlabs.first_audio_ms = 5
        if ami is not None:
            await made.stop()
            made.settings["asterisk"]["ami"] = {"port": ami.port, "username": "sovereign", "secret": SECRET}
            await made.start()
            await until(lambda: ami_connected(made.daemon))
        key = await asyncio.to_thread(make_key, made.daemon.config)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = Client(session, f"http://127.0.0.1:{port}/api/v1", key)
        yield Place(made, client, server, account, ami)
