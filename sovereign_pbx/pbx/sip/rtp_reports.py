"""A call's RTCP: what we report, and what the other side reported of us."""

import base64
import random
import secrets
from collections.abc import Callable
from typing import Final

from sovereign_pbx.pbx.sip.rtp_inbound import Inbound
from sovereign_pbx.pbx.sip.rtp_outbound import Outbound
from sovereign_pbx.wire import rtcp

# RFC 3550 §6.3.1 has five seconds as the least, by chance between half and one and a half times that.
SOONEST_S: Final = 2.5
LATEST_S: Final = 7.5


class Reports:
    """`wall`: seconds since 1970; `now`: the monotonic clock. A name for all our streams of this call that says nothing
    about the machine (RFC 7022)."""

    def __init__(self, wall: Callable[[], float], now: Callable[[], float]) -> None:
        self.far_lost: int | None = None  # of what we sent
        self.far_jitter_units: int | None = None
        self.round_trip_s: float | None = None
        self._wall, self._now = wall, now
        self._cname = base64.b64encode(secrets.token_bytes(12)).decode()
        self._their_report = (0, 0.0)  # the middle of the NTP time of their last sender report, and when it came

    @staticmethod
    def pause_s() -> float:
        """Until the next report."""
        return random.uniform(SOONEST_S, LATEST_S)

    def ours(self, inbound: Inbound, outbound: Outbound, *, leaving: bool = False) -> bytes:
        """A compound packet of ours."""
        sent = None
        if outbound.packets:
            sent = rtcp.Sent(
                ntp=rtcp.ntp(self._wall()),
                timestamp=outbound.timestamp,
                packets=outbound.packets,
                octets=outbound.octets,
            )
        return rtcp.encode(
            rtcp.Report(source=outbound.source, sent=sent, blocks=self._blocks(inbound)), self._cname, leaving
        )

    def _blocks(self, inbound: Inbound) -> tuple[rtcp.Block, ...]:
        reception = inbound.reception
        if reception is None or inbound.source is None:
            return ()
        middle, came = self._their_report
        return (
            rtcp.Block(
                source=inbound.source,
                fraction_lost=reception.fraction_lost(),
                lost=reception.lost,
                highest=reception.highest,
                jitter=int(reception.jitter),
                last_report=middle,
                delay=int((self._now() - came) * 65536) if middle else 0,
            ),
        )

    def take(self, packets: list[rtcp.Report | rtcp.Goodbye], inbound: Inbound, outbound: Outbound) -> None:
        """Theirs. What they say of other sources than ours is passed over."""
        for report in packets:
            if isinstance(report, rtcp.Report) and report.sent is not None and report.source == inbound.source:
                self._their_report = (rtcp.middle(report.sent.ntp), self._now())
        for block in rtcp.blocks_about(packets, outbound.source):
            self.far_lost = max(0, block.lost)
            self.far_jitter_units = block.jitter
            way = rtcp.round_trip_s(block, rtcp.ntp(self._wall()))
            self.round_trip_s = way if way is not None else self.round_trip_s
