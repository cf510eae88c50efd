"""One FastAGI connection: its request, its commands one at a time, and the caller's leaving."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded, LinkFinished
from sovereign_pbx.pbx.asterisk.peers import notice_death
from sovereign_pbx.wire import fastagi as wire
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)

T = TypeVar("T")

_GONE: Final = "the AGI connection has ended"


class AgiSession(asyncio.Protocol):
    """What a handler talks to. Every wait ends: by an answer, by its deadline, or by the connection's end.

    `hung_up` becomes true when Asterisk says so (`HANGUP`) or closes the connection, which is what it does when the
    dialplan sets AGIEXITONHANGUP.
    """

    def __init__(self, accept: Callable[["AgiSession"], bool]) -> None:
        self.hung_up = False
        self.peer: object = None
        self.request: wire.Request
        self.command_timeout_s = 2.0
        self._accept = accept
        self._parser = wire.Parser()
        self._loop = asyncio.get_running_loop()
        self._requested: asyncio.Future[wire.Request] = self._loop.create_future()
        self._reply: asyncio.Future[wire.Reply] | None = None
        self._ended: LinkEnded | BadInput | None = None
        self._interrupt: Callable[[], None] | None = None

    # --- for handlers

    async def read_request(self, within_s: float) -> wire.Request:
        """The request block. Raises LinkEnded or BadInput; LinkBroken when it does not come in time."""
        try:
            async with asyncio.timeout(within_s):
                self.request = await self._requested
        except TimeoutError as exc:
            raise LinkBroken(f"no AGI request within {within_s:g} s") from exc
        return self.request

    async def command(self, *words: str) -> wire.Reply:
        """Send one command and await its reply.

        Raises:
            BadInput: a word that can't be sent, or a reply that is none.
            LinkEnded: the connection is gone, or no reply came in time (then it is closed: replies carry no number, so
                a late one would be taken for the next command's).
        """
        assert self._reply is None, "one AGI command at a time"
        if self._ended is not None:
            raise self._ended
        try:
            line = wire.command(*words)
        except Malformed as exc:
            raise BadInput(str(exc)) from exc
        self._reply = self._loop.create_future()
        self._transport.write(line)
        try:
            async with asyncio.timeout(self.command_timeout_s):
                return await self._reply
        except TimeoutError as exc:
            self._end(LinkBroken(f"no reply to AGI {words[0]} within {self.command_timeout_s:g} s"))
            self._transport.abort()
            raise LinkBroken(f"no reply to AGI {words[0]}") from exc
        finally:
            self._reply = None

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable. Raises like `command`, and BadInput when Asterisk refuses."""
        reply = await self.command("SET VARIABLE", name, value)
        if not reply.ok:
            raise BadInput(f"Asterisk refused to set {name}: {reply.code} {reply.text}")

    async def unless_hung_up(self, work: Awaitable[T], within_s: float) -> T:
        """The result of `work`; cancelled when the caller leaves (LinkFinished) or time is up (TimeoutError).

        Raises BadInput or LinkBroken when the connection ended by a fault.
        """
        try:
            async with asyncio.timeout(0 if self.hung_up else within_s) as scope:
                self._interrupt = lambda: None if scope.expired() else scope.reschedule(self._loop.time())
                return await work
        except TimeoutError as exc:
            if self.hung_up:
                raise self._ended or LinkFinished("the caller hung up") from exc
            raise
        finally:
            self._interrupt = None

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # --- for the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        self._transport = transport
        self.peer = transport.get_extra_info("peername")
        if self._accept(self):
            notice_death(transport.get_extra_info("socket"))
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._ended is not None:
            return
        try:
            for event in self._parser.feed(data):
                self._handle(event)
        except Malformed as exc:
            self._end(BadInput(f"FastAGI: {exc}"))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LinkFinished(_GONE) if exc is None else LinkBroken(f"{_GONE}: {exc}"))

    def _handle(self, event: wire.Event) -> None:
        if isinstance(event, wire.Request):
            self._requested.set_result(event)
        elif isinstance(event, wire.HungUp):
            self._gone()
        elif self._reply is None or self._reply.done():
            raise Malformed("a reply to no command")
        else:
            self._reply.set_result(event)

    def _gone(self) -> None:
        self.hung_up = True
        if self._interrupt is not None:
            self._interrupt()

    def _end(self, how: LinkEnded | BadInput) -> None:
        if self._ended is not None:
            return
        self._ended = how
        for waiting in (self._requested, self._reply):
            if waiting is not None and not waiting.done():
                waiting.set_exception(how)
                waiting.exception()  # nobody may be waiting; asyncio would report it as never retrieved
        self._gone()
