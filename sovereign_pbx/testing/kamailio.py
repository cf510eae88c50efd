"""A Kamailio on loopback with a routing script, gone without a trace afterwards.

    async with Kamailio(kamailio_tree(), script) as proxy:
        phone = SipPhone(proxy.address)

The script's own words begin at `request_route`; the core, modules and ports are given. In it `@NAME@` stands for what
`values` holds, and `@PORT@` for its own port.
"""

import asyncio
import contextlib
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.testing.kamailio_tree import MODULES, PrivateKamailio
from sovereign_pbx.testing.orphan import dying_with_us
from sovereign_pbx.testing.port_block import PortBlock, reserve_ports

HOST: Final = "127.0.0.1"
DEADLINE_S: Final = 20.0
_POLL_S: Final = 0.02
_PING: Final = (
    "OPTIONS sip:{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{mine};branch=z9hG4bKping{number};rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:ping@{host}>;tag=ping\r\nTo: <sip:{host}>\r\nCall-ID: ping{number}\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class KamailioFailed(SovereignError):
    """Kamailio did not start; the message ends with what it said last."""


class Kamailio:
    """One proxy. `script` must answer OPTIONS to itself: by that it is known to be up."""

    def __init__(self, program: PrivateKamailio, script: str, values: Mapping[str, object] | None = None) -> None:
        self._program = program
        self._script = script
        self._values = dict(values or {})
        self._ports: PortBlock | None = None
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it with its children, and remove every file."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._ports is not None:
            self._ports.release()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def log(self) -> str:
        """The end of what it said."""
        return (self._folder / "log").read_text("utf-8", "replace")[-3000:] if self._folder is not None else ""

    # --- private

    async def _start(self) -> None:
        folder = await asyncio.to_thread(self._prepare)
        console = await asyncio.to_thread((folder / "log").open, "wb")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *dying_with_us("TERM"),
                *self._program.command(
                    "-DD",
                    "-E",
                    "-m",
                    "32",
                    "-M",
                    "4",
                    "-f",
                    f"{folder}/kamailio.cfg",
                    "-w",
                    str(folder),
                    "-Y",
                    str(folder),
                ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        finally:
            console.close()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._until_up()
        except TimeoutError as exc:
            raise KamailioFailed(f"Kamailio did not start\n{self.log()}") from exc

    def _prepare(self) -> Path:
        self._ports = reserve_ports()
        self.port = self._ports.take(socket.SOCK_DGRAM)
        self._folder = folder = Path(tempfile.mkdtemp(prefix="kamailio-"))
        head = [
            "debug=1",
            "log_stderror=yes",
            "fork=yes",
            "children=1",
            "disable_tcp=yes",
            "auto_aliases=no",
            f"listen=udp:{HOST}:{self.port}",
            f'mpath="{self._program.modules}/"',
            *(f'loadmodule "{name}.so"' for name in MODULES),
            'modparam("usrloc", "db_mode", 0)',
        ]
        values = {"PORT": str(self.port), **{key: str(value) for key, value in self._values.items()}}
        script = re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], self._script)
        (folder / "kamailio.cfg").write_text("\n".join([*head, script, ""]), encoding="utf-8")
        return folder

    async def _until_up(self) -> None:
        """Until it answers an OPTIONS."""
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            probe.bind((HOST, 0))
            probe.setblocking(False)
            for number in range(int(DEADLINE_S / _POLL_S)):
                if self._process is None or self._process.returncode is not None:
                    raise KamailioFailed(f"Kamailio ended at once\n{self.log()}")
                mine = probe.getsockname()[1]
                ping = _PING.format(host=HOST, port=self.port, mine=mine, number=number)
                with contextlib.suppress(OSError):
                    probe.sendto(ping.encode(), self.address)
                await asyncio.sleep(_POLL_S)
                with contextlib.suppress(OSError):
                    if probe.recv(4096):
                        return
