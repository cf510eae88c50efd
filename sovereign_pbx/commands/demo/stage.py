"""The demo's stage: a private Asterisk where one can be had, the daemon as a process of its own, and a phone."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import tomli_w

from sovereign_pbx.commands.demo import scene
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.pbx.asterisk.dialplan import render
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.port_block import PortBlock
from sovereign_pbx.testing.sip_caller import SipPhone

_READY_S = 60.0
_STOP_S = 45.0


class DaemonFailed(SovereignError):
    """The daemon did not start; the message ends with what it said last."""


class Ports:
    """The daemon's listeners."""

    def __init__(self, block: PortBlock) -> None:
        self.agi, self.audio, self.http = (block.take(socket.SOCK_STREAM) for _ in range(3))


def configuration(ports: Ports, folder: Path, assistant: dict[str, Any], ami: tuple[int, str, str] | None) -> Path:
    """Write the daemon's configuration and return its path."""
    asterisk: dict[str, Any] = {"agi": {"port": ports.agi}, "audiosocket": {"port": ports.audio}}
    if ami is not None:
        port, user, secret = ami
        asterisk["ami"] = {"port": port, "username": user, "secret": secret}
    settings = {
        "daemon": {"state_dir": str(folder / "state"), "drain_seconds": 5},
        "http": {"port": ports.http},
        "asterisk": asterisk,
        "recording": {"enabled": True},
        "log": {"level": "debug", "format": "json"},
        # on an old or busy machine the model may take long; a demo had better wait than hear an apology
        "providers": {"local": {"first_s": 25.0, "gap_s": 15.0}},
        "assistants": {"nova": assistant},
        "numbers": [{"number": scene.NUMBER, "name": "Main line", "assistant": "nova"}],
    }
    path = folder / "config.toml"
    path.touch(mode=0o600)
    path.write_text(tomli_w.dumps(settings), "utf-8")
    return path


@asynccontextmanager
async def running_daemon(config: Path, ports: Ports, log: Path) -> AsyncIterator[None]:
    """`sovereign-pbx run` in a process of its own, its models loaded, until the block ends."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sovereign_pbx", "run", "-c", str(config), stdout=output, stderr=output
        )
    try:
        await _until_ready(process, ports, log)
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_ready(process: asyncio.subprocess.Process, ports: Ports, log: Path) -> None:
    url = f"http://127.0.0.1:{ports.http}/api/v1/health"
    try:
        async with asyncio.timeout(_READY_S), aiohttp.ClientSession() as session:
            while process.returncode is None:
                try:
                    async with session.get(url) as response:
                        health = json.loads(await response.read())
                    if not str(health["checks"]["models"].get("detail", "")).startswith("loading"):
                        return
                except aiohttp.ClientError:
                    pass  # it does not listen yet
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass
    last = log.read_text("utf-8", "replace")[-2000:]
    raise DaemonFailed(f"the daemon did not start (exit status {process.returncode}); it said last:\n{last}")


@asynccontextmanager
async def sip_call(asterisk: PrivateAsterisk) -> AsyncIterator[tuple[Any, Heard, Any]]:
    """A phone of the private Asterisk, calling: (phone, ear, how to hang up)."""
    async with SipPhone(asterisk.sip_address, port=asterisk.caller_port) as phone:
        call = await phone.call(scene.NUMBER, name="Demo Caller", user="caller")
        await call.answered(30.0)
        yield call, call.ear.heard, call.hang_up


@asynccontextmanager
async def audiosocket_call(ports: Ports) -> AsyncIterator[tuple[Any, Heard, Any]]:
    """The same without any Asterisk."""
    with CallerTicker() as ticker:
        async with AudioSocketCaller(
            ticker,
            agi=("127.0.0.1", ports.agi),
            audio=("127.0.0.1", ports.audio),
            called=scene.NUMBER,
            caller=scene.CALLER,
        ) as caller:
            await caller.place()
            yield caller, caller.heard, caller.hang_up


def asterisk_for(root: Path, ports: Ports) -> PrivateAsterisk:
    """An Asterisk whose phones reach the assistant at extension 100, through the dialplan that we ship."""
    text = render(agi=f"127.0.0.1:{ports.agi}", audiosocket=f"127.0.0.1:{ports.audio}")
    return PrivateAsterisk(root, dialplan=text, context="sovereign")
