"""A scripted phone: places calls, takes them, and lets a test say exactly what the person at it does.

    async with SipPhone(pbx.sip_address) as phone:
        call = await phone.call("echo")
        await call.answered()
        spoken = call.say(pcm)
        await spoken.finished.wait()
        await call.hang_up()
        start, heard = call.ear.by_timestamp()

UDP on loopback, G.711 or G.722, RFC 4733. As a callee it does what `manner` says, for every call that comes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.testing.call_audio import CallAudio
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.sip_call import TRANSACTION_DEADLINE_S, CallFailed, SipCall
from sovereign_pbx.testing.sip_dialog import Dialog, Headers, Transaction
from sovereign_pbx.testing.sip_message import SipMessage, response

Manner = Literal["by hand", "answer", "ring", "busy", "decline", "unknown", "dead"]
"""What to do with a call that comes: nothing until the test does it, answer after 180, ring for ever, 486, 603, 404,
or not a single packet back."""

REFUSALS = {"busy": "486 Busy Here", "decline": "603 Decline", "unknown": "404 Not Found"}


@dataclass(frozen=True, slots=True)
class SipTrace:
    """A message as it went (">") or came ("<")."""

    at: float
    direction: Literal[">", "<"]
    message: SipMessage


class SipPhone(asyncio.DatagramProtocol):
    """A phone of `user` at `host`:`port` (0: any) that sends everything to `server`.

    `codecs` are RTP payload types, best first (0 µ-law, 8 A-law, 9 G.722). Where one process has many callers, `ticker`
    is the clock of all, and `keep_audio` off keeps of what they hear only its loudness.
    """

    def __init__(
        self,
        server: tuple[str, int],
        *,
        user: str = "caller",
        port: int = 0,
        host: str = "127.0.0.1",
        manner: Manner = "by hand",
        codecs: Sequence[int] = (0,),
        ticker: CallerTicker | None = None,
        keep_audio: bool = True,
    ) -> None:
        self.user, self.host, self.port = user, host, port
        self.manner = manner
        self.trace: list[SipTrace] = []
        self.calls: dict[str, SipCall] = {}
        self._server = server
        self._codecs = tuple(codecs)
        self._ticker, self._keep = ticker, keep_audio
        self._incoming: asyncio.Queue[SipCall] = asyncio.Queue()
        self._registering: dict[str, Transaction] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, self.port))
        self.port = self._transport.get_extra_info("sockname")[1]

    async def close(self) -> None:
        """Let go of every call (without a BYE: hang up first) and of the sockets."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        for call in self.calls.values():
            call.close()
        if self._transport is not None:
            self._transport.close()
        await asyncio.sleep(0)  # transports let go of their sockets in the loop's next turn

    # Public

    async def call(self, extension: str, *, name: str = "", user: str = "", headers: Headers = ()) -> SipCall:
        """Place a call to `extension`, as `user` if not the phone's own; returns when the INVITE has left."""
        host, port = self._server
        contact = f"{user or self.user}@{self.host}:{self.port}"
        dialog = Dialog(contact, name=name or self.user, target=f"sip:{extension}@{host}:{port}")
        call = self._add(dialog)
        await call.place(headers)
        return call

    async def register(self, *, expires_s: int = 300) -> None:
        """Tell the server where we are, as `user`; 0 takes it back. Raises CallFailed when it won't have us."""
        host, port = self._server
        dialog = Dialog(f"{self.user}@{self.host}:{self.port}", name=self.user, target=f"sip:{self.user}@{host}:{port}")
        transaction = Transaction(self._send, dialog.request("REGISTER", extra=[("Expires", str(expires_s))]))
        self._registering[dialog.call_id] = transaction
        try:
            await asyncio.wait_for(transaction.answered.wait(), TRANSACTION_DEADLINE_S)
        except TimeoutError as exc:
            raise CallFailed("no answer to our REGISTER") from exc
        finally:
            transaction.stop()
            del self._registering[dialog.call_id]
        if transaction.answer is None or transaction.answer.status >= 300:
            raise CallFailed(f"our REGISTER was refused: {transaction.answer and transaction.answer.start}")

    async def incoming(self, deadline_s: float = 10.0) -> SipCall:
        """The next call that came. Raises TimeoutError."""
        return await asyncio.wait_for(self._incoming.get(), deadline_s)

    # For asyncio

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        try:
            message = SipMessage.parse(data)
        except BadInput:
            return  # a keep-alive of two line feeds, or noise
        self._note("<", message)
        call = self.calls.get(message.get("Call-ID"))
        if call is not None:
            call.take(message)
        elif (registering := self._registering.get(message.get("Call-ID"))) is not None:
            registering.take(message)
        elif message.method == "INVITE" and not message.status:
            self._take_offer(message)
        elif not message.status and message.method != "ACK":
            self._send(response(message, "200 OK", (), "", "none"))

    def error_received(self, exc: Exception) -> None:
        """The server's port is closed: the call will find out by its deadline."""

    # Private

    def _take_offer(self, invite: SipMessage) -> None:
        if self.manner == "dead":
            return
        call = self._add(Dialog(f"{self.user}@{self.host}:{self.port}", invite=invite))
        self._send(response(invite, "100 Trying", (), "", ""))
        if self.manner in REFUSALS:
            call.decline(REFUSALS[self.manner])
        elif self.manner in ("ring", "answer"):
            call.ring()
        if self.manner == "answer":
            task = asyncio.get_running_loop().create_task(call.answer())
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        self._incoming.put_nowait(call)

    def _add(self, dialog: Dialog) -> SipCall:
        call = SipCall(dialog, CallAudio(self.host, self._codecs, self._ticker, keep=self._keep), self._send)
        self.calls[dialog.call_id] = call
        return call

    def _send(self, message: SipMessage) -> None:
        self._note(">", message)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(message.encode(), self._server)

    def _note(self, direction: Literal[">", "<"], message: SipMessage) -> None:
        self.trace.append(SipTrace(asyncio.get_running_loop().time(), direction, message))
