"""The jitter buffer: packets come as the network brings them, and leave at an even pace.

Pure and in virtual time. Positions are timestamps of the stream's clock, moments are seconds on the caller's monotonic
one. Whoever listens pulls once a tick, and gets the next packet's sound, or is told what to put in its place.

The delay lies between two bounds and finds its place by what happens. It grows at once: where nothing has come at a
tick, something is put in between and the place in the stream stays, so that what comes late is heard late and not
lost. It shrinks slowly: by as many frames as were too much for two seconds on end, and never below the 95th percentile
of the recent packets' lateness. Nothing is heard that has waited for longer than the upper bound.
"""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from sovereign_pbx.core.audio import FRAME_S

MAX_PACKETS: Final = 64
FADED_S: Final = 0.1  # without a packet for so long, the next one begins a new stretch of sound
_HALF_WINDOW: Final = 50  # packets; the least delay of two halves decides
_AFTER_STALL: Final = 5  # packets, after which a burst's surplus goes
_KEPT_OF_BURST: Final = 0.6  # of the upper bound
_SPARE_S: Final = 0.004  # kept above the least, against falling short in the very next tick
_CONCEALED_S: Final = 0.12  # a longer hole is skipped: it would be filled with nothing but noise
_RECENT: Final = 250  # packets
_LATE: Final = 0.95
_FEW: Final = 10  # packets that say nothing yet
_GROW_PAUSE_S: Final = 0.1
_CAUGHT_UP_S: Final = 0.06  # what our own standing still has kept in the socket is read by then
_BACK_S: Final = 1.0  # a timestamp that goes back further is another stream's
_RING: Final = 1 << 32

Kind = Literal["sound", "lost", "late", "silent", "none"]


class Piece(NamedTuple):
    """What is to be heard next.

    sound: `payload`. lost: `units` are missing for good. late: nothing has come yet. silent: the sender is quiet.
    none: nothing is to be heard: nothing has come ever, or our own clock stood still and what came is not read yet.
    """

    kind: Kind
    units: int
    payload: bytes = b""


@dataclass(slots=True, order=True)
class _Waiting:
    position: int
    sequence: int
    units: int = field(compare=False)
    payload: bytes = field(compare=False)
    arrival: float = field(compare=False)


class JitterBuffer:
    """One stream. `clock_rate` in Hz.

    Each tick: `tick`, then `pull` until 20 ms are together, then `given`. Where the listener asks again within the tick
    and `more` says so, the same again: that takes delay away and loses nothing.
    """

    def __init__(self, clock_rate: int, *, min_ms: float, max_ms: float) -> None:
        self.min_s, self.max_s = min_ms / 1000, max_ms / 1000
        self.late = self.dropped = self.stretched = self.shrunk = 0
        self.lost_units = self.lost_runs = 0
        self._clock_rate, self._frame = clock_rate, clock_rate // 50
        self._delay_sum, self._delays = 0.0, 0
        self._heard_at: float | None = None  # when sound was last handed over
        self._known_s = self.min_s  # the target of before, while too little is known
        self.restart()

    def restart(self) -> None:
        """Another stream begins: what waits is dropped, what is known of the network stays."""
        self._queue: list[_Waiting] = []
        self._others: deque[int] = deque(maxlen=MAX_PACKETS)  # packets of this stream that are no sound
        self._newest: int | None = None  # position
        self._place = 0  # of what is to be heard next
        self._sequence: int | None = None  # of what was heard last
        self._going = self._quiet = self._losing = self._grow = False
        self._inserted = 0  # units put in at this place while nothing came
        self._ticked_at: float | None = None
        self._stalled_at = self._grown_at = float("-inf")
        self._owed = 0  # frames that the listener went without because our clock stood still
        self._transits: deque[float] = deque(maxlen=_RECENT)
        self._surplus = 0  # frames that may go
        self._settle(_HALF_WINDOW)

    # --- what comes

    def put(self, sequence: int, timestamp: int, units: int, payload: bytes, now: float) -> None:
        """A packet, once (`wire.rtp.Reception` sees to that). `sequence` counts on over wrap-arounds, `timestamp` does
        not; `units` is its length on the clock."""
        position = self._position(timestamp)
        self._quiet = False
        if self._sequence is not None and position < self._place:
            if self._place - position < _BACK_S * self._clock_rate or sequence <= self._sequence:
                self._too_late(position, now)
                return
            self.restart()
            position = self._position(timestamp)
        self._transits.append(now - position / self._clock_rate)
        if len(self._queue) >= MAX_PACKETS:
            self.dropped += 1
            return
        insort(self._queue, _Waiting(position, sequence, units, payload, now))
        self._cap()

    def other(self, sequence: int) -> None:
        """A packet that is no sound: a digit, or comfort noise. The sender sends none meanwhile."""
        self._others.append(sequence)
        self._quiet = True

    def _position(self, timestamp: int) -> int:
        if self._newest is None:
            self._newest = timestamp
        position = self._newest + (timestamp - self._newest + _RING // 2) % _RING - _RING // 2
        self._newest = max(self._newest, position)
        return position

    def _too_late(self, position: int, now: float) -> None:
        self.late += 1
        self._least[1] = 0.0
        self._transits.append(now - position / self._clock_rate)
        if (self._place - position) / self._clock_rate < self.max_s and now - self._grown_at > _GROW_PAUSE_S:
            self._grow = True

    def _cap(self) -> None:
        """More than the bound has piled up: the network stood still, or we did. The oldest goes, and with it a part of
        what the bound would bear, for that would grow too old while it waits behind the rest."""
        last = self._queue[-1]
        end = last.position + last.units
        if self._queue[0].position >= end - (self.max_s + FRAME_S) * self._clock_rate:
            return
        bound = end - _KEPT_OF_BURST * self.max_s * self._clock_rate
        while self._queue[0].position < bound and len(self._queue) > 1:
            self._skip()
        self._transits.clear()  # a stall is no measure of the network
        self._settle(_AFTER_STALL)

    def _skip(self) -> None:
        head = self._queue.pop(0)
        self.dropped += 1
        self._owed = max(0, self._owed - 1)
        self._place = max(self._place, head.position + head.units)
        self._sequence = head.sequence
        self._inserted = 0

    # --- what is heard

    def tick(self, now: float) -> None:
        """A tick of the listener's begins. Where its clock stood still, what it missed is owed to it."""
        if self._ticked_at is not None:
            ticks = round((now - self._ticked_at) / FRAME_S)
            if ticks > 1:
                self._stalled_at = now
            self._owed = min(self._owed + ticks, int(self.max_s / FRAME_S))
        self._ticked_at = now

    def given(self) -> None:
        """The listener has got 20 ms."""
        self._owed = max(0, self._owed - 1)

    @property
    def surplus(self) -> int:
        """Frames of delay that are not needed."""
        return self._surplus

    @property
    def owed(self) -> bool:
        """Whether our clock stood still, and what was missed meanwhile waits."""
        return self._going and self._owed > 0 and bool(self._queue)

    def shrink(self) -> bool:
        """Whether there is a frame too much, which is to be pulled beside this tick's: it is counted as gone then."""
        if not self._surplus or not self._queue or not self._going:
            return False
        self._surplus -= 1
        self.shrunk += 1
        return True

    def pull(self, units: int, now: float) -> Piece:
        """The next piece: a packet's sound whole, or at most `units` in its place."""
        self._forget_the_past(now)
        if not self._going and not self._begin(now):
            return Piece("none" if self._heard_at is None else "silent", units)
        if self._grow:
            return self._stretch(units, now)
        if not self._queue:
            return self._starved(units, now)
        head = self._queue[0]
        missing = head.position - self._place - self._inserted
        if missing > 0:
            if self._follows(head):  # the sender had paused; its silence is the place to set the delay anew
                if now - head.arrival < self.target_s - FRAME_S:
                    return Piece("silent", units)
            elif missing <= _CONCEALED_S * self._clock_rate:
                return self._missing(min(units, missing))
        return self._sound(now)

    def _forget_the_past(self, now: float) -> None:
        while self._queue and now - self._queue[0].arrival > self.max_s:
            self._skip()
        while self._going and self._queue and self._queue[0].position < self._place:
            self._queue.pop(0)
            self.late += 1

    def _begin(self, now: float) -> bool:
        """Whether a stretch of sound begins: its first packet has been kept back for long enough."""
        if not self._queue or now - self._queue[0].arrival < self.target_s - _SPARE_S:
            return False
        self._place = self._queue[0].position
        self._inserted = 0
        self._going = True
        self._owed = 0
        self._settle(self._window)
        return True

    def _starved(self, units: int, now: float) -> Piece:
        if now - self._stalled_at < _CAUGHT_UP_S:
            return Piece("none", units)
        self._owed = 0
        if self._heard_at is not None and now - self._heard_at > FADED_S:
            self._going = False
            self._known_s = self.target_s
            self._transits.clear()  # what comes after a pause may go by another clock
        self._inserted += units
        if self._quiet:
            return Piece("silent", units)
        self.stretched += 1
        return Piece("late", units)

    def _stretch(self, units: int, now: float) -> Piece:
        """A packet came too late to be heard: from now on there is more time for the next ones."""
        self._grow, self._grown_at = False, now
        self.stretched += 1
        self._settle(_HALF_WINDOW)
        return Piece("late", units)

    def _follows(self, head: _Waiting) -> bool:
        """Whether nothing is missing before `head`."""
        last = self._sequence if self._sequence is not None else head.sequence - 1
        return head.sequence - last - 1 <= sum(last < other < head.sequence for other in self._others)

    def _missing(self, units: int) -> Piece:
        self.lost_runs += not self._losing
        self._losing = True
        self._place += units
        self.lost_units += units
        return Piece("lost", units)

    def _sound(self, now: float) -> Piece:
        head = self._queue[0]
        gap = head.position - self._place
        if gap > 0 and not self._follows(head):  # it was filled while it was awaited
            self.lost_units += min(gap, int(_CONCEALED_S * self._clock_rate))
            self.lost_runs += not self._losing
            self.stretched = max(0, self.stretched - min(gap, self._inserted) // self._frame)
        del self._queue[0]
        self._losing = False
        self._place = head.position + head.units
        self._sequence = head.sequence
        self._inserted = 0
        self._heard_at = now
        self._measure(now - head.arrival)
        return Piece("sound", head.units, head.payload)

    # --- the delay

    @property
    def target_s(self) -> float:
        """What recent packets need: the 95th percentile of how much later they came than the quickest."""
        if len(self._transits) < _FEW:
            return self._known_s
        transits = sorted(self._transits)
        spread = transits[int(len(transits) * _LATE)] - transits[0]
        return min(max(spread, self.min_s), self.max_s)

    @property
    def delay_ms(self) -> float:
        """For how long sound has been kept back, on average."""
        return self._delay_sum / self._delays * 1000 if self._delays else 0.0

    def _settle(self, window: int) -> None:
        """Measure anew what is needed, over `window` packets."""
        self._least = [float("inf"), float("inf")]  # of the half window before, of this one
        self._sum, self._measured, self._window = 0.0, 0, window

    def _measure(self, delay_s: float) -> None:
        self._delay_sum += delay_s
        self._delays += 1
        if self._window == _AFTER_STALL:
            # What came in a burst is young however long it has been on its way: what waits behind it tells.
            delay_s = self._waiting_s()
        self._least[1] = min(self._least[1], delay_s)
        self._sum += delay_s
        self._measured += 1
        if self._measured >= self._window:
            self._judge()

    def _waiting_s(self) -> float:
        if not self._queue:
            return 0.0
        last = self._queue[-1]
        return (last.position + last.units - self._place) / self._clock_rate

    def _judge(self) -> None:
        """How much of the delay was never needed."""
        if self._window == _HALF_WINDOW:
            self._known_s = self.target_s
        else:
            self._transits.clear()  # what came late with the burst
        mean, least = self._sum / self._measured, min(self._least)
        self._surplus = max(0, int(min(least - _SPARE_S, mean - self._known_s) / FRAME_S))
        self._least = [self._least[1], float("inf")]
        self._sum, self._measured, self._window = 0.0, 0, _HALF_WINDOW
