"""Secrets stay where they are: not in logs, answers, the database, process lists or images of the memory."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sovereign_pbx.config import load
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.openai import Answer, ScriptedOpenAI
from tests.api.rest import make_key
from tests.calls.house import QUESTION, assistant, play
from tests.calls.scene_daemon import DaemonProcess
from tests.calls.scene_stage import settings_for
from tests.waiting import until
from tests.webhooks.receiver import Receiver, fine, listening

NAMES = ("deepgram-key", "openai-key", "elevenlabs-key", "webhook-secret", "ami-secret", "tool-secret", "mail-password")
SECRETS = {name: f"{name.replace('-', '')}Zq8vR4tY1uW7xK2mN5pL" for name in NAMES}
# A webhook that is owed is kept with what signs it, and is forgotten when it has been delivered; SQLite's own log keeps
# its pages until they are used again. Nobody but the daemon's user may read these files.
SIGNING = {(name, f"sovereign.sqlite{end}") for name in ("webhook-secret", "tool-secret") for end in ("", "-wal")}
HOURS = {
    "name": "opening_hours",
    "description": "When the shop is open",
    "parameters": {"type": "object"},
    "server": {"url": "http://127.0.0.1:9/tool", "secret": "${credential:tool-secret}"},
}


@dataclass
class Safe:
    """A daemon in a process of its own, with every secret from systemd's credentials, and what it left anywhere."""

    folder: Path
    daemon: DaemonProcess
    settings: dict[str, Any]
    ticker: CallerTicker
    openai: ScriptedOpenAI
    receiver: Receiver
    told: dict[str, str] = field(default_factory=dict)  # what was said or written, by where

    def caller(self) -> AudioSocketCaller:
        asterisk = self.settings["asterisk"]
        return AudioSocketCaller(
            self.ticker,
            agi=("127.0.0.1", asterisk["agi"]["port"]),
            audio=("127.0.0.1", asterisk["audiosocket"]["port"]),
        )

    async def collect(self, key: str) -> None:
        """Everything that somebody might look at."""
        url, headers = f"http://127.0.0.1:{self.settings['http']['port']}", {"Authorization": f"Bearer {key}"}
        paths = ("/metrics", "/api/v1/health", "/api/v1/audit", "/api/v1/assistants", "/api/v1/calls", "/api/v1/trunks")
        async with aiohttp.ClientSession() as session:
            for path in (*paths, "/api/v1/byok/keys", "/api/v1/organization"):
                async with session.get(url + path, headers=headers) as response:
                    self.told[path] = await response.text()
        for name in ("cmdline", "environ", "limits"):
            path_of = Path(f"/proc/{self.daemon.pid}/{name}")
            self.told[f"/proc: {name}"] = await asyncio.to_thread(path_of.read_text, "utf-8", "replace")
        self.told["config show"] = await self._run("config", "show")
        self.told["config show, sources"] = await self._run("config", "show", "--secrets", "source")
        self.told["calls list"] = await self._run("calls", "list", "--json")

    async def _run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sovereign_pbx", "-c", str(self.folder / "config.toml"), *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return out.decode()

    async def found(self, secrets: Mapping[str, str]) -> list[tuple[str, str]]:
        """(secret, where) of every secret that was told or is in a file that the daemon wrote, its log too."""
        return await asyncio.to_thread(lambda: list(self._found(secrets)))

    def _found(self, secrets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        assert (self.folder / "state").stat().st_mode & 0o077 == 0
        files = [path for path in (self.folder / "state").rglob("*") if path.is_file()]
        places = {path.name: path.read_bytes() for path in (self.daemon.log, *files)}
        places |= {where: text.encode() for where, text in self.told.items()}
        assert len(places[self.daemon.log.name]) > 1000, "the log says nothing"
        for name, secret in secrets.items():
            for where, data in places.items():
                if secret.encode() in data and (name, where) not in SIGNING:
                    yield name, where


@asynccontextmanager
async def safe(folder: Path, monkeypatch: pytest.MonkeyPatch, **sections: Any) -> AsyncIterator[Safe]:
    credentials = folder / "credentials"
    credentials.mkdir(mode=0o700)
    for name, secret in SECRETS.items():
        (credentials / name).write_text(secret)
        (credentials / name).chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(listening(Receiver(fine, secret=SECRETS["webhook-secret"])))
        deepgram = await stack.enter_async_context(
            ScriptedDeepgram(["What time do you open?"], api_key=SECRETS["deepgram-key"])
        )
        openai = await stack.enter_async_context(ScriptedOpenAI(first_token_ms=50, api_key=SECRETS["openai-key"]))
        elevenlabs = await stack.enter_async_context(
            ScriptedElevenLabs(first_audio_ms=50, real_time_factor=0.05, api_key=SECRETS["elevenlabs-key"])
        )
        block = reserve_ports()
        stack.callback(block.release)
        ports = {name: block.take(socket.SOCK_STREAM) for name in ("agi", "audio", "http")}
        providers = {"deepgram": deepgram.url, "openai": openai.base_url, "elevenlabs": elevenlabs.url}
        saved = assistant(llm_config={**assistant()["llm_config"], "tools": [HOURS]})
        settings = settings_for(
            folder,
            ports,
            {"receiver": receiver.url, **providers},
            {"port": 9, "secret": "${credential:ami-secret}"},
            http={"enabled": True},
            webhook={"secret": "${credential:webhook-secret}"},
            providers={name: {"api_key": f"${{credential:{name}-key}}"} for name in providers},
            assistants={"reception": saved},
            **sections,
        )
        daemon = DaemonProcess(folder, settings)
        ticker = stack.enter_context(CallerTicker())
        stack.push_async_callback(daemon.stop)
        await daemon.start()
        yield Safe(folder, daemon, settings, ticker, openai, receiver)


def test_a_whole_call_at_the_finest_log_level_leaves_no_secret_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with safe(tmp_path, monkeypatch) as place:
            key = await asyncio.to_thread(lambda: make_key(load(tmp_path / "config.toml")))
            place.openai.script = (Answer(tools=(("opening_hours", "{}"),)), "We open at nine.")
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await caller.say(QUESTION).finished.wait()
                await until(lambda: len(place.openai.requests) >= 2, 20.0)
                await place.collect(key)
                await caller.hang_up()
            await until(lambda: any(got.event == "end-of-call-report" for got in place.receiver.got), 15.0)
            await asyncio.sleep(0.5)
            assert await place.found({**SECRETS, "the API's key": key}) == []
            assert re.search(r"Max core file size\s+1\s+1\s", place.told["/proc: limits"])

    play(scene())


def test_a_refused_key_is_not_told_by_whoever_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors quote the key that they refuse (the scripted one does as well); neither log nor report repeat it."""

    async def scene() -> None:
        async with safe(tmp_path, monkeypatch) as place:
            place.openai._api_key = "another"
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await caller.say(QUESTION).finished.wait()
                await asyncio.sleep(3.0)
                await caller.hang_up()
            await until(lambda: any(got.event == "end-of-call-report" for got in place.receiver.got), 15.0)
            place.told["reports"] = str([got.body for got in place.receiver.got])
            assert await place.found(SECRETS) == []

    play(scene())


@pytest.mark.parametrize("forbidden", [True, False])
def test_a_crash_leaves_no_image_of_the_memory(tmp_path: Path, forbidden: bool) -> None:
    program = "from sovereign_pbx import core_dumps\nimport os\n"
    program += "core_dumps.forbid()\n" if forbidden else ""
    program += "os.abort()\n"

    def unlimited() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        preexec_fn=unlimited,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=False,
    )
    assert done.returncode == -signal.SIGABRT
    images = list(tmp_path.iterdir())
    if forbidden:
        assert images == []
    elif not images:
        pytest.skip("this machine leaves none at all")
