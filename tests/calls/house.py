"""A whole daemon in the test's own process, with scripted vendors and a webhook receiver beside it."""

import asyncio
import socket
import wave
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w
import uvloop

import sovereign_pbx.testing
from sovereign_pbx.config import Config, load
from sovereign_pbx.daemon import Daemon
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.openai import ScriptedOpenAI
from tests.asterisk_of import asterisk_of
from tests.waiting import until
from tests.webhooks.receiver import SECRET, Receiver, fine, listening

GREETING = "Hello, how can I help?"
SOUNDS = Path(sovereign_pbx.testing.__file__).parent / "sounds"


def spoken(name: str) -> bytes:
    """A sentence at 8 kHz, synthesised speech (hibari): `question` or `interruption`."""
    with wave.open(str(SOUNDS / f"{name}.wav")) as file:
        frames: bytes = file.readframes(file.getnframes())
    return frames


QUESTION = spoken("question")
INTERRUPTION = spoken("interruption")


def assistant(**changes: Any) -> dict[str, Any]:
    """The usual assistant of these tests."""
    usual: dict[str, Any] = {
        "first_message": GREETING,
        "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "en"},
        "llm_config": {
            "provider": "openai",
            "model": "scripted",
            "messages": [{"role": "system", "content": "You answer the telephone."}],
        },
        "tts_config": {"provider": "elevenlabs", "voice_id": "anna"},
        "speech_config": {"turn_taking": {"endpointing_min_delay": 0.2}},
    }
    return {**usual, **changes}


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene on the loop that the daemon runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene)


@dataclass
class House:
    """Everything that lives in it."""

    folder: Path
    deepgram: ScriptedDeepgram
    openai: ScriptedOpenAI
    elevenlabs: ScriptedElevenLabs
    receiver: Receiver
    ticker: CallerTicker
    settings: dict[str, Any]
    daemon: Daemon = field(init=False)
    _running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the daemon (again) on the same state and ports."""
        self.daemon = Daemon(await asyncio.to_thread(self._config))
        self._running = asyncio.create_task(self.daemon.run())
        ready = asyncio.create_task(self.daemon.ready.wait())
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._running.done():
            self._running.result()

    def _config(self) -> Config:
        file = self.folder / "config.toml"
        file.write_text(tomli_w.dumps(self.settings))
        file.chmod(0o600)
        return load(file)

    async def stop(self, *, at_once: bool = True) -> None:
        """Stop the daemon, calls and all."""
        if self._running is None:
            return
        self.daemon.stop()
        if at_once:
            self.daemon.stop()
        await self._running
        self._running = None

    def caller(self, called: str = "100", caller: str = "+31612345678", rate: int = 8000) -> AudioSocketCaller:
        """A caller who can be let in with `async with`."""
        return AudioSocketCaller(
            self.ticker,
            agi=asterisk_of(self.daemon).agi_address,
            audio=asterisk_of(self.daemon).audiosocket_address,
            called=called,
            caller=caller,
            rate=rate,
        )

    def webhooks(self, event: str) -> list[dict[str, Any]]:
        """The `message` of every webhook of this kind that was received, in order."""
        return [got.body["message"] for got in self.receiver.got if got.event == event]

    async def reported(self, count: int = 1, within_s: float = 20.0) -> list[dict[str, Any]]:
        """The end-of-call reports, once there are `count` of them."""
        await until(lambda: len(self.webhooks("end-of-call-report")) >= count, within_s)
        return self.webhooks("end-of-call-report")

    async def rows(self) -> list[CallRow]:
        """The calls in the store, newest first."""
        store = await SqliteStore.open(self.daemon.config.database)
        try:
            return await store.calls()
        finally:
            await store.close()


@asynccontextmanager
async def house(folder: Path, assistants: Mapping[str, Any] | None = None, **sections: Any) -> AsyncIterator[House]:
    """A daemon that answers every number with `assistants["reception"]`; `sections` go into its configuration."""
    async with AsyncExitStack() as stack:
        deepgram = await stack.enter_async_context(ScriptedDeepgram(["What time do you open?"]))
        openai = await stack.enter_async_context(ScriptedOpenAI(first_token_ms=50, tokens_per_s=200))
        elevenlabs = await stack.enter_async_context(ScriptedElevenLabs(first_audio_ms=50, real_time_factor=0.05))
        receiver = await stack.enter_async_context(listening(Receiver(fine)))
        ports = reserve_ports()
        stack.callback(ports.release)
        agi, audio = ports.take(socket.SOCK_STREAM), ports.take(socket.SOCK_STREAM)
        settings: dict[str, Any] = {
            "daemon": {"state_dir": str(folder / "state"), "drain_seconds": 2.0},
            "http": {"enabled": False},
            "asterisk": {"agi": {"port": agi}, "audiosocket": {"port": audio}},
            "webhook": {"url": receiver.url, "secret": SECRET},
            "providers": {
                "deepgram": {"api_key": "test-key", "base_url": deepgram.url},
                "openai": {"api_key": "test-key", "base_url": openai.base_url},
                "elevenlabs": {"api_key": "test-key", "base_url": elevenlabs.url},
            },
            "assistants": dict(assistants or {"reception": assistant()}),
            "numbers": [{"number": "*", "name": "Main line", "assistant": "reception"}],
            **sections,
            "limits": {"max_lag_ms": 0, **sections.get("limits", {})},  # whatever else this machine has to do
        }
        ticker = stack.enter_context(CallerTicker())
        made = House(folder, deepgram, openai, elevenlabs, receiver, ticker, settings)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()


async def quiet(caller: AudioSocketCaller, after: int = 0) -> None:
    """Wait until the assistant has spoken more than `after` times, and has been silent since."""
    now = asyncio.get_running_loop().time

    def silent() -> bool:
        sounds = caller.heard.sounds()
        return len(sounds) > after and now() - sounds[-1].end > 0.6

    await until(silent, 20.0)
