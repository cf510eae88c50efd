"""What goes out over RTP: a packet (or two of 10 ms) each tick, and digits as telephone events."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.core.audio import FRAME_MS, FRAME_S, frame_bytes
from sovereign_pbx.media.resample import Resampler
from sovereign_pbx.pbx.sip.codecs import codec
from sovereign_pbx.wire.negotiation import Agreed
from sovereign_pbx.wire.rtp import SEQUENCES, TIMESTAMPS, Packet, encode
from sovereign_pbx.wire.telephone_event import Event

PRESS_TICKS: Final = 5  # 100 ms
GAP_TICKS: Final = 4  # 80 ms; ITU-T Q.24 wants 40 of each at least
ENDS: Final = 3  # RFC 4733 §2.5.1.4
MAX_DIGITS: Final = 128
_BEHIND: Final = 5  # ticks that the timestamp may be behind the wall clock, before it jumps


@dataclass(slots=True)
class _Press:
    digit: str
    done: "asyncio.Future[None] | None"
    ticks: int = 0
    timestamp: int = 0


class Outbound:
    """One call's. `send` puts a packet on the wire. Initial values are random (RFC 3550 §5.1)."""

    def __init__(self, agreed: Agreed, send: Callable[[bytes], None]) -> None:
        self.packets = self.octets = 0
        self._send = send
        # In the lower half: who misses the first packets must not mistake their count for one after a wrap-around, by
        # which SRTP decrypts (RFC 3711 §3.3.1).
        self._sequence = random.randrange(SEQUENCES // 2)
        self._presses: deque[_Press] = deque()
        self._gap = 0
        self._resamplers: dict[int, Resampler] = {}
        self._agreed = agreed
        self._begin()

    def agree(self, agreed: Agreed) -> None:
        """Another codec from the next packet on. With another clock it is another source: timestamps of one source
        count by one clock (RFC 7160)."""
        before, self._agreed = self._agreed, agreed
        if agreed.clock_rate != before.clock_rate:
            self._begin()
        elif agreed.codec != before.codec:
            self._codec = codec(agreed.codec)
            self._resamplers.clear()

    def _begin(self) -> None:
        self._codec = codec(self._agreed.codec)
        self._tick = self._agreed.clock_rate // 50
        self._resamplers.clear()
        self.source = random.getrandbits(32)
        self.timestamp = random.randrange(TIMESTAMPS)
        self._marker = True
        self._anchor: float | None = None
        self._ticks = 0

    # --- each tick

    def put(self, pcm: bytes, now: float) -> None:
        """20 ms of PCM at whatever rate its length says; nothing is sent while the other side doesn't listen."""
        self._keep_time(now)
        if not self._agreed.sends:
            self._marker = True
            self._skip_digit()
        elif self._presses and not self._gap:
            self._send_digit(self._presses[0])
        else:
            self._gap -= self._gap > 0
            self._speak(pcm)
        self.timestamp = (self.timestamp + self._tick) % TIMESTAMPS
        self._ticks += 1

    def _keep_time(self, now: float) -> None:
        """The timestamp is a clock: where we stood still it jumps, or every later packet would be late by that."""
        if self._anchor is None:
            self._anchor = now
        behind = round((now - self._anchor) / FRAME_S) - self._ticks
        if behind < -_BEHIND:
            self._anchor = now - self._ticks * FRAME_S
        elif behind >= _BEHIND:
            self._ticks += behind
            self.timestamp = (self.timestamp + behind * self._tick) % TIMESTAMPS
            self._marker = True

    def _speak(self, pcm: bytes) -> None:
        rate = len(pcm) * 1000 // (2 * FRAME_MS)
        if rate != self._agreed.rate:
            pcm = self._resampled(pcm, rate)
        if self._agreed.ptime_ms == FRAME_MS:
            self._packet(self._agreed.payload_type, self._codec.encode(pcm), self.timestamp)
            return
        half = frame_bytes(self._agreed.rate) // 2
        for number, part in enumerate((pcm[:half], pcm[half:])):
            place = self.timestamp + number * self._tick // 2
            self._packet(self._agreed.payload_type, self._codec.encode(part), place)

    def _resampled(self, pcm: bytes, rate: int) -> bytes:
        if rate not in self._resamplers:
            self._resamplers[rate] = Resampler(rate, self._agreed.rate)
        return self._resamplers[rate].process(pcm)

    def _packet(self, payload_type: int, payload: bytes, timestamp: int) -> None:
        packet = Packet(payload_type, self._marker, self._sequence, timestamp % TIMESTAMPS, self.source, payload)
        self._marker = False
        self._sequence = (self._sequence + 1) % SEQUENCES
        self.packets += 1
        self.octets += len(payload)
        self._send(encode(packet))

    # --- digits

    def press(self, digits: str) -> "asyncio.Future[None]":
        """Send `digits` one after another; done when the last one is over. Raises ValueError when too many wait."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self._presses) + len(digits) > MAX_DIGITS:
            raise ValueError(f"more than {MAX_DIGITS} digits wait to be sent")
        self._presses.extend(_Press(digit, None) for digit in digits)
        self._presses[-1].done = done
        return done

    def drop_digits(self) -> None:
        """Nobody is there for them any more."""
        for press in self._presses:
            if press.done is not None:
                press.done.cancel()
        self._presses.clear()

    def _send_digit(self, press: _Press) -> None:
        payload_type = self._agreed.telephone_event
        if payload_type is None:  # a re-INVITE took it away
            self._over(press)
            return
        if not press.ticks:
            press.timestamp, self._marker = self.timestamp, True
        press.ticks += 1
        end = press.ticks > PRESS_TICKS
        duration = min(press.ticks, PRESS_TICKS) * (self._agreed.event_clock_rate // 50)
        event = Event(press.digit, end, duration).encode()
        for _ in range(ENDS if end else 1):
            self._packet(payload_type, event, press.timestamp)
        if end:
            self._over(press)

    def _skip_digit(self) -> None:
        if self._presses:
            self._over(self._presses[0])

    def _over(self, press: _Press) -> None:
        self._presses.popleft()
        self._gap, self._marker = GAP_TICKS, True
        if press.done is not None and not press.done.done():
            press.done.set_result(None)
