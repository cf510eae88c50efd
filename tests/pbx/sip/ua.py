"""A SIP user agent without any will of its own: a test says each message, and sees each that comes.

It is strict where ours must be: an answer without a tag, without a Contact where a dialog needs one, with another Via
than its request's, or a request of ours that does not fit the dialog, ends the test.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from sovereign_pbx.wire.sip import Headers, NameAddr, Request, Response, cseq, parse, response_to, tag_of
from tests.waiting import until

Pairs = Sequence[tuple[str, str]]

DEADLINE_S = 15.0


def sdp(port: int = 40000, *, formats: str = "0 101", direction: str = "sendrecv", host: str = "127.0.0.1") -> str:
    lines = ["v=0", f"o=- 7 {secrets.randbelow(10**9)} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP {formats}", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000"]
    return "\r\n".join([*lines, f"a={direction}", ""])


class Ua(asyncio.DatagramProtocol):
    """One socket on loopback. `answers`: what is done with requests that come, 200 by default."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.faults: list[str] = []
        self.answers: Callable[[Request], int | None] = lambda request: 200
        self.dialogs: list[UaCall] = []
        self.refusal: Pairs = ()  # headers of answers that refuse
        self.strict = True  # off where what we send is rubbish itself
        self._transport: asyncio.DatagramTransport | None = None

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
        if error is None and self.strict:
            assert not self.faults, self.faults

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def call(self, user: str = "100", *, headers: Pairs = (), body: str | None = None) -> "UaCall":
        """INVITE. `body`: the offer, the usual one by default; "" for none."""
        made = UaCall(self, user)
        self.dialogs.append(made)
        made.invite(headers, sdp() if body is None else body)
        return made

    def send(self, message: Request | Response) -> None:
        assert self._transport is not None
        self._transport.sendto(message.encode(), self.server)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        message = parse(data)
        if isinstance(message, Response):
            self.responses.append(message)
            self._check(message)
            return
        self.requests.append(message)
        if message.method == "ACK":
            return
        if not any(call.is_of(message) for call in self.dialogs):
            self.faults.append(f"a {message.method} outside of every dialog")
        status = self.answers(message)
        if status is not None:
            headers = [("Contact", f"<sip:ua@127.0.0.1:{self.port}>")]
            described = message.method == "INVITE" and status == 200
            body = sdp().encode() if described else b""
            headers += [("Content-Type", "application/sdp")] if described else []
            headers += self.refusal if status >= 300 else ()
            self.send(response_to(message, status, headers=headers, body=body))

    def error_received(self, exc: Exception) -> None:
        """The server is gone."""

    def _check(self, response: Response) -> None:
        status, method = response.status, cseq(response.headers)[1]
        if status > 100 and not tag_of(response.headers, "To"):
            self.faults.append(f"{status} to {method} without a tag")
        if method == "INVITE" and 101 <= status < 300 and "Contact" not in response.headers:
            self.faults.append(f"{status} to INVITE without a Contact")
        if response.body and response.headers.get("Content-Type") != "application/sdp":
            self.faults.append(f"{status} with a body of no type")


class UaCall:
    """One dialog that the test placed."""

    def __init__(self, ua: Ua, user: str) -> None:
        self.ua = ua
        self.call_id = secrets.token_hex(8)
        self.tag = secrets.token_hex(4)
        self.number = 0
        self.uri = f"sip:{user}@{ua.server[0]}:{ua.server[1]}"
        self.first: Request | None = None
        self._branch = ""

    # --- what is sent

    def invite(self, headers: Pairs = (), body: str = "") -> Request:
        self.first = self.request("INVITE", headers=headers, body=body, wait=False)
        self._branch = self.first.headers.get("Via")
        return self.first

    def again(self) -> None:
        """The same INVITE once more, as if its answers had got lost."""
        assert self.first is not None
        self.ua.send(self.first)

    def ack(self, body: str = "", *, number: int | None = None, contact: str = "") -> None:
        request = self._made("ACK", (), body, number or self.number)
        self.ua.send(request)

    def cancel(self) -> None:
        assert self.first is not None
        headers = Headers([("Via", self._branch)])
        for name in ("Max-Forwards", "From", "To", "Call-ID"):
            headers.add(name, self.first.headers.get(name))
        headers.add("CSeq", f"{cseq(self.first.headers)[0]} CANCEL")
        self.ua.send(Request("CANCEL", self.first.uri, headers))

    def request(
        self, method: str, *, headers: Pairs = (), body: str = "", number: int | None = None, wait: bool = True
    ) -> Request:
        """Another request of this dialog, as far as it has come."""
        if number is None:
            self.number += 1
            number = self.number
        request = self._made(method, headers, body, number)
        self.ua.send(request)
        return request

    async def asked(self, method: str, *, headers: Pairs = (), body: str = "", number: int | None = None) -> Response:
        """A request, and its final answer."""
        request = self.request(method, headers=headers, body=body, number=number)
        return await self.answer_to(request)

    # --- what has come

    async def answer_to(self, request: Request) -> Response:
        await until(lambda: any(one.status >= 200 for one in self._responses(request)), DEADLINE_S)
        return next(one for one in self._responses(request) if one.status >= 200)

    async def status(self, *wanted: int) -> Response:
        """The first response to the INVITE with one of these; any final one otherwise ends the wait."""
        assert self.first is not None
        first = self.first

        def found() -> Response | None:
            came = self._responses(first)
            return next((one for one in came if one.status in wanted), None) or next(
                (one for one in came if one.status >= 200), None
            )

        await until(found, DEADLINE_S)
        response = found()
        assert response is not None and response.status in wanted, response
        return response

    async def answered(self, *, ack: bool = True) -> Response:
        response = await self.status(200)
        if ack:
            self.ack()
        return response

    def statuses(self) -> list[int]:
        """Of every response to the INVITE, in order."""
        assert self.first is not None
        return [one.status for one in self._responses(self.first)]

    def came(self, method: str) -> list[Request]:
        """Requests of this dialog from the other side."""
        return [one for one in self.ua.requests if one.method == method and self.is_of(one)]

    async def comes(self, method: str) -> Request:
        await until(lambda: self.came(method), DEADLINE_S)
        return self.came(method)[0]

    def is_of(self, request: Request) -> bool:
        headers = request.headers
        return headers.get("Call-ID") == self.call_id and tag_of(headers, "To") == self.tag

    # --- private

    @property
    def their_tag(self) -> str:
        assert self.first is not None
        tags = [tag_of(one.headers, "To") for one in self._responses(self.first) if one.status > 100]
        return tags[-1] if tags else ""

    @property
    def _target(self) -> str:
        assert self.first is not None
        contacts = [one.headers.get("Contact") for one in self._responses(self.first) if 100 < one.status < 300]
        return str(NameAddr.parse(contacts[-1]).uri) if contacts else self.uri

    def _responses(self, request: Request) -> list[Response]:
        wanted = request.headers.get("CSeq")
        return [
            one
            for one in self.ua.responses
            if one.headers.get("Call-ID") == self.call_id and one.headers.get("CSeq") == wanted
        ]

    def _made(self, method: str, headers: Pairs, body: str, number: int) -> Request:
        port = self.ua.port
        given = {name for name, _ in headers}
        to = f"<{self.uri}>" + (f";tag={self.their_tag}" if self.first is not None and self.their_tag else "")
        usual = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{secrets.token_hex(6)};rport"),
            ("Max-Forwards", "70"),
            ("From", f'"Jan" <sip:201@127.0.0.1>;tag={self.tag}'),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:ua@127.0.0.1:{port}>"),
            ("Allow", "INVITE, ACK, BYE, CANCEL, INFO, UPDATE, REFER, NOTIFY"),
        ]
        pairs = [(name, value) for name, value in usual if name not in given] + list(headers)
        if body and "Content-Type" not in given:
            pairs.append(("Content-Type", "application/sdp"))
        target = self._target if self.first is not None and method != "INVITE" else self.uri
        return Request(method, target, Headers(pairs), body.encode())
