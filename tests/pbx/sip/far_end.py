"""Whom we call: a host whose answers a test says one by one. Strict about what it is sent."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.wire.sip import (
    Headers,
    NameAddr,
    Request,
    Response,
    StreamParser,
    Via,
    cseq,
    parse,
    response_to,
    tag_of,
)
from tests.pbx.sip.ua import sdp
from tests.waiting import until

Pairs = Sequence[tuple[str, str]]
Manner = Callable[["FarEnd", Request], None]

DEADLINE_S = 15.0


class FarEnd(asyncio.DatagramProtocol):
    """`manner` is told of every INVITE outside of a dialog that is no repetition; every other request is answered 200,
    unless `answers` says otherwise (None: not at all)."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.faults: list[str] = []
        self.answers: Callable[[Request], int | None] = lambda request: 200
        self._seen: dict[tuple[str, int], str] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._back: tuple[str, int] = ("", 0)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._transport is not None
        self._transport.close()
        await asyncio.sleep(0)
        if error is None:
            assert not self.faults, self.faults

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def way(self) -> Way:
        return Way(name="the trunk carrier", host="127.0.0.1", port=self.port)

    # --- what it says

    def reply(
        self, request: Request, status: int, *, tag: str = "far", headers: Pairs = (), sound: str | None = None
    ) -> None:
        """`sound`: the description of a 200, the usual one by default, "" for none."""
        extra = list(headers)
        body = sdp() if sound is None and request.method == "INVITE" and status == 200 else sound or ""
        extra += [("Content-Type", "application/sdp")] if body else []
        if request.method == "INVITE" and 100 < status < 300:
            extra.append(("Contact", f"<sip:{tag}@127.0.0.1:{self.port}>"))
        self.send(response_to(request, status, tag=tag, headers=extra, body=body.encode()))

    def request(
        self, invite: Request, method: str, *, headers: Pairs = (), body: str = "", tag: str = "far"
    ) -> Request:
        """Within the dialog that an INVITE of theirs made."""
        ours = [one for one in self.requests if one.method == "OURS"]
        number = len(ours) + 1
        self.requests.append(Request("OURS", "sip:nobody"))
        named = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bKfar{number};rport"),
            ("Max-Forwards", "70"),
            ("From", f"{invite.headers.get('To')};tag={tag}"),
            ("To", invite.headers.get("From")),
            ("Call-ID", invite.headers.get("Call-ID")),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:{tag}@127.0.0.1:{self.port}>"),
            *headers,
        ]
        made = Request(method, str(NameAddr.parse(invite.headers.get("Contact")).uri), Headers(named), body.encode())
        self.send(made)
        return made

    def send(self, message: Request | Response) -> None:
        assert self._transport is not None
        self._transport.sendto(message.encode(), self._back)

    def call(self, server: tuple[str, int], headers: Pairs = ()) -> "Caller":
        """A call of its own, as a PBX whose caller and colleague are both behind it."""
        self._back = server
        return Caller(self, f"sip:100@{server[0]}:{server[1]}", headers)

    # --- what it has got

    def came(self, method: str) -> list[Request]:
        return [one for one in self.requests if one.method == method]

    async def comes(self, method: str, count: int = 1) -> Request:
        await until(lambda: len(self.came(method)) >= count, DEADLINE_S)
        return self.came(method)[count - 1]

    # --- asyncio

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._back = (str(addr[0]), int(addr[1]))
        message = parse(data)
        if isinstance(message, Response):
            self.responses.append(message)
            return
        if message.method == "INVITE" and not tag_of(message.headers, "To"):
            if self._is_news(message):
                self._check(message)
                self.requests.append(message)
                self.manner(self, message)
            return
        self.requests.append(message)
        if message.method == "ACK":
            return
        if message.method == "CANCEL":
            self.reply(message, 200)
            return
        status = self.answers(message)
        if status is not None:
            self.reply(message, status)

    def error_received(self, exc: Exception) -> None:
        """The daemon is gone."""

    def _is_news(self, invite: Request) -> bool:
        """The same call twice by two transactions would ring somebody twice."""
        key = invite.headers.get("Call-ID"), cseq(invite.headers)[0]
        branch = Via.parse(invite.headers.get("Via")).branch
        first = self._seen.setdefault(key, branch)
        if first != branch:
            self.faults.append("one INVITE was sent twice")
        return len(self._seen) > sum(one.method == "INVITE" for one in self.requests)

    def _check(self, invite: Request) -> None:
        headers = invite.headers
        for name in ("Max-Forwards", "Contact", "Allow", "Supported"):
            if name not in headers:
                self.faults.append(f"an INVITE without {name}")
        if not tag_of(headers, "From"):
            self.faults.append("an INVITE without a tag in From")
        if headers.get("Content-Type") != "application/sdp" or not invite.body:
            self.faults.append("an INVITE without an offer")


class Caller:
    """A call that the far end placed to the daemon."""

    def __init__(self, far: FarEnd, uri: str, headers: Pairs) -> None:
        self.far = far
        self.call_id = secrets.token_hex(8)
        self._uri = uri
        self._number = 0
        self._send("INVITE", [*headers, ("Content-Type", "application/sdp")], sdp())

    async def answered(self) -> None:
        """Wait for the 200, and acknowledge it."""
        await until(lambda: self._ok is not None, DEADLINE_S)
        self._send("ACK", number=1)

    def hang_up(self) -> None:
        self._send("BYE")

    def notify(self, status: str, state: str = "terminated") -> None:
        """What becomes of a REFER (RFC 3515)."""
        headers = [("Event", "refer"), ("Subscription-State", state), ("Content-Type", "message/sipfrag;version=2.0")]
        self._send("NOTIFY", headers, f"SIP/2.0 {status}\r\n")

    def came(self, method: str) -> list[Request]:
        return [one for one in self.far.came(method) if one.headers.get("Call-ID") == self.call_id]

    async def comes(self, method: str) -> Request:
        await until(lambda: self.came(method), DEADLINE_S)
        return self.came(method)[0]

    @property
    def _ok(self) -> Response | None:
        mine = (one for one in self.far.responses if one.headers.get("Call-ID") == self.call_id)
        return next((one for one in mine if one.status == 200 and cseq(one.headers)[1] == "INVITE"), None)

    def _send(self, method: str, headers: Pairs = (), body: str = "", *, number: int | None = None) -> None:
        if number is None:
            self._number += 1
            number = self._number
        answer = self._ok
        uri = str(NameAddr.parse(answer.headers.get("Contact")).uri) if answer is not None else self._uri
        named = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.far.port};branch=z9hG4bK{secrets.token_hex(6)};rport"),
            ("Max-Forwards", "70"),
            ("From", '"Jan" <sip:201@127.0.0.1>;tag=jan'),
            ("To", answer.headers.get("To") if answer is not None else f"<{self._uri}>"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:pbx@127.0.0.1:{self.far.port}>"),
            *headers,
        ]
        self.far.send(Request(method, uri, Headers(named), body.encode()))


class Connection:
    """A PBX that has one TCP connection to the daemon, and listens nowhere."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._came: list[Request | Response] = []
        self._parser = StreamParser()
        self._call_id = secrets.token_hex(8)

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_connection(*self._server)
        self._reading = asyncio.ensure_future(self._read(reader))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()

    def invite(self) -> None:
        self.send("INVITE", [("Content-Type", "application/sdp")], sdp())

    def send(self, method: str, headers: Pairs = (), body: str = "", *, number: int = 1) -> None:
        """Of the call that it placed."""
        tags = [tag_of(one.headers, "To") for one in self._came if isinstance(one, Response) and one.status == 200]
        uri = f"sip:100@{self._server[0]}:{self._server[1]};transport=tcp"
        named = [
            ("Via", f"SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{secrets.token_hex(6)}"),
            ("Max-Forwards", "70"),
            ("From", "<sip:201@127.0.0.1>;tag=jan"),
            ("To", f"<{uri}>" + (f";tag={tags[0]}" if tags else "")),
            ("Call-ID", self._call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", "<sip:pbx@127.0.0.1:9;transport=tcp>"),
            *headers,
        ]
        self._writer.write(Request(method, uri, Headers(named), body.encode()).encode())

    def reply(self, request: Request, status: int) -> None:
        self._writer.write(response_to(request, status, tag="far").encode())

    async def comes(self, wanted: str | int) -> Request | Response:
        """The first request with this method, or answer with this status."""

        def found() -> Request | Response | None:
            return next((one for one in self._came if _kind(one) == wanted), None)

        await until(found, DEADLINE_S)
        message = found()
        assert message is not None
        return message

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            self._came += self._parser.feed(data)


def _kind(message: Request | Response) -> str | int:
    return message.method if isinstance(message, Request) else message.status


def answers(*statuses: int, headers: Pairs = ()) -> Manner:
    """Says these one after the other at once."""

    def manner(far: FarEnd, invite: Request) -> None:
        for status in statuses:
            far.reply(invite, status, headers=headers if status >= 300 else ())

    return manner
