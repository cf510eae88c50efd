"""Asterisk's side of FastAGI for tests: as strict as `res_agi.c` about what it is sent."""

import asyncio
import re

from sovereign_pbx.wire import fastagi as wire

_SET_VARIABLE = re.compile(r'SET VARIABLE "([A-Z_]+)" "((?:[^"\\]|\\.)*)"')


class AgiClient:
    """One channel in AGI(). `variables` is what it was told to set; any other command is refused with 510."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.variables: dict[str, str] = {}
        self.replies = b"200 result=1\n"
        self.silent = False

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(*self._address)

    async def ask(self, path: str, *arguments: str, **variables: str) -> dict[str, str]:
        """Run a request to its end; what the dialplan has afterwards."""
        await self.connect()
        self.request(path, *arguments, **variables)
        return await self.finish()

    def request(self, path: str, *arguments: str, **variables: str) -> None:
        env = {
            "network": "yes",
            "network_script": path,
            "request": f"agi://127.0.0.1/{path}",
            "channel": "PJSIP/caller-00000001",
            "uniqueid": "1700000000.1",
            "callerid": "100",
            "calleridname": "Ann",
            "dnid": "200",
            "extension": "s",
        }
        env |= variables | {f"arg_{n}": text for n, text in enumerate(arguments, 1)}
        self.writer.write(
            "".join(f"agi_{name}: {value}\n" for name, value in env.items()).encode("utf-8", "surrogateescape") + b"\n"
        )

    async def finish(self) -> dict[str, str]:
        """Obey until the server closes."""
        async with asyncio.timeout(5):
            while line := await self.reader.readline():
                assert len(line) < wire.MAX_COMMAND_BYTES
                self.obey(line.decode())
        self.writer.close()
        return self.variables

    def obey(self, line: str) -> None:
        match = _SET_VARIABLE.fullmatch(line.rstrip("\n"))
        if match is None:
            self.writer.write(b"510 Invalid or unknown command\n")
        elif not self.silent:
            self.variables[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
            self.writer.write(self.replies)

    async def close(self) -> None:
        """Let go of the connection, however it ended."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

    def hang_up(self) -> None:
        """The caller leaves: Asterisk says so out of band."""
        self.writer.write(b"HANGUP\n")

    def vanish(self) -> None:
        """The caller leaves with AGIEXITONHANGUP set: Asterisk closes the connection."""
        self.writer.close()
