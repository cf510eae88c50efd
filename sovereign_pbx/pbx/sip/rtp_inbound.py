"""What comes in over RTP: whose it is, in which codec, and the digits among it."""

from typing import Final

from sovereign_pbx.media.mos import burstiness
from sovereign_pbx.pbx.sip.rtp_account import Account
from sovereign_pbx.pbx.sip.rtp_voice import Voice
from sovereign_pbx.wire.comfort_noise import level_of
from sovereign_pbx.wire.formats import Format
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.negotiation import Agreed
from sovereign_pbx.wire.rtp import Packet, Reception
from sovereign_pbx.wire.telephone_event import DigitReceiver, Event

PRESS_GAP_S: Final = 0.2  # without a packet of a press for so long, its end got lost
_COMFORT_NOISE: Final = Format("CN", 13, 8000)  # a static type, sent by some who have not offered it


class Inbound:
    """One call's, from its first agreement on."""

    def __init__(self, agreed: Agreed, *, jitter_min_ms: float, jitter_max_ms: float) -> None:
        self.strange = 0  # packets that fit nothing: another source's, of a type not agreed on, or garbled
        self.source: int | None = None
        self.reception: Reception | None = None
        self._bounds = (jitter_min_ms, jitter_max_ms)
        self._link_rate = 0
        self._newcomer: Packet | None = None  # of another source, which one more packet makes believable
        self._pressed_until = float("-inf")
        self._past = Account()
        self._formats = _formats(agreed)
        self._digits = DigitReceiver(agreed.event_clock_rate)
        self._voice = self._new_voice(_spoken(agreed))

    def agree(self, agreed: Agreed) -> None:
        """From now on this may come in. What was agreed before goes on where it is the same."""
        formats = _formats(agreed)
        if formats != self._formats:
            self._formats = formats
            self._digits = DigitReceiver(agreed.event_clock_rate)
            self._speak(_spoken(agreed))

    def hand_over(self, rate: int) -> None:
        """Frames at `rate` Hz from now on, and nothing of what has come before."""
        self._link_rate = rate
        self._voice.hand_over(rate)

    def _speak(self, spoken: Format) -> None:
        """Packets are of this format from now on."""
        self._past.add_voice(self._voice)
        self._voice = self._new_voice(spoken)

    def _new_voice(self, spoken: Format) -> Voice:
        least, most = self._bounds
        voice = Voice(spoken, jitter_min_ms=least, jitter_max_ms=most)
        voice.hand_over(self._link_rate or spoken.rate)
        return voice

    # --- packets

    def take(self, packet: Packet, now: float) -> str:
        """A packet of the call's. Returns the digit that begins with it, else ""."""
        known = self._formats.get(packet.payload_type)
        number = self._number(packet, now) if known is not None else None
        if known is None or number is None:
            self.strange += known is None
            return ""
        if known.name == "TELEPHONE-EVENT":
            return self._digit(packet, number, now)
        if known.name == "CN":
            self._voice.comfort(number, level_of(packet.payload))
            return ""
        if known != self._voice.format:
            self._speak(known)
        assert self.reception is not None
        self.reception.time(packet.timestamp, now * known.clock_rate)
        self.strange += not self._voice.put(number, packet.timestamp, packet.payload, now)
        return ""

    def _number(self, packet: Packet, now: float) -> int | None:
        """The packet's number in its stream; None where it is not heard."""
        if packet.source != self.source or self.reception is None:
            return self._number_of_newcomer(packet, now)
        self._newcomer = None
        number = self.reception.admit(packet.sequence)
        return self._begin(packet) if self.reception.over else number  # over: the same source has begun anew

    def _number_of_newcomer(self, packet: Packet, now: float) -> int | None:
        """The first source is believed at once. Another needs two packets without one of the old between, so that a few
        of somebody else's don't end a stream."""
        before = self._newcomer
        self._newcomer = packet
        if self.source is not None and (before is None or before.source != packet.source):
            self.strange += 1
            return None
        return self._begin(packet)

    def _begin(self, packet: Packet) -> int | None:
        """A stream begins with this packet."""
        if self.reception is not None:
            self._past.add_reception(self.reception)
        self._newcomer = None
        self.source, self.reception = packet.source, Reception(packet.sequence)
        self._voice.restart()
        return self.reception.admit(packet.sequence)

    def _digit(self, packet: Packet, number: int, now: float) -> str:
        try:
            event = Event.parse(packet.payload)
        except Malformed:
            self.strange += 1
            return ""
        digit = self._digits.take(event, packet.timestamp, marker=packet.marker)
        self._pressed_until = now + PRESS_GAP_S if self._digits.pressed else float("-inf")
        self._voice.buffer.other(number)
        assert self.reception is not None
        self.reception.forget_time()  # its packets share a timestamp
        return digit

    # --- frames

    def frame(self, now: float) -> bytes | None:
        """This tick's 20 ms."""
        self._voice.tick(now)
        return self._voice.frame(now, hushed=now < self._pressed_until)

    def more(self, now: float, last: bytes) -> bytes | None:
        """Another frame within the same tick; `last` is the one before."""
        return self._voice.more(now, last, hushed=now < self._pressed_until)

    # --- figures

    @property
    def loss_percent(self) -> float:
        """What came too late is as lost as what never came."""
        account = self._account()
        return 100 * min(1.0, (account.lost + account.late) / account.expected) if account.expected else 0.0

    @property
    def burstiness(self) -> float:
        account = self._account()
        return burstiness(account.lost + account.late, account.runs, account.expected)

    @property
    def jitter_ms(self) -> float:
        return self.reception.jitter / self._voice.format.clock_rate * 1000 if self.reception is not None else 0.0

    @property
    def delay_ms(self) -> float:
        return self._voice.buffer.delay_ms

    @property
    def concealed_ms(self) -> float:
        return self._account().concealed_ms

    def statistics(self) -> dict[str, int]:
        """frames_in, frames_dropped (packets too late, or too many), packets_in, packets_lost, packets_twice,
        packets_strange, delay_grown and delay_shrunk (frames)."""
        account = self._account()
        return {
            "frames_in": account.frames,
            "frames_dropped": account.late + account.dropped,
            "packets_in": account.received,
            "packets_lost": account.lost,
            "packets_twice": account.twice,
            "packets_strange": self.strange,
            "delay_grown": account.grown,
            "delay_shrunk": account.shrunk,
        }

    def _account(self) -> Account:
        account = self._past.copy()
        account.add_voice(self._voice)
        if self.reception is not None:
            account.add_reception(self.reception)
        return account


def _formats(agreed: Agreed) -> dict[int, Format]:
    return {_COMFORT_NOISE.payload_type: _COMFORT_NOISE} | {known.payload_type: known for known in agreed.receive}


def _spoken(agreed: Agreed) -> Format:
    """What is most likely to come: the codec that was agreed on."""
    audio = [known for known in agreed.receive if known.is_audio]
    agreed_on = (known for known in audio if (known.name, known.rate) == (agreed.codec, agreed.rate))
    return next(agreed_on, audio[0])
