"""A phone's mouth: an RTP packet every 20 ms on an absolute schedule: speech, silence, or a digit."""

import asyncio
import random
from collections import deque
from dataclasses import dataclass

from sovereign_pbx.core.audio import FRAME_S, frame_bytes
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.g722_phone import G722, WIDE_RATE, G722Mouth
from sovereign_pbx.testing.rtp_packet import DIGITS, ENCODE, EVENT, HEADER, SAMPLES, TELEPHONE_EVENT
from sovereign_pbx.testing.utterance import Speech, Utterance

SILENCE = bytes(SAMPLES * 2)
END_OF_EVENT = 0x80
EVENT_VOLUME = 10
END_REPEATS = 3  # RFC 4733 §2.5.1.4: the last packet of an event is sent three times


class RtpMouth:
    """Sends a packet every 20 ms on an absolute schedule: what is to be said, silence, or a digit. `ticker`: whose
    schedule, where many callers of one process share one."""

    def __init__(
        self, transport: asyncio.DatagramTransport, payload_type: int = 0, ticker: CallerTicker | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._target: tuple[str, int] | None = None
        self._payload_type = payload_type
        self._sequence = random.randrange(1 << 16)
        self._timestamp = random.randrange(1 << 31)
        self._source = random.getrandbits(32)
        self._speech = Speech(SAMPLES * 2)
        self._wide_speech = Speech(frame_bytes(WIDE_RATE))
        self._g722: G722Mouth | None = None
        self._digits: deque[_Digit] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ticker = ticker
        self._due = 0.0
        self.muted = False

    def start(self, target: tuple[str, int], payload_type: int) -> None:
        """Begin to send to `target`, or go on to another one."""
        self._target = target
        self._payload_type = payload_type
        if self._ticker is not None:
            self._ticker.add(self._next)
        elif self._timer is None:
            self._due = self._loop.time()
            self._tick()

    def say(self, pcm: bytes) -> Utterance:
        """Queue 8 kHz PCM behind what is being said."""
        return self._speech.say(pcm)

    def say_wide(self, pcm: bytes) -> Utterance:
        """Queue 16 kHz PCM, for a call in G.722."""
        return self._wide_speech.say(pcm)

    def hush(self) -> None:
        """Fall silent at once."""
        self._speech.hush(self._loop.time())
        self._wide_speech.hush(self._loop.time())

    def press(self, digits: str, press_s: float, gap_s: float) -> asyncio.Event:
        """Send `digits` as telephone events; the event is set when the last one has been released."""
        done = asyncio.Event()
        ticks, pause = max(1, round(press_s / FRAME_S)), round(gap_s / FRAME_S)
        for digit in digits:
            self._digits.append(_Digit(DIGITS.index(digit), ticks, pause))
        self._digits[-1].done = done
        return done

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._ticker is not None:
            self._ticker.remove(self._next)
        self.hush()
        for digit in self._digits:  # nobody shall wait for what will not be sent
            digit.over()
        self._digits.clear()

    # Private

    def _next(self, now: float) -> None:
        if not self.muted and not self._transport.is_closing():
            self._send_due()
        self._timestamp = (self._timestamp + SAMPLES) & 0xFFFFFFFF

    def _tick(self) -> None:
        self._next(self._due)
        self._due += FRAME_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def _send_due(self) -> None:
        if self._digits and self._digits[0].ticks >= 0:
            self._send_digit(self._digits[0])
            return
        if self._digits:
            self._rest_after(self._digits[0])
        self._send(self._payload_type, self._coded(), self._timestamp)

    def _coded(self) -> bytes:
        now = self._loop.time()
        if self._payload_type != G722:
            return ENCODE[self._payload_type](self._speech.next_frame(now) or SILENCE)
        self._g722 = self._g722 or G722Mouth()
        wide = self._wide_speech.next_frame(now)
        return self._g722.encode_wide(wide) if wide else self._g722.encode(self._speech.next_frame(now) or SILENCE)

    def _send_digit(self, digit: "_Digit") -> None:
        first = digit.sent == 0
        if first:
            digit.timestamp = self._timestamp
        last = digit.ticks == 0
        digit.sent += not last
        event = EVENT.pack(digit.number, EVENT_VOLUME | (END_OF_EVENT if last else 0), digit.sent * SAMPLES)
        for _ in range(END_REPEATS if last else 1):
            self._send(TELEPHONE_EVENT, event, digit.timestamp, marker=first)
        digit.ticks -= 1

    def _rest_after(self, digit: "_Digit") -> None:
        digit.pause -= 1
        if digit.pause < 0:
            self._digits.popleft().over()

    def _send(self, payload_type: int, payload: bytes, timestamp: int, *, marker: bool = False) -> None:
        second = payload_type | (0x80 if marker else 0)
        header = HEADER.pack(0x80, second, self._sequence, timestamp, self._source)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._transport.sendto(header + payload, self._target)


@dataclass(slots=True)
class _Digit:
    number: int
    ticks: int  # how many more 20 ms it is held; -1 once it has been released
    pause: int
    sent: int = 0
    timestamp: int = 0
    done: asyncio.Event | None = None

    def over(self) -> None:
        if self.done is not None:
            self.done.set()
