"""Putting pieces of recordings one behind the other, with the truth about where speech is."""

import numpy as np

from scripts.bench_conversation.item import Pause
from scripts.bench_conversation.mixing import Signal, at_level, faded, seconds
from scripts.bench_conversation.recordings import Recording, Samples, activity
from scripts.bench_conversation.words import Border, Word, runs, timed

OWN_PAUSE_S = 0.2  # shorter gaps of the speaker's own are articulation


class Timeline:
    """Speech as it is put together. `signal` holds speech alone, without any line."""

    def __init__(self, lead_s: float, level_dbfs: float) -> None:
        self.words: list[Word] = []
        self.spans: list[tuple[float, float]] = []
        self.pauses: list[Pause] = []
        self._level = level_dbfs
        self._pieces: list[Signal] = [np.zeros(seconds(lead_s))]
        self._length = seconds(lead_s)

    @property
    def signal(self) -> Signal:
        return np.concatenate(self._pieces)

    @property
    def now(self) -> float:
        return self._length / 8000

    def gap(self, length_s: float) -> None:
        """Silence between the last sound so far and the next one, of exactly `length_s`."""
        rest = seconds(length_s) - (self._length - seconds(self.spans[-1][1]))
        self._add(np.zeros(max(0, rest)))

    def tail(self, length_s: float) -> None:
        self._add(np.zeros(seconds(length_s)))

    def say(self, recording: Recording, cuts: list[tuple[Border, float]] | None = None) -> None:
        """A recording, with pauses of the given seconds put in at the given places."""
        words = timed(recording.audio, recording.text)
        audio = at_level(recording.audio, self._level)
        start = done = 0
        for border, length_s in [*(cuts or []), (Border(audio.size, len(words)), 0.0)]:
            self._piece(audio[start : border.sample], words[done : border.words], start / 8000)
            if length_s:
                self.gap(length_s)
            start, done = border.sample, border.words

    def _piece(self, audio: Signal, words: tuple[Word, ...], offset_s: float) -> None:
        first, last, own = _sounds(np.clip(audio, -32768, 32767).astype("<i2"))
        # what a cut leaves in front of the sound would make the pause before it longer than it was to be
        audio, shift = faded(audio[seconds(first) :]), self.now - first
        if self.spans:
            made = self.now - self.spans[-1][1]
            if made >= OWN_PAUSE_S:
                self.pauses.append(Pause(self.spans[-1][1], self.now, True))
        self.pauses.extend(Pause(a + shift, b + shift, False) for a, b in own)
        at = shift - offset_s
        self.words.extend(
            Word(word.text, max(self.now, word.start + at), min(last + shift, word.end + at)) for word in words
        )
        self.spans.append((self.now, last + shift))
        self._add(audio)

    def _add(self, signal: Signal) -> None:
        self._pieces.append(signal)
        self._length += signal.size


def _sounds(audio: Samples) -> tuple[float, float, list[tuple[float, float]]]:
    """First and last sound of a piece in seconds, and the speaker's own pauses between them."""
    loud = activity(audio)
    where = np.flatnonzero(loud)
    if not where.size:
        return 0.0, audio.size / 8000, []
    first, last = int(where[0]), int(where[-1]) + 1
    inside = [(a + first, b + first) for a, b in runs(~loud[first:last])]
    return first / 100, last / 100, [(a / 100, b / 100) for a, b in inside if b - a >= OWN_PAUSE_S * 100]
