"""The endpoint calls sipp: our INVITE, our ACK, our CANCEL and our BYE, as somebody else's program reads them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sovereign_pbx.pbx.sip.dialog import Dialog
from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.testing.private_tree import PrivateTree
from sovereign_pbx.testing.progress_line import ProgressLine
from sovereign_pbx.testing.sipp_tree import sipp_tree
from sovereign_pbx.wire.sip import Headers, Request, Uri
from tests.pbx.sip import sipp
from tests.pbx.sip.sipp import Played, Step, expect, free_port, offer, reply, taken
from tests.pbx.sip.stage import play

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]  # the first one may fetch sipp

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def tree() -> PrivateTree:
    return sipp_tree(ProgressLine("sipp"))


@asynccontextmanager
async def called(
    tree: PrivateTree, folder: Path, *steps: Step
) -> AsyncIterator[tuple[Endpoint, Uri, "asyncio.Future[Played]"]]:
    """sipp waits for a call; an endpoint to place it with."""
    endpoint = Endpoint(HERE, 0, ("udp",), on_request=lambda transaction: None)
    await endpoint.start()
    to = Uri("sip", "sipp", HERE, free_port())
    playing = asyncio.ensure_future(sipp.take(tree, steps, to.port or 0, folder))
    try:
        yield endpoint, to, playing
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await endpoint.stop()


def invite(endpoint: Endpoint, to: Uri) -> Request:
    """Repeated by the transaction until sipp is there."""
    headers = Headers([("From", '"Sovereign" <sip:us@127.0.0.1>;tag=us'), ("To", f"<{to}>"), ("Call-ID", "ours")])
    headers.add("CSeq", "1 INVITE")
    headers.add("Contact", endpoint.contact("udp", "us"))
    headers.add("Content-Type", "application/sdp")
    body = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 40000 RTP/AVP 0\n"
    return Request("INVITE", str(to), headers, body.replace("\n", "\r\n").encode())


def test_sipp_answers_and_is_hung_up_on(tree: PrivateTree, tmp_path: Path) -> None:
    async def inside() -> None:
        steps = (expect("INVITE"), reply("180 Ringing"), reply("200 OK", body=offer()), expect("ACK"), taken("BYE"))
        async with called(tree, tmp_path, *steps) as (endpoint, to, playing):
            request = invite(endpoint, to)
            rung: list[int] = []
            transaction = endpoint.request(request, to, on_provisional=lambda answer: rung.append(answer.status))
            answer = await transaction.final()
            assert answer.status == 200 and rung == [180]
            dialog = Dialog.placed(request, answer)
            endpoint.send_ack(dialog.request("ACK", number=1), dialog.next_hop)
            assert (await endpoint.request(dialog.request("BYE"), dialog.next_hop).final()).status == 200
            played = await playing
            assert played.code == 0, played.errors

    play(inside())


def test_sipp_rings_and_is_cancelled(tree: PrivateTree, tmp_path: Path) -> None:
    async def inside() -> None:
        ended = (taken("CANCEL"), reply("487 Request Terminated", cseq="CSeq: 1 INVITE"), expect("ACK"))
        async with called(tree, tmp_path, expect("INVITE"), reply("180 Ringing"), *ended) as (endpoint, to, playing):
            transaction = endpoint.request(invite(endpoint, to), to)
            transaction.cancel()
            assert (await transaction.final()).status == 487
            played = await playing
            assert played.code == 0, played.errors

    play(inside())


def test_sipp_refuses_and_its_refusal_is_acknowledged(tree: PrivateTree, tmp_path: Path) -> None:
    async def inside() -> None:
        async with called(tree, tmp_path, expect("INVITE"), reply("486 Busy Here"), expect("ACK")) as (
            endpoint,
            to,
            playing,
        ):
            assert (await endpoint.request(invite(endpoint, to), to).final()).status == 486
            played = await playing
            assert played.code == 0, played.errors

    play(inside())
