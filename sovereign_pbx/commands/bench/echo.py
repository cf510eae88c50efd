"""A bare AudioSocket echo: the least that a Python process can do with a call. Run as a process of its own.

It answers nothing and decides nothing; what the daemon costs more than this is what its work costs.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

from sovereign_pbx.wire import audiosocket as wire


class Echo(asyncio.Protocol):
    """Sends every frame of audio back."""

    def __init__(self) -> None:
        self._parser = wire.Parser()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            for kind, payload in self._parser.feed(data):
                if kind == wire.SLIN8:
                    self._transport.write(wire.encode(kind, payload))


async def main() -> None:
    """Serve until killed; the port is printed as JSON."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
