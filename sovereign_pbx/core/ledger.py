"""The playout ledger: what was given to the voice, how much of it is sound, how much of that was heard.

A segment is open from `Speak` until its playout finished, was flushed, or its voice failed. Nothing else closes
it, so the ledger is always as true as the link that reports to it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sovereign_pbx.core.heard import going_on_ms, heard
from sovereign_pbx.core.values import SpeechKind, Word


@dataclass(slots=True, eq=False)
class Segment:
    """One clause, sentence or phrase on its way to the caller. Times in seconds, lengths in milliseconds."""

    number: int
    text: str
    kind: SpeechKind
    reply: int | None
    words: tuple[Word, ...] = ()
    ms: float = 0.0
    complete: bool = False
    started_at: float | None = None
    paused_s: float = 0.0
    played_ms: float | None = None  # set once, when the segment closes
    whole: bool = False
    flushing_at_ms: float | None = None  # ordered off the link, at this position by the clock

    @property
    def flushing(self) -> bool:
        return self.flushing_at_ms is not None

    @property
    def open(self) -> bool:
        return self.played_ms is None

    @property
    def heard(self) -> str:
        """What the caller heard; while the segment is open, what he is about to."""
        played_ms = self.played_ms if self.played_ms is not None else self.flushing_at_ms
        if self.whole or played_ms is None:
            return self.text
        return heard(self.text, self.words, self.ms if self.complete else None, played_ms)


class Ledger:
    """Every open segment, in playout order."""

    __slots__ = ("_numbered", "_open", "_paused_at")

    def __init__(self) -> None:
        self._open: dict[int, Segment] = {}
        self._numbered = 0
        self._paused_at: float | None = None

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._open.values())

    @property
    def queue(self) -> list[Segment]:
        """Open segments that are still to be heard, in order."""
        return [segment for segment in self._open.values() if not segment.flushing]

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    def find(self, number: int) -> Segment | None:
        return self._open.get(number)

    def add(self, text: str, kind: SpeechKind, reply: int | None, *, ahead: bool = False) -> Segment:
        """A new segment, behind all others; `ahead`: before those that have not begun."""
        self._numbered += 1
        segment = Segment(self._numbered, text, kind, reply)
        self._open[segment.number] = segment
        if ahead:
            for other in [each for each in self.queue if each.started_at is None and each is not segment]:
                self._open[other.number] = self._open.pop(other.number)
        return segment

    def start(self, segment: Segment, now: float, played_ms: float = 0.0) -> None:
        """Sound begins, or goes on where `played_ms` of it have been heard."""
        if segment.started_at is None or played_ms:
            segment.started_at = now - played_ms / 1000
            segment.paused_s = 0.0

    def finish(self, segment: Segment) -> None:
        """The whole segment went out."""
        segment.whole = True
        self._close(segment, segment.ms)

    def cut(self, segment: Segment, played_ms: float) -> None:
        """The segment ended after `played_ms`."""
        self._close(segment, max(0.0, played_ms))

    def flush(self, now: float) -> None:
        """Everything open has been ordered off the link; it closes as the link reports how far it came."""
        for segment in self.queue:
            segment.flushing_at_ms = self.position_ms(segment, now)

    def pause(self, now: float) -> None:
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """Playout goes on, with the word that it was held in if the voice gave its time (as `Playout.resume` does)."""
        if self._paused_at is None:
            return
        for segment in self._open.values():
            again_ms = self.position_ms(segment, now) - self._onward_ms(segment, now)
            segment.paused_s += self._pause_within(segment, now) + again_ms / 1000
        self._paused_at = None

    @property
    def held(self) -> Segment | None:
        """The segment that playout stands in."""
        return next((segment for segment in self.queue if segment.started_at is not None), None)

    def position_ms(self, segment: Segment, now: float) -> float:
        """How far playout is by the clock, for an end that no link will report any more."""
        if segment.started_at is None:
            return 0.0
        elapsed = now - segment.started_at - segment.paused_s - self._pause_within(segment, now)
        return max(0.0, min(elapsed * 1000, segment.ms))

    def spoken(self, segments: Iterable[Segment], now: float) -> tuple[str, str]:
        """(what has been heard of `segments` by now, what is still to come)."""
        said, ahead = list[str](), list[str]()
        for segment in segments:
            if segment.open and not segment.flushing:
                total_ms = segment.ms if segment.complete else None
                part = heard(segment.text, segment.words, total_ms, self.position_ms(segment, now))
            else:
                part = segment.heard
            said.append(part)
            ahead.append(segment.text[len(part) :].strip() if segment.open and not segment.flushing else "")
        return " ".join(filter(None, said)), " ".join(filter(None, ahead))

    def left_s(self, now: float) -> float | None:
        """Seconds of sound still to be heard; None while the voice has not delivered all of it."""
        if not all(segment.complete for segment in self.queue):
            return None
        return sum(segment.ms - self._onward_ms(segment, now) for segment in self.queue) / 1000

    def _onward_ms(self, segment: Segment, now: float) -> float:
        position_ms = self.position_ms(segment, now)
        return going_on_ms(segment.words, position_ms) if self.paused else position_ms

    def _pause_within(self, segment: Segment, now: float) -> float:
        if self._paused_at is None or segment.started_at is None:
            return 0.0
        return max(0.0, now - max(self._paused_at, segment.started_at))

    def _close(self, segment: Segment, played_ms: float) -> None:
        segment.played_ms = played_ms
        del self._open[segment.number]
