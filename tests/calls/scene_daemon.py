"""The daemon of a scene: in the test's own process, or the shipped command in its own, to be killed and frozen."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import tomli_w

from sovereign_pbx.config import Config, load
from sovereign_pbx.daemon import Daemon
from tests.asterisk_of import ami_connected
from tests.calls import scene_traces

_READY_S = 40.0


class Running(Protocol):
    """What a scene does with the daemon."""

    @property
    def pid(self) -> int: ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Ask it to end, without waiting for calls."""

    async def calls(self) -> int:
        """How many it believes to have."""

    async def linked(self) -> bool:
        """Whether it is logged in at Asterisk's manager."""

    def tasks(self) -> Counter[str]: ...


def write_config(folder: Path, settings: Mapping[str, Any]) -> Path:
    file = folder / "config.toml"
    file.touch(mode=0o600)
    file.write_text(tomli_w.dumps(settings), "utf-8")
    return file


class OwnDaemon:
    """In this process, so that its tasks can be counted."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.daemon: Daemon
        self._folder, self._settings = folder, settings
        self._running: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return os.getpid()

    async def start(self) -> None:
        self.daemon = Daemon(await asyncio.to_thread(self._config))
        self._running = asyncio.create_task(self.daemon.run())
        ready = asyncio.create_task(self.daemon.ready.wait())
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._running.done():
            self._running.result()

    def _config(self) -> Config:
        return load(write_config(self._folder, self._settings))

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            self.daemon.stop()
            self.daemon.stop()
            await running

    async def calls(self) -> int:
        return len(self.daemon.desk)

    async def linked(self) -> bool:
        return ami_connected(self.daemon)

    def tasks(self) -> Counter[str]:
        return scene_traces.tasks()


class DaemonProcess:
    """`sovereign-pbx run`, or a program of the test's that runs a daemon, in a process of its own."""

    def __init__(self, folder: Path, settings: dict[str, Any], program: tuple[str, ...] = ()) -> None:
        self.log = folder / "daemon.log"
        self.process: asyncio.subprocess.Process | None = None
        self._folder, self._settings = folder, settings
        self._program = program or ("-m", "sovereign_pbx", "run", "-c")
        self._url = f"http://127.0.0.1:{settings['http']['port']}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        config = await asyncio.to_thread(write_config, self._folder, self._settings)
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self._program, str(config), stdout=output, stderr=output
            )
        deadline = asyncio.get_running_loop().time() + _READY_S
        while not await self._answers():
            if self.process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"the daemon did not start; it said last:\n{self.said()}")
            await asyncio.sleep(0.05)

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")[-4000:] if self.log.exists() else ""

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal that ends it, and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        await asyncio.wait_for(self.process.wait(), 30.0)

    async def ended(self) -> int:
        """Wait for the end; the exit status."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), 30.0)

    async def stop(self) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        for _ in range(2):
            self.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)  # two signals at once are one
        try:
            await asyncio.wait_for(self.process.wait(), 30.0)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def calls(self) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{self._url}/metrics") as response:
            text = await response.text()
        line = next(line for line in text.splitlines() if line.startswith("sovereign_calls_active"))
        return int(float(line.rpartition(" ")[2]))

    async def linked(self) -> bool:
        return await self.health("pbx") == "ok"

    async def health(self, check: str) -> str:
        """The status of one of the checks of /api/v1/health."""
        return str((await self._health())["checks"][check]["status"])

    async def _health(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self._url}/api/v1/health") as response:
            found: dict[str, Any] = json.loads(await response.read())
            return found

    async def _answers(self) -> bool:
        try:
            await self._health()
        except aiohttp.ClientError:
            return False
        return True

    def tasks(self) -> Counter[str]:
        """Not to be seen from outside; its descriptors and its count of calls have to do."""
        return Counter()


async def until_linked(daemon: Running) -> None:
    """Wait for the login at the manager."""
    async with asyncio.timeout(10):
        while not await daemon.linked():  # noqa: ASYNC110 - the state is another process's
            await asyncio.sleep(0.02)
