"""A call over TCP: everything goes by the connection that the INVITE came on, whatever its Contact says."""

import asyncio
from dataclasses import replace

from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.wire.sip import Headers, Request, Response, StreamParser, cause_of, tag_of
from tests.pbx.desk import ScriptedDesk
from tests.pbx.sip.stage import play
from tests.pbx.sip.ua import sdp

DEADLINE_S = 15.0


class Peer:
    """One connection to the daemon."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser = StreamParser()
        self._came: list[Request | Response] = []

    def send(self, method: str, *, to_tag: str = "", body: str = "") -> None:
        pairs = [
            ("Via", f"SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{method}"),
            ("Max-Forwards", "70"),
            ("From", "<sip:201@127.0.0.1>;tag=theirs"),
            ("To", "<sip:100@127.0.0.1>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", "over-tcp"),
            ("CSeq", f"1 {method}"),
            ("Contact", "<sip:nobody@127.0.0.1:9;transport=tcp>"),  # nobody listens there
            *([("Content-Type", "application/sdp")] if body else []),
        ]
        self._writer.write(Request(method, "sip:100@127.0.0.1", Headers(pairs), body.encode()).encode())

    async def until(self, wanted: int | str) -> Request | Response:
        """The next response with this status, or request with this method."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                while self._came:
                    message = self._came.pop(0)
                    if wanted in (getattr(message, "status", None), getattr(message, "method", None)):
                        return message
                self._came += self._parser.feed(await self._reader.read(65536))


def test_a_call_over_tcp_is_answered_and_ended_on_its_own_connection() -> None:
    async def scene() -> None:
        desk = ScriptedDesk()
        pbx = SipPbx(replace(SipSettings(), port=0, transports=("tcp",)))
        await pbx.start(desk)
        reader, writer = await asyncio.open_connection(*pbx.endpoint.address("tcp"))
        try:
            peer = Peer(reader, writer)
            peer.send("INVITE", body=sdp())
            answer = await peer.until(200)
            assert "transport=tcp" in answer.headers.get("Contact")
            peer.send("ACK", to_tag=tag_of(answer.headers, "To"))
            stopping = asyncio.ensure_future(pbx.stop())
            assert cause_of(await peer.until("BYE")) == 41
            await stopping
            assert len(desk.gone_calls) == 1
        finally:
            writer.close()
            await writer.wait_closed()
            await pbx.stop()

    play(scene())
