"""Named points in time that a conversation waits for. One of each name; hold stops all but the call's own limit."""

from collections.abc import Collection, Iterable
from enum import Enum


class Alarm(Enum):
    """What the conversation waits for. Columns of the turn table, like events."""

    ENDPOINT = "the silence is long enough to end the turn"
    RESCORE = "the silence has grown: ask the turn model again"
    FINAL = "the recogniser's final text is overdue"
    PAUSE = "the caller's sound has lasted long enough to be speech"
    CONFIRM = "the caller's speech has lasted long enough to be an interruption"
    DOUBT = "no words came of what paused the assistant"
    STALL = "the voice detector and the recogniser disagree for too long"
    FILLER = "the caller has waited long enough for a filler phrase"
    SILENCE = "the caller has said nothing for long"
    DIGITS = "no further digit came"
    GREET = "whoever answered the call says nothing"
    CONSENT = "no key was pressed"
    MAILBOX = "the mailbox has fallen silent"
    LIMIT = "the call has reached its maximum duration"
    LEAVE = "the last words should have been heard by now"


class Alarms:
    """The clock's side of the turn machine. All times in seconds on the conversation's clock."""

    __slots__ = ("_held_at", "_set")

    def __init__(self) -> None:
        self._set: dict[Alarm, tuple[float, float]] = {}  # alarm: (rings at, was set at)
        self._held_at: float | None = None

    @property
    def deadline(self) -> float | None:
        return min((at for alarm, (at, _) in self._set.items() if self._running(alarm)), default=None)

    def set(self, alarm: Alarm, at: float, now: float) -> None:
        self._set[alarm] = (at, now)

    def clear(self, *alarms: Alarm) -> None:
        for alarm in alarms:
            self._set.pop(alarm, None)

    def keep(self, alarms: Iterable[Alarm]) -> None:
        """Clear every alarm but these."""
        kept = set(alarms)
        self._set = {alarm: times for alarm, times in self._set.items() if alarm in kept}

    def is_set(self, alarm: Alarm) -> bool:
        return alarm in self._set

    def ring(self, now: float, rung: Collection[Alarm]) -> Alarm | None:
        """Take the earliest alarm that is due and has not `rung` in this tick already."""
        due = [
            (at, alarm.name, alarm)
            for alarm, (at, _) in self._set.items()
            if at <= now and alarm not in rung and self._running(alarm)
        ]
        if not due:
            return None
        alarm = min(due)[2]
        del self._set[alarm]
        return alarm

    def hold(self, now: float) -> None:
        if self._held_at is None:
            self._held_at = now

    def release(self, now: float) -> None:
        """Go on; every alarm that stood still rings later by the time it stood."""
        if self._held_at is None:
            return
        held_at, self._held_at = self._held_at, None
        for alarm, (at, since) in self._set.items():
            if alarm is not Alarm.LIMIT:
                self._set[alarm] = (at + now - max(held_at, since), now)

    def _running(self, alarm: Alarm) -> bool:
        return self._held_at is None or alarm is Alarm.LIMIT
