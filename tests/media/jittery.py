"""A sender, a network and a listener in virtual time, for the jitter buffer."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from sovereign_pbx.media.jitter import JitterBuffer, Piece

UNITS = 160
TICK_S = 0.02


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """A packet at the listener: number n is the sound of n · 20 ms since the sender's beginning."""

    at: float
    number: int
    timestamp: int
    payload: bytes = field(default=b"", compare=False)


def stream(delays_s: Iterable[float | None], *, interval_s: float = TICK_S, first: int = 0) -> list[Arrival]:
    """Packets sent every `interval_s`, each as much later at the listener; None: lost."""
    return [
        Arrival(number * interval_s + delay, number, (first + number * UNITS) % (1 << 32), number.to_bytes(4, "big"))
        for number, delay in enumerate(delays_s)
        if delay is not None
    ]


@dataclass(slots=True)
class Heard:
    """What the listener got, piece by piece, with the moment."""

    pieces: list[tuple[float, Piece]] = field(default_factory=list)
    arrived: dict[int, float] = field(default_factory=dict)

    @property
    def numbers(self) -> list[int]:
        return [int.from_bytes(piece.payload, "big") for _, piece in self.pieces if piece.kind == "sound"]

    def delays_ms(self) -> list[float]:
        """For how long each packet was kept back."""
        return [
            (at - self.arrived[int.from_bytes(piece.payload, "big")]) * 1000
            for at, piece in self.pieces
            if piece.kind == "sound"
        ]

    def count(self, kind: str) -> int:
        return sum(piece.kind == kind for _, piece in self.pieces)

    def between(self, start: float, end: float) -> "Heard":
        return Heard([(at, piece) for at, piece in self.pieces if start <= at < end], self.arrived)


def listen(
    buffer: JitterBuffer,
    arrivals: Iterable[Arrival],
    *,
    seconds: float,
    phase_s: float = 0.007,
    stands_still: tuple[float, float] = (0.0, 0.0),
) -> Heard:
    """Tick every 20 ms from `phase_s` on. Between the two moments of `stands_still` the listener neither reads nor
    ticks; what it missed of its ticks it skips, what arrived it reads then."""
    heard = Heard()
    waiting = list(arrivals)
    heapq.heapify(waiting)
    ticks = int(seconds / TICK_S)
    for tick in range(ticks):
        now = phase_s + tick * TICK_S
        if stands_still[0] <= now < stands_still[1]:
            continue
        while waiting and waiting[0].at <= now:
            one = heapq.heappop(waiting)
            read_at = one.at if not stands_still[0] <= one.at < stands_still[1] else now
            heard.arrived[one.number] = read_at
            buffer.put(one.number, one.timestamp, UNITS, one.payload, read_at)
        buffer.tick(now)
        piece = buffer.pull(UNITS, now)
        heard.pieces.append((now, piece))
        if piece.kind == "none":
            continue
        buffer.given()
        if buffer.owed or buffer.shrink():
            extra = buffer.pull(UNITS, now)
            heard.pieces.append((now, extra))
            if extra.kind != "none":
                buffer.given()
    return heard
