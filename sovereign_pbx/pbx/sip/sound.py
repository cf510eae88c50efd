"""One call's sound: its RTP, and what was described of it to the other end last."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import LinkClosed, LinkEnded
from sovereign_pbx.media.link import LinkQuality
from sovereign_pbx.pbx.sip.ringback import quiet, ringing
from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.rtp_ports import RtpPorts, RtpSocket
from sovereign_pbx.pbx.sip.rtp_session import RtpSession
from sovereign_pbx.wire import negotiation
from sovereign_pbx.wire.negotiation import Agreed, Direction, Encryption
from sovereign_pbx.wire.sdp import Description

WIDE_RATE: Final = 16000
_NARROW: Final = ("PCMU", "PCMA")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSettings:
    """`codecs`: the best liked first. `permit`: networks that sound may come from beside the described address; empty:
    any."""

    codecs: tuple[str, ...] = ("L16", "G722", "PCMU", "PCMA")
    srtp: Encryption = "offered"
    jitter_min_ms: int = 20
    jitter_max_ms: int = 200
    media_timeout_s: float = 20.0
    permit: tuple[str, ...] = ()


class Sound:
    """`agreed` is None until there is an answer. Nothing is sent before `begin`. `host`: the address that the other end
    is told to send to. `on_lost` is told when nothing has come for so long that the call must be dead, and no link is
    there to tell it."""

    def __init__(self, settings: SoundSettings, socket: RtpSocket, host: str) -> None:
        self.agreed: Agreed | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self._settings = settings
        self._host = host
        self._socket = socket
        self._ours: Description | None = None
        self._begun = False
        self._session = RtpSession(
            socket,
            jitter_min_ms=settings.jitter_min_ms,
            jitter_max_ms=settings.jitter_max_ms,
            media_timeout_s=settings.media_timeout_s,
            permit=[ip_network(network, strict=False) for network in settings.permit],
            on_lost=lambda: self.on_lost(),
        )

    @classmethod
    async def open(cls, settings: SoundSettings, ports: RtpPorts, host: str) -> "Sound":
        """Raises Refused (`too_many_calls`) where no port is left."""
        return cls(settings, await ports.open(), host)

    # --- what is described

    def answer(self, body: bytes, rate: int | None = None) -> bytes:
        """Our answer to an offer; what is agreed by it counts at once, if sound flows already. `rate`: of the links
        that there will be, where that is known: sound that is wanted narrow is not made wide on its way.

        Raises:
            Malformed: it is no description.
            Unacceptable: there is nothing to agree on. What was agreed before goes on in both cases.
        """
        agreed, ours = negotiation.answer(
            Description.parse(body),
            host=self._host,
            port=self._socket.port,
            codecs=sorted(self._settings.codecs, key=lambda name: rate == PHONE_RATE and name not in _NARROW),
            srtp=self._settings.srtp,
            previous=self._ours,
        )
        self._ours = ours
        self._agree(agreed)
        return ours.encode()

    def offer(self, direction: Direction = "sendrecv") -> bytes:
        """What we would like; `take_answer` says what comes of it."""
        self._ours = negotiation.offer(
            host=self._host,
            port=self._socket.port,
            codecs=self._settings.codecs,
            srtp=self._settings.srtp,
            previous=self._ours,
            direction=direction,
        )
        return self._ours.encode()

    def take_answer(self, body: bytes) -> None:
        """The other end's answer to `offer`. Raises Malformed, Unacceptable."""
        assert self._ours is not None
        self._agree(negotiation.agreed(self._ours, Description.parse(body)))

    @property
    def described(self) -> bytes:
        """What was described last, as it stands; b"" before anything was."""
        return self._ours.encode() if self._ours is not None else b""

    @property
    def rate(self) -> int:
        """Hz, of links that lose nothing that the codec has."""
        return WIDE_RATE if self.agreed is not None and self.agreed.rate >= WIDE_RATE else PHONE_RATE

    @property
    def held(self) -> bool:
        """The other end does not listen."""
        return self.agreed is not None and self.agreed.held

    # --- what is heard

    def begin(self) -> None:
        """Send from now on, comfort noise at first. Idempotent."""
        if not self._begun:
            assert self.agreed is not None
            self._begun = True
            self._session.begin(self.agreed)
            self.play_nothing()

    @property
    def begun(self) -> bool:
        return self._begun

    def link(self, rate: int) -> RtpLink:
        """The sound as frames at `rate` Hz, until the link is closed; one at a time."""
        return self._session.link(rate)

    def play_ringing(self) -> None:
        """While there is no link the other end hears it ring."""
        self._session.play(ringing(self.rate))

    def play_nothing(self) -> None:
        """While there is no link the other end hears comfort noise."""
        self._session.play(quiet(self.rate))

    async def send_digits(self, digits: str) -> None:
        """As telephone events. Raises LinkEnded."""
        await self._session.send_digits(digits)

    @property
    def sends_digits(self) -> bool:
        """Telephone events were agreed on."""
        return self.agreed is not None and self.agreed.telephone_event is not None

    def quality(self) -> LinkQuality | None:
        return self._session.quality()

    def discard(self) -> None:
        """It never began, and will not: its ports go back."""
        self.close(LinkClosed("never begun"))

    def close(self, how: LinkEnded) -> None:
        """A link that is open ends so. Idempotent."""
        self._session.close(how)

    def _agree(self, agreed: Agreed) -> None:
        self.agreed = agreed
        if self._begun:
            self._session.change(agreed)
