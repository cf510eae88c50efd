"""Asterisk's `AGI(agi://…)` without an Asterisk: connects, sends the environment, obeys until the server closes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from sovereign_pbx.testing.agi_interpreter import MAX_LINE_BYTES, AgiInterpreter

AgiStatus = Literal["SUCCESS", "FAILURE", "HANGUP"]

CONNECT_S = 2.0


class AgiConnection(asyncio.Protocol):
    """One request. `status` has the value of AGISTATUS when `closed` is set."""

    def __init__(self, interpreter: AgiInterpreter, environment: bytes) -> None:
        self.interpreter = interpreter
        self.status: AgiStatus = "SUCCESS"
        self.closed = asyncio.Event()
        self._environment = environment
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # not asked: uvloop's is no subclass of it
        self._transport = transport
        transport.write(self._environment)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        while len(self._buffer) > MAX_LINE_BYTES:
            lines.append(self._buffer[:MAX_LINE_BYTES])
            self._buffer = self._buffer[MAX_LINE_BYTES:]
        for line in lines:
            reply = self.interpreter.answer(line.decode("utf-8", "surrogateescape").rstrip("\r"))
            self._transport.write(reply.encode("utf-8", "surrogateescape"))
        if self.interpreter.hung_up:
            self.hang_up()

    def hang_up(self) -> None:
        """The caller leaves: with AGIEXITONHANGUP, as the shipped dialplan has it, Asterisk closes the connection."""
        if self._transport is not None and not self.closed.is_set():
            self.status = "HANGUP"
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


def environment(request: str, values: Mapping[str, str], arguments: Sequence[str]) -> bytes:
    """The block that Asterisk 22.10 sends first, in its order; `values` replace or add to the usual ones."""
    usual = {
        "network": "yes",
        "network_script": request.rpartition("/")[2],
        "request": request,
        "channel": "PJSIP/caller-00000000",
        "language": "en",
        "type": "PJSIP",
        "uniqueid": "0.0",
        "version": "22.10.1",
        "callerid": "unknown",
        "calleridname": "unknown",
        "callingpres": "0",
        "callingani2": "0",
        "callington": "0",
        "callingtns": "0",
        "dnid": "unknown",
        "rdnis": "unknown",
        "context": "sovereign",
        "extension": "s",
        "priority": "1",
        "enhanced": "0.0",
        "accountcode": "",
        "threadid": "1",
    }
    lines = [f"agi_{name}: {value}" for name, value in {**usual, **values}.items()]
    lines += [f"agi_arg_{number}: {value}" for number, value in enumerate(arguments, 1)]
    return "\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


async def open_agi(
    address: tuple[str, int],
    path: str,
    interpreter: AgiInterpreter,
    values: Mapping[str, str],
    arguments: Sequence[str],
) -> AgiConnection | None:
    """Connect and send the request; None when nobody answers, which the dialplan sees as AGISTATUS=FAILURE."""
    block = environment(f"agi://{address[0]}:{address[1]}/{path}", values, arguments)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            _, connection = await loop.create_connection(lambda: AgiConnection(interpreter, block), *address)
    except (OSError, TimeoutError):
        return None
    return connection
