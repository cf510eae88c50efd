"""The daemon that a bench measures: a running one, or one of its own beside scripted vendors."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp
import tomli_w

from sovereign_pbx.commands.bench.process import ProcessFailed, first_line, process
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.testing.port_block import reserve_ports

_READY_S = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """The daemon under test. `pid` None: its cost is not known. `http`: its metrics."""

    agi: tuple[str, int]
    audio: tuple[str, int]
    pid: int | None = None
    http: str = ""
    sip: tuple[str, int] | None = None
    websocket: tuple[str, int] | None = None

    @classmethod
    def parse(cls, agi: str, audio: str, pid: int | None) -> Self:
        """From the command line. Raises ConfigError."""
        return cls(_address(agi, "--agi"), _address(audio, "--audio"), pid)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a daemon of our own is started with: what the vendors say, and who answers which number."""

    script: Mapping[str, Any]
    assistants: Mapping[str, Any]  # by number; "*" any
    vendor_options: Sequence[str] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)  # `[limits]`, where they are not to be wide open
    media: str = "audiosocket"  # `[asterisk] media`


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"{option} {text!r} is not HOST:PORT", remedy="write it like 127.0.0.1:4573")
    return host, int(port)


def assistant(**turn_taking: Any) -> dict[str, Any]:
    """One that uses the scripted vendors."""
    return {
        "first_message": "Good morning, how can I help you?",
        "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "en"},
        "llm_config": {
            "provider": "openai",
            "model": "scripted",
            "messages": [{"role": "system", "content": "You answer the telephone."}],
        },
        "tts_config": {"provider": "elevenlabs", "voice_id": "bench"},
        "speech_config": {"turn_taking": turn_taking},
    }


class _Ports(NamedTuple):
    agi: int
    audio: int
    http: int
    sip: int
    websocket: int


@asynccontextmanager
async def daemon(work: Path, setting: Setting, most: int) -> AsyncIterator[Target]:
    """A daemon and its vendors, for `most` calls at once; both are ended with the block. Raises ProcessFailed."""
    vendors_log, daemon_log = work / "vendors.log", work / "daemon.log"
    script = work / "script.json"
    script.write_text(json.dumps(setting.script), "utf-8")
    vendors = ["-m", "sovereign_pbx.testing.providers", "--script", str(script), "--tokens-per-s", "1000"]
    async with process([*vendors, *setting.vendor_options], vendors_log) as started:
        urls = await first_line(started, vendors_log)
        block = reserve_ports()
        try:
            ports = _Ports(*(block.take(socket.SOCK_STREAM) for _ in range(5)))
            config = _configuration(work, setting, urls, ports, most)
            async with process(["-m", "sovereign_pbx", "run", "-c", str(config)], daemon_log) as running:
                web = f"http://127.0.0.1:{ports.http}"
                await _until_healthy(running, web, daemon_log)
                here = "127.0.0.1"
                yield Target(
                    (here, ports.agi), (here, ports.audio), running.pid, web, (here, ports.sip), (here, ports.websocket)
                )
        finally:
            block.release()


def _configuration(work: Path, setting: Setting, urls: Mapping[str, str], ports: _Ports, most: int) -> Path:
    names = {number: f"bench{place}" for place, number in enumerate(setting.assistants)}
    settings = {
        "daemon": {"state_dir": str(work / "state"), "drain_seconds": 1},
        "http": {"port": ports.http},
        "asterisk": {
            "media": setting.media,
            "max_connections": 2 * most + 16,
            "agi": {"port": ports.agi},
            "audiosocket": {"port": ports.audio},
            "websocket": {"port": ports.websocket},
        },
        "sip": {"enabled": True, "port": ports.sip, "max_calls": 2 * most + 16},
        "limits": {"max_calls": most + 1, "max_lag_ms": 0, **setting.limits},  # what is too much is to be measured
        "log": {"format": "json"},
        "providers": {
            vendor: {"api_key": "test-key", "base_url": urls[vendor]} for vendor in ("deepgram", "openai", "elevenlabs")
        },
        "assistants": {names[number]: fields for number, fields in setting.assistants.items()},
        "numbers": [{"number": number, "assistant": name} for number, name in names.items()],
    }
    path = work / "config.toml"
    path.touch(mode=0o600)
    path.write_text(tomli_w.dumps(settings), "utf-8")
    return path


async def _until_healthy(running: asyncio.subprocess.Process, web: str, log: Path) -> None:
    async with aiohttp.ClientSession() as session:
        deadline = time.monotonic() + _READY_S
        while running.returncode is None and time.monotonic() < deadline:
            try:
                async with session.get(f"{web}/api/v1/health") as response:
                    await response.read()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
    raise ProcessFailed(f"the daemon did not start; it said:\n{log.read_text('utf-8', 'replace')[-2000:]}")
