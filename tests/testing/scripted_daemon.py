"""A daemon of a few lines for the tests of the callers: FastAGI with given answers, AudioSocket with an echo."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

Sock = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ScriptedDaemon:
    """`answers` maps an AGI path to the commands that are sent; what was asked and answered is recorded."""

    def __init__(self, answers: Mapping[str, list[str]], sock: Sock) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.replies: list[str] = []
        self._answers = answers
        self._sock = sock

    async def __aenter__(self) -> Self:
        self._servers = [
            await asyncio.start_server(self._serve_agi, "127.0.0.1", 0),
            await asyncio.start_server(self._serve_audio, "127.0.0.1", 0),
        ]
        self.agi, self.audio = (server.sockets[0].getsockname() for server in self._servers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()

    async def _serve_agi(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\n\n")).decode().strip().split("\n")
        values = dict(line.removeprefix("agi_").split(": ", 1) for line in lines if ": " in line)
        path = values["network_script"]
        self.asked.append((path, values))
        for command in self._answers.get(path, []):
            writer.write(command.encode() + b"\n")
            self.replies.append((await reader.readline()).decode().strip())
        writer.close()

    async def _serve_audio(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._sock(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller has gone
        finally:
            writer.close()


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    header = await reader.readexactly(3)
    return header[0], await reader.readexactly(int.from_bytes(header[1:], "big"))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return every frame of audio as it comes."""
    while True:
        kind, payload = await read_frame(reader)
        if kind == 0x10:
            writer.write(bytes([kind, *len(payload).to_bytes(2, "big")]) + payload)
