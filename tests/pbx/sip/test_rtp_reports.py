"""RTCP of a call: where it goes, what it says, and what is made of the other side's."""

import asyncio
from dataclasses import replace

import pytest

from sovereign_pbx.pbx.sip.rtp_reports import Reports
from sovereign_pbx.pbx.sip.srtp import Opener
from sovereign_pbx.wire import rtcp
from tests.pbx.sip.rtp_rig import FAR, SOURCE, TICK_S, Rig

NAT = ("203.0.113.9", 61000)


def talk(rig: Rig, ticks: int, *, lose: int = 0) -> None:
    for tick in range(ticks):
        if lose and tick % lose == 0:
            rig.packet(b"")
            rig.timestamp = (rig.timestamp + 160) % 2**32
        else:
            rig.speak(bytes(320))
        rig.tick()


def reported(rig: Rig) -> rtcp.Report:
    """Our next report."""
    rig.session._report()
    data, _ = rig.socket.reports[-1]
    report = rtcp.parse(data)[0]
    assert isinstance(report, rtcp.Report)
    return report


def test_reports_come_every_five_seconds_give_or_take_half() -> None:
    pauses = [Reports.pause_s() for _ in range(1000)]
    assert min(pauses) >= 2.5 and max(pauses) <= 7.5
    assert max(pauses) - min(pauses) > 4


def test_a_report_says_what_was_sent_and_what_came() -> None:
    async def run() -> None:
        rig = Rig()
        talk(rig, 100, lose=10)
        sent = rig.sent()
        report = reported(rig)
        assert report.sent is not None
        assert (report.source, report.sent.packets, report.sent.octets) == (sent[0].source, 100, 16_000)
        assert report.sent.timestamp == (sent[-1].timestamp + 160) % 2**32
        (block,) = report.blocks
        assert (block.source, block.lost) == (SOURCE, 9)
        assert block.fraction_lost == pytest.approx(9 / 99, abs=1 / 256)
        assert block.last_report == block.delay == 0
        assert reported(rig).blocks[0].fraction_lost == 0

    asyncio.run(run())


def test_before_anything_came_a_report_is_empty() -> None:
    async def run() -> None:
        report = reported(Rig())
        assert report.sent is None and report.blocks == ()

    asyncio.run(run())


def test_their_report_is_answered_with_its_time_and_our_delay() -> None:
    async def run() -> None:
        rig = Rig()
        talk(rig, 3)
        theirs = rtcp.Sent(ntp=rtcp.ntp(1.7e9), timestamp=0, packets=1, octets=1)
        rig.socket.rtcp(rtcp.encode(rtcp.Report(source=SOURCE, sent=theirs), "far"), (FAR[0], 4001))
        rig.now += 1.5
        block = reported(rig).blocks[0]
        assert block.last_report == rtcp.middle(theirs.ntp)
        assert block.delay == pytest.approx(1.5 * 65536, abs=2)

    asyncio.run(run())


def test_the_round_trip_comes_of_our_time_and_their_delay() -> None:
    async def run() -> None:
        rig = Rig()
        talk(rig, 3)
        ours = reported(rig)
        assert ours.sent is not None
        rig.now += 0.180
        block = rtcp.Block(
            source=ours.source,
            fraction_lost=0,
            lost=0,
            highest=0,
            jitter=0,
            last_report=rtcp.middle(ours.sent.ntp),
            delay=int(0.1 * 65536),
        )
        report = rtcp.Report(source=SOURCE, sent=None, blocks=(block,))
        rig.socket.rtcp(rtcp.encode(report, "far"), FAR)
        quality = rig.session.quality()
        assert quality is not None and quality.round_trip_ms == pytest.approx(80, abs=1)

    asyncio.run(run())


def test_reports_go_to_the_port_above_or_where_the_description_says() -> None:
    async def run() -> None:
        rig = Rig()
        for agreed, to in (
            (replace(rig.agreed, rtcp_mux=True), FAR),
            (replace(rig.agreed, rtcp_mux=False, rtcp=(FAR[0], 4001)), (FAR[0], 4001)),
            (replace(rig.agreed, rtcp_mux=False, rtcp=("192.0.2.5", 99)), ("192.0.2.5", 99)),
        ):
            rig.session.change(agreed)
            rig.session._report()
            assert rig.socket.reports[-1][1] == to

    asyncio.run(run())


def test_reports_follow_sound_that_comes_from_elsewhere() -> None:
    async def run() -> None:
        rig = Rig()
        rig.session.change(replace(rig.agreed, rtcp_mux=False))
        for _ in range(4):
            rig.hear(rig.packet(bytes(160)), NAT)
            rig.now += TICK_S
        rig.session._report()
        assert rig.socket.reports[-1][1] == (NAT[0], NAT[1] + 1)
        rig.socket.rtcp(rtcp.encode(rtcp.Report(source=SOURCE, sent=None), "far"), (NAT[0], 5))
        assert rig.session.statistics()["packets_refused"] == 2  # the first two, before they were believed

    asyncio.run(run())


def test_reports_of_an_encrypted_call_are_encrypted() -> None:
    async def run() -> None:
        rig = Rig(srtp="required")
        assert rig.agreed.crypto is not None
        rig.session._report()
        data, _ = rig.socket.reports[-1]
        opened = Opener(rig.agreed.crypto.ours).rtcp(data)
        assert opened is not None and opened != data and rtcp.parse(opened)
        rig.socket.rtcp(rtcp.encode(rtcp.Report(source=SOURCE, sent=None), "in the clear"), FAR)
        assert rig.session.statistics()["packets_refused"] == 1

    asyncio.run(run())
