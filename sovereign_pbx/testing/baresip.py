"""A baresip on loopback: a telephone written by others, steered over its control socket.

    async with Baresip(baresip_tree(), says=pcm) as phone:
        await phone.dial("sip:100@127.0.0.1:5090")
        await phone.happened("CALL_ESTABLISHED")
        await phone.press("12#")
        await phone.hang_up()
        heard = await phone.heard()

It says `says` from the first moment of a call and answers every call that comes. When it has said all, baresip hangs up
(1.0.0, source read): what it says must be as long as the call.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.media.wav import read_wav, write_wav
from sovereign_pbx.testing.baresip_tree import PrivateBaresip
from sovereign_pbx.testing.orphan import dying_with_us
from sovereign_pbx.testing.port_block import PortBlock, reserve_ports

HOST: Final = "127.0.0.1"
DEADLINE_S: Final = 20.0
_POLL_S: Final = 0.02
_MOST_BYTES: Final = 1 << 16


class BaresipFailed(SovereignError):
    """baresip did not start, or did not do as it was told; the message ends with what it said last."""


class Baresip:
    """One telephone of `user`, that speaks `codec` ("PCMU/8000/1", "G722/16000/1") over `transport`."""

    def __init__(
        self,
        program: PrivateBaresip,
        *,
        says: bytes,
        user: str = "phone",
        codec: str = "PCMU/8000/1",
        transport: str = "udp",
        account: str = "",
    ) -> None:
        self._program = program
        self._says = says
        self._user = user
        self._codec = codec
        self._transport = transport
        self._account = account  # what else its account says, as ";mediaenc=srtp-mand"
        self._ports: PortBlock | None = None
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._came = asyncio.Condition()
        self.events: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []
        self.sip_port = 0

    @property
    def uri(self) -> str:
        """Where it is called."""
        return f"sip:{self._user}@{HOST}:{self.sip_port}"

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

    # --- what the person at it does

    async def dial(self, uri: str) -> None:
        await self._command("dial", uri)

    async def press(self, digits: str) -> None:
        for digit in digits:
            await self._command("sndcode", digit)

    async def hang_up(self) -> None:
        await self._command("hangup")

    async def hold(self) -> None:
        await self._command("hold")

    async def resume(self) -> None:
        await self._command("resume")

    async def happened(self, kind: str) -> dict[str, Any]:
        """Wait until baresip tells of this (CALL_ESTABLISHED, CALL_CLOSED, CALL_DTMF_START …). Raises BaresipFailed."""
        try:
            async with asyncio.timeout(DEADLINE_S), self._came:
                while True:
                    for event in self.events:
                        if event.get("type") == kind:
                            return event
                    await self._came.wait()
        except TimeoutError as exc:
            raise BaresipFailed(f"no {kind}; there were {[e.get('type') for e in self.events]}\n{self.log()}") from exc

    async def heard(self) -> tuple[int, NDArray[np.int16]]:
        """(rate, samples) of all it has heard of its last call, once that is over."""
        await self.happened("CALL_CLOSED")
        return await asyncio.to_thread(self._read_heard)

    def log(self) -> str:
        """The end of what it printed."""
        if self._folder is None:
            return ""
        return (self._folder / "console").read_text("utf-8", "replace")[-3000:]

    # --- life

    async def close(self) -> None:
        """End it and remove every file."""
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._ports is not None:
            self._ports.release()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _start(self) -> None:
        control = await asyncio.to_thread(self._prepare)
        assert self._folder is not None
        console = await asyncio.to_thread((self._folder / "console").open, "wb")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *dying_with_us(),
                *self._program.command("-4", "-f", str(self._folder)),
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        finally:
            console.close()
        reader = await self._connect(control)
        self._reading = asyncio.create_task(self._read(reader), name="baresip-events")

    def _prepare(self) -> int:
        self._ports = reserve_ports()
        self._folder = Path(tempfile.mkdtemp(prefix="baresip-"))
        rate = 16000 if "16000" in self._codec else 8000
        write_wav(self._folder / "says.wav", rate, self._says)
        self.sip_port = _sip_port(self._ports)
        control = self._ports.take(socket.SOCK_STREAM)
        first, last = self._ports.rest
        (self._folder / "config").write_text(self._configuration(control, first, last), encoding="utf-8")
        (self._folder / "accounts").write_text(
            f"<sip:{self._user}@{HOST};transport={self._transport}>;regint=0;answermode=auto;"
            f"audio_codecs={self._codec}{self._account}\n",
            encoding="utf-8",
        )
        (self._folder / "contacts").write_text("", encoding="utf-8")
        return control

    def _configuration(self, control: int, first: int, last: int) -> str:
        modules = ("g711.so", "g722.so", "aufile.so", "aubridge.so", "sndfile.so", "srtp.so")
        return "\n".join(
            [
                f"module_path {self._program.modules}",
                f"sip_listen {HOST}:{self.sip_port}",
                f"net_interface {HOST}",
                f"rtp_ports {first}-{last}",
                "rtp_timeout 60",
                "jitter_buffer_delay 5-10",
                f"audio_source aufile,{self._folder}/says.wav",
                "audio_player aubridge,ear",
                "audio_alert aubridge,alert",
                "audio_level no",
                f"snd_path {self._folder}",
                *(f"module {name}" for name in modules),
                "module_tmp account.so",
                "module_app ctrl_tcp.so",
                "module_app menu.so",
                f"ctrl_tcp_listen {HOST}:{control}",
                "",
            ]
        )

    async def _connect(self, control: int) -> asyncio.StreamReader:
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    if self._process is not None and self._process.returncode is not None:
                        raise BaresipFailed(f"baresip ended with {self._process.returncode}\n{self.log()}")
                    try:
                        reader, self._writer = await asyncio.open_connection(HOST, control)
                    except OSError:
                        await asyncio.sleep(_POLL_S)
                    else:
                        return reader
        except TimeoutError as exc:
            raise BaresipFailed(f"baresip did not start\n{self.log()}") from exc

    # --- its control socket: JSON in netstrings

    async def _command(self, name: str, parameters: str = "") -> None:
        assert self._writer is not None
        told = len(self._answers)
        body = json.dumps({"command": name, "params": parameters})
        self._writer.write(f"{len(body)}:{body},".encode())
        try:
            async with asyncio.timeout(DEADLINE_S), self._came:
                await self._came.wait_for(lambda: len(self._answers) > told)
        except TimeoutError as exc:
            raise BaresipFailed(f"no answer to {name}\n{self.log()}") from exc
        if not self._answers[-1].get("ok"):
            raise BaresipFailed(f"{name} was refused: {self._answers[-1].get('data')}\n{self.log()}")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                length = int((await reader.readuntil(b":"))[:-1])
                if length > _MOST_BYTES:
                    return
                message = json.loads((await reader.readexactly(length + 1))[:-1])
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
                return
            async with self._came:
                (self.events if message.get("event") else self._answers).append(message)
                self._came.notify_all()

    def _read_heard(self) -> tuple[int, NDArray[np.int16]]:
        assert self._folder is not None
        found = sorted(self._folder.glob("dump*-dec.wav"))
        if not found:
            raise BaresipFailed(f"baresip has heard nothing\n{self.log()}")
        rate, samples = read_wav(found[-1])
        return rate, samples[0]


def _sip_port(ports: PortBlock) -> int:
    """baresip listens there for UDP and TCP, and on the next one for TLS. It does not take one over that somebody's
    closed connection is still known by."""
    while True:
        port, above = ports.take(socket.SOCK_DGRAM), ports.take(socket.SOCK_STREAM)
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        if above == port + 1:
            return port
