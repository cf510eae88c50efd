"""Start a private Asterisk on loopback: unprivileged, on its own ports, gone without a trace afterwards.

    async with PrivateAsterisk(asterisk_tree().root, dialplan=TEXT) as pbx:
        phone = SipPhone(pbx.sip_address, port=pbx.caller_port)

Start to ready takes a quarter of a second.
"""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.testing.asterisk_conf import Values, make_folders, write_configuration
from sovereign_pbx.testing.asterisk_tree import PROGRAM
from sovereign_pbx.testing.port_block import PortBlock, reserve_ports
from sovereign_pbx.testing.private_tree import PrivateTree

HOST = "127.0.0.1"
START_DEADLINE_S = 30.0
CLI_DEADLINE_S = 15.0
STOP_DEADLINE_S = 10.0
POLL_S = 0.02


class AsteriskFailed(SovereignError):
    """The private Asterisk did not start, or went away; the message ends with what it said last."""


@dataclass(frozen=True, slots=True)
class AmiAccount:
    """A user of the manager interface."""

    user: str
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)


class PrivateAsterisk:
    """One instance of the Asterisk unpacked at `root`.

    `dialplan` is added to extensions.conf; `[phones](+)` in it extends the context where the endpoints `caller` and
    `agent` land, and `context` moves them to another one. `extra` adds text to any other file, as in
    {"modules.conf": "load = app_amd.so"}. `ami` is an account with the rights that the daemon needs (`ami_read`,
    `ami_write`), `ami_all` one with all. Ports and files exist from the first start to `close`, so that it may be
    stopped and started again in between.
    """

    run_dir: Path
    ami_port: int
    sip_port: int
    caller_port: int
    agent_port: int

    def __init__(
        self,
        root: Path,
        *,
        dialplan: str = "",
        context: str = "phones",
        extra: Mapping[str, str] | None = None,
        ami_read: str = "system,call,dtmf,user,dialplan,reporting",
        ami_write: str = "call,originate,reporting",
    ) -> None:
        self.tree = PrivateTree(root)
        self.ami = AmiAccount("sovereign")
        self.ami_all = AmiAccount("tester")
        self.ready_s = 0.0
        self._extra = {**(extra or {}), "extensions.conf": dialplan}
        self._settings = {"CONTEXT": context, "AMI_READ": ami_read, "AMI_WRITE": ami_write}
        self._ports: PortBlock | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def sip_address(self) -> tuple[str, int]:
        return HOST, self.sip_port

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Public: life

    async def start(self) -> None:
        """Start and wait until Asterisk says that it has fully booted. Raises AsteriskFailed."""
        await asyncio.to_thread(self._prepare)
        began = time.monotonic()
        console = await asyncio.to_thread(os.open, self.run_dir / "log/console", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_dying_with_its_parent(),
                *self._command("-f"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        finally:
            os.close(console)
        try:
            await asyncio.wait_for(self._wait_until_booted(), START_DEADLINE_S)
        except TimeoutError as exc:
            raise AsteriskFailed(f"Asterisk was not ready after {START_DEADLINE_S:.0f} s\n{self.log()}") from exc
        self.ready_s = time.monotonic() - began

    async def stop(self, *, politely: bool = False) -> None:
        """Kill it, or let it hang up calls and say goodbye first (about 0.8 s). It can be started again."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM if politely else signal.SIGKILL)
        try:
            await asyncio.wait_for(process.wait(), STOP_DEADLINE_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def close(self) -> None:
        """Stop, let the ports go and remove every file."""
        try:
            await self.stop()
        finally:
            ports, self._ports = self._ports, None
            if ports is not None:
                ports.release()
                await asyncio.to_thread(shutil.rmtree, self.run_dir, ignore_errors=True)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP makes a hung PBX of it, SIGCONT brings it back."""
        if self._process is None:
            raise AsteriskFailed("Asterisk is not running")
        self._process.send_signal(number)

    # Public: looking and changing

    async def cli(self, command: str) -> str:
        """What the console prints for `command`. Raises AsteriskFailed when the console can't be reached."""
        process = await asyncio.create_subprocess_exec(
            *self._command("-rx", command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), CLI_DEADLINE_S)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                process.kill()
            await process.wait()
            raise
        text = output.decode(errors="replace")
        if process.returncode:
            raise AsteriskFailed(f"asterisk -rx {command!r} failed: {text.strip()}")
        return text

    async def channels(self) -> int:
        """How many channels there are now."""
        answer = await self.cli("core show channels count")
        match = re.search(r"(\d+) active channels?", answer)
        if not match:
            raise AsteriskFailed(f"no channel count in {answer!r}")
        return int(match.group(1))

    async def wait_for_channels(self, count: int, deadline_s: float = 10.0) -> None:
        """Wait until there are `count` channels; raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while await self.channels() != count:  # noqa: ASYNC110 - the state is another process's
                await asyncio.sleep(POLL_S)

    async def replace_dialplan(self, dialplan: str) -> None:
        """Put other text in place of `dialplan` and have it loaded; calls in progress go on with the new one."""
        self._extra["extensions.conf"] = dialplan
        await asyncio.to_thread(self._prepare)
        await self.cli("dialplan reload")

    def log(self, tail: int = 6000) -> str:
        """The last `tail` characters of its log, or of its console when it never came to logging."""
        for name in ("full", "console"):
            path = self.run_dir / "log" / name
            text = path.read_text(errors="replace") if path.exists() else ""
            if text:
                return text[-tail:]
        return ""

    # Private

    def _command(self, *arguments: str) -> list[str]:
        return self.tree.command(PROGRAM, "-C", str(self.run_dir / "etc/asterisk.conf"), *arguments)

    def _prepare(self) -> None:
        if self._ports is None:
            self._ports = reserve_ports()
            self.ami_port = self._ports.take(socket.SOCK_STREAM)
            self.sip_port = self._ports.take(socket.SOCK_DGRAM)
            self.caller_port = self._ports.take(socket.SOCK_DGRAM)
            self.agent_port = self._ports.take(socket.SOCK_DGRAM)
            self.run_dir = Path(tempfile.mkdtemp(prefix="asterisk-"))  # short: a control socket's path has 107 bytes
        make_folders(self.run_dir, self.tree.root / "usr/share/asterisk")
        write_configuration(self.run_dir / "etc", self._values(self._ports), self._extra)

    def _values(self, ports: PortBlock) -> Values:
        first, last = ports.rest
        return {
            **self._settings,
            "RUN": self.run_dir,
            "MODULES": self.tree.library_dir / "asterisk/modules",
            "AMI_PORT": self.ami_port,
            "AMI_USER": self.ami.user,
            "AMI_SECRET": self.ami.secret,
            "AMI_ALL_USER": self.ami_all.user,
            "AMI_ALL_SECRET": self.ami_all.secret,
            "SIP_PORT": self.sip_port,
            "CALLER_PORT": self.caller_port,
            "AGENT_PORT": self.agent_port,
            "RTP_FIRST": first,
            "RTP_LAST": last,
        }

    async def _wait_until_booted(self) -> None:
        while not await self._has_booted():  # noqa: ASYNC110 - the state is another process's
            await asyncio.sleep(POLL_S)

    async def _has_booted(self) -> bool:
        """Whether AMI accepts a login and says FullyBooted, which it sends only when all modules are in."""
        if self._process is None or self._process.returncode is not None:
            raise AsteriskFailed(f"Asterisk ended while starting\n{self.log()}")
        try:
            reader, writer = await asyncio.open_connection(HOST, self.ami_port)
        except OSError:
            return False
        try:
            login = f"Action: Login\r\nUsername: {self.ami_all.user}\r\nSecret: {self.ami_all.secret}\r\n\r\n"
            writer.write(login.encode())
            return await _read_until(reader, b"Event: FullyBooted")
        finally:
            writer.close()


async def _read_until(reader: asyncio.StreamReader, wanted: bytes) -> bool:
    while line := await reader.readline():
        if line.strip() == wanted:
            return True
    return False


def _dying_with_its_parent() -> list[str]:
    """A prefix that has the kernel kill the process with us: a crashed test leaves no Asterisk behind.

    setpriv (util-linux) and not `preexec_fn`, which runs Python between fork and exec: since 3.12 a process with
    threads is warned off that.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
