"""A call's RTP from its first agreement to its end: packets both ways, reports, who listens and what is played.

Frames go out every 20 ms as long as the other side listens: what a link puts, else what `play` gives, else comfort
noise. A PBX that watches for media (FreeSWITCH's media_timeout) sees a call that lives.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

from sovereign_pbx.core.audio import FRAME_MS
from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkClosed, LinkEnded, Refused
from sovereign_pbx.media.comfort import ComfortNoise
from sovereign_pbx.media.link import LinkQuality
from sovereign_pbx.media.mos import mos
from sovereign_pbx.media.schedule import Schedule
from sovereign_pbx.pbx.sip.rtp_inbound import Inbound
from sovereign_pbx.pbx.sip.rtp_latch import Address, Latch, Network
from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.rtp_outbound import Outbound
from sovereign_pbx.pbx.sip.rtp_ports import RtpSocket
from sovereign_pbx.pbx.sip.rtp_reports import Reports
from sovereign_pbx.pbx.sip.srtp import Opener, Sealer
from sovereign_pbx.wire import rtcp, rtp
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.negotiation import Agreed
from sovereign_pbx.wire.telephone_event import DIGITS

log = structlog.get_logger(__name__)

_WATCH_S: Final = 1.0
_PACING_MS: Final = FRAME_MS + FRAME_MS / 2  # of a packet, and on average until the tick


class RtpSession:
    """Nothing has come for `media_timeout_s` though no side holds: a link ends with LinkBroken; without one `on_lost`
    is told, again after as long a time.

    `permit`: networks that sound may come from beside the described address; none: all.
    """

    def __init__(
        self,
        socket: RtpSocket,
        *,
        jitter_min_ms: float = 20,
        jitter_max_ms: float = 200,
        media_timeout_s: float = 20.0,
        on_lost: Callable[[], None] = lambda: None,
        permit: Sequence[Network] = (),
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._socket = socket
        self._jitter_ms = (jitter_min_ms, jitter_max_ms)
        self._media_timeout_s = media_timeout_s
        self._on_lost = on_lost
        self._now = now
        self._latch = Latch(permit)
        self._reports = Reports(wall, now)
        self._agreed: Agreed | None = None
        self._inbound: Inbound | None = None
        self._outbound: Outbound | None = None
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._link: RtpLink | None = None
        self._frames: Iterator[bytes] | None = None  # what is played while no link puts
        self._noise: ComfortNoise | None = None
        self._schedule: Schedule | None = None  # of our own ticks; None while a link's clock ticks
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._heard_at = 0.0
        self._closed = False
        self._packets_refused = self._frames_out = 0

    # --- what was agreed

    def begin(self, agreed: Agreed) -> None:
        """Send and listen from now on. Raises ImportError where the library of the codec, or of SRTP, is missing."""
        least, most = self._jitter_ms
        self._inbound = Inbound(agreed, jitter_min_ms=least, jitter_max_ms=most)
        self._outbound = Outbound(agreed, self._send)
        self._apply(agreed)
        self._socket.listen(self._received, self._received_rtcp)
        self._after("watch", _WATCH_S, self._watch)
        self._after("report", self._reports.pause_s() / 2, self._report)  # the first one soon (RFC 3550 §6.2)
        self._tick_alone()

    def change(self, agreed: Agreed) -> None:
        """Another agreement: address, codec, direction, keys. What stayed the same goes on without a gap."""
        if self._inbound is None or self._outbound is None or self._closed:
            return
        self._inbound.agree(agreed)
        self._outbound.agree(agreed)
        self._apply(agreed)

    def _apply(self, agreed: Agreed) -> None:
        keys = agreed.crypto
        if keys is None:
            self._sealer = self._opener = None
        else:
            if self._sealer is None or self._sealer.key != keys.ours:
                self._sealer = Sealer(keys.ours)
            if self._opener is None or self._opener.key != keys.theirs:
                self._opener = Opener(keys.theirs)
        self._agreed = agreed
        self._latch.expect(agreed.remote)
        self._heard_at = self._now()
        self._noise = ComfortNoise(agreed.rate)

    # --- who listens, what is played

    def link(self, rate: int) -> RtpLink:
        """The sound as frames at `rate` Hz, from now on; after `begin`. A link that is still open is closed by it."""
        if self._inbound is None:
            raise RuntimeError("no link before there is sound")
        if self._link is not None:
            self._link.end(LinkClosed("another link took the call's sound over"))
        link = RtpLink(self, rate)
        if self._closed:
            link.end(LinkClosed("the call's sound is over"))
            return link
        self._inbound.hand_over(rate)
        self._link = link
        return link

    def play(self, frames: Iterator[bytes] | None) -> None:
        """What is heard while no link puts anything: 20 ms of PCM each, at any rate; None or its end: comfort noise."""
        self._frames = frames

    def left(self, link: RtpLink) -> None:
        """A link has ended: we tick by ourselves again."""
        if link is self._link:
            self._link = None
            if not self._closed:
                self._tick_alone()

    def close(self, how: LinkEnded | None = None) -> None:
        """The call is over; a link that is open ends so. Ports go back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._link is not None:
            self._link.end(how or LinkClosed("the call's sound is over"))
        if self._inbound is not None and self._outbound is not None:
            self._outbound.drop_digits()
            self._send_rtcp(self._reports.ours(self._inbound, self._outbound, leaving=True))
        self._socket.close()

    # --- out

    def take(self) -> bytes | None:
        assert self._inbound is not None
        return self._inbound.frame(self._now())

    def take_more(self, last: bytes) -> bytes | None:
        assert self._inbound is not None
        return self._inbound.more(self._now(), last)

    def put(self, frame: bytes) -> None:
        self._schedule = None
        self._put(frame)

    def _put(self, frame: bytes) -> None:
        assert self._outbound is not None
        self._frames_out += 1
        self._outbound.put(frame, self._now())

    def _send(self, packet: bytes) -> None:
        to = self._latch.target
        if to is not None:
            self._socket.send(packet if self._sealer is None else self._sealer.rtp(packet), to)

    def _tick_alone(self) -> None:
        """Until a link puts a frame."""
        self._schedule = Schedule(self._now())
        self._after("tick", 0.0, self._tick)

    def _tick(self) -> None:
        if self._schedule is None:
            return
        for _ in range(self._schedule.due(self._now()).ticks):
            self._put(self._next_frame())
        self._after("tick", max(0.0, self._schedule.next_at - self._now()), self._tick)

    def _next_frame(self) -> bytes:
        assert self._noise is not None
        frame = next(self._frames, None) if self._frames is not None else None
        if frame is None:
            self._frames = None
            frame = self._noise.next_frame()
        return frame

    async def send_digits(self, digits: str) -> None:
        """As telephone events, in the place of sound; returns when the last one is over.

        Raises BadInput, Refused where the other side takes no telephone events, LinkEnded when the call ends meanwhile.
        """
        if not digits:
            return
        if unknown := set(digits.upper()) - set(DIGITS):
            raise BadInput(f"no telephone has the keys {' '.join(sorted(unknown))}")
        if self._closed or self._agreed is None or self._outbound is None:
            raise LinkClosed("the call's sound is over")
        if self._agreed.telephone_event is None:
            raise Refused("pbx_unavailable", "the other side takes no telephone events (RFC 4733)")
        try:
            done = self._outbound.press(digits.upper())
        except ValueError as exc:
            raise BadInput(str(exc)) from exc
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            if done.cancelled() and self._closed:
                raise LinkClosed("the call ended before the last digit") from None
            raise

    # --- in

    def _received(self, data: bytes, sender: Address) -> None:
        """A datagram, of anybody's."""
        if rtp.is_rtcp(data):
            self._received_rtcp(data, sender)
            return
        if self._opener is not None:
            opened = self._opener.rtp(data)
            if opened is None:
                self._packets_refused += 1
                return
            data = opened
        try:
            packet = rtp.parse(data)
        except Malformed:
            self._packets_refused += 1
            return
        now = self._now()
        if not self._latch.admits(packet, sender, now):
            self._packets_refused += 1
            return
        self._heard_at = now
        assert self._inbound is not None
        digit = self._inbound.take(packet, now)
        if digit and self._link is not None:
            self._link.digit(digit)

    def _received_rtcp(self, data: bytes, sender: Address) -> None:
        opened = data if self._opener is None else self._opener.rtcp(data)
        if opened is None or not self._latch.knows(sender[0]):
            self._packets_refused += 1
            return
        try:
            packets = rtcp.parse(opened)
        except Malformed:
            self._packets_refused += 1
            return
        self._heard_at = self._now()
        assert self._inbound is not None and self._outbound is not None
        self._reports.take(packets, self._inbound, self._outbound)

    # --- now and then

    def _watch(self) -> None:
        """A call that nothing comes from is dead; one on hold, or whose microphone is off (it reports), is not."""
        self._after("watch", _WATCH_S, self._watch)
        assert self._agreed is not None
        if self._agreed.direction != "sendrecv":
            self._heard_at = self._now()
        silent_s = self._now() - self._heard_at
        if silent_s < self._media_timeout_s:
            return
        self._heard_at = self._now()
        log.info("rtp_lost", silent_s=round(silent_s, 1), **self.statistics())
        if self._link is not None:
            self._link.end(LinkBroken(f"no sound has come for {silent_s:.0f} s"))
        else:
            self._on_lost()

    def _report(self) -> None:
        self._after("report", self._reports.pause_s(), self._report)
        assert self._inbound is not None and self._outbound is not None
        self._send_rtcp(self._reports.ours(self._inbound, self._outbound))

    def _send_rtcp(self, packet: bytes) -> None:
        assert self._agreed is not None
        to = self._latch.target
        if to is None:
            return
        if self._sealer is not None:
            packet = self._sealer.rtcp(packet)
        if self._agreed.rtcp_mux:
            self._socket.send(packet, to)
        elif self._latch.moved:
            self._socket.send_rtcp(packet, (to[0], min(to[1] + 1, 65535)))
        else:
            self._socket.send_rtcp(packet, self._agreed.rtcp)

    def _after(self, name: str, delay_s: float, call: Callable[[], None]) -> None:
        """One timer a name."""
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, call)

    # --- figures

    def quality(self) -> LinkQuality | None:
        """Of the whole call up to now; None before it began."""
        inbound, outbound, agreed = self._inbound, self._outbound, self._agreed
        if inbound is None or outbound is None or agreed is None:
            return None
        reports = self._reports
        way_ms = reports.round_trip_s * 1000 if reports.round_trip_s is not None else None
        delay_ms = inbound.delay_ms + _PACING_MS + (way_ms or 0.0) / 2
        far_loss = reports.far_lost
        return LinkQuality(
            codec=agreed.name,
            mos=mos(inbound.loss_percent, inbound.burstiness, delay_ms),
            loss_percent=inbound.loss_percent,
            jitter_ms=inbound.jitter_ms,
            delay_ms=inbound.delay_ms,
            concealed_ms=inbound.concealed_ms,
            far_loss_percent=min(100.0, 100 * far_loss / outbound.packets)
            if far_loss is not None and outbound.packets
            else None,
            far_jitter_ms=reports.far_jitter_units / agreed.clock_rate * 1000
            if reports.far_jitter_units is not None
            else None,
            round_trip_ms=way_ms,
        )

    def statistics(self) -> dict[str, int]:
        """frames_in, frames_out, frames_dropped; packets_in, _lost, _twice, _strange (fitting nothing), _refused (a
        stranger's, a wrong key's, garbled), _unsent; delay_grown and delay_shrunk in frames."""
        inbound = self._inbound.statistics() if self._inbound is not None else {"frames_in": 0, "frames_dropped": 0}
        return inbound | {
            "frames_out": self._frames_out,
            "packets_refused": self._packets_refused,
            "packets_unsent": sum(self._socket.statistics().values()),
        }
