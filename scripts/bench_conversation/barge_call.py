"""One call in steps of 20 ms: the real clock, line, voice detector, echo guard, playout and conversation.

What is around them (link, voice, recogniser) is played here. A run takes what it computes, not what it lasts, and is
always the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from scripts.bench_conversation.mixing import Signal, coded, line_noise
from scripts.bench_conversation.recordings import Samples
from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.audio import FRAME_S, PHONE_RATE, pcm_ms
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.values import Word
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.link import LinkListener
from sovereign_pbx.media.vad import SpeechDetector

FRAME: Final = 160
FINAL_S: Final = 0.25  # from the end of speech, by the voice detector, to the recogniser's final text
PRE_ROLL_S: Final = 0.5
LINE_DBFS: Final = -62.0
_LOUD: Final = 100  # -50 dBFS: softer is comfort noise

Recogniser = Callable[[bytes], str]
"""What is said in 8 kHz PCM."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the assistant says, with the times of its words where the voice tells them."""

    text: str
    audio: Samples = field(repr=False)
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class EchoPath:
    """`loss_db` below what was sent, `delay_s` after it; `path` spreads it over time."""

    loss_db: float
    delay_s: float
    path: NDArray[np.float64]

    def gain(self, spoken: Samples) -> float:
        """Brings what comes back of `spoken` `loss_db` below it."""
        came = np.convolve(spoken.astype(np.float64), self.path)
        return float(np.sqrt(np.mean(spoken.astype(np.float64) ** 2) / np.mean(came**2)) * 10 ** (-self.loss_db / 20))


class _Link:
    """The caller's side: `near` and an echo of what he is sent, with hiss, through µ-law."""

    kind: Literal["audiosocket", "rtp", "websocket", "scripted"] = "scripted"
    rate = PHONE_RATE
    ended: LinkEnded | None = None

    def __init__(self, near: Signal, echo: EchoPath | None, spoken: Samples, seed: int) -> None:
        self.listener: LinkListener | None = None
        self.sent = np.zeros(near.size + FRAME)
        self._near = near + line_noise(near.size, LINE_DBFS, seed)
        self._echo = echo
        self._gain = echo.gain(spoken) if echo is not None else 0.0
        self._tick = 0
        self._given = False

    def take(self) -> bytes | None:
        self._given = not self._given
        if not self._given:
            return None
        start = self._tick * FRAME
        frame = self._near[start : start + FRAME] + self._returned(start)
        return coded(frame).tobytes()

    def _returned(self, start: int) -> Signal:
        if self._echo is None:
            return np.zeros(FRAME)
        reach = FRAME + self._echo.path.size - 1
        end = start + FRAME - round(self._echo.delay_s * PHONE_RATE)
        known = self.sent[max(0, end - reach) : max(0, end)]
        return self._gain * np.convolve(np.concatenate((np.zeros(reach - known.size), known)), self._echo.path, "valid")

    def put(self, frame: bytes) -> None:
        self.sent[self._tick * FRAME : (self._tick + 1) * FRAME] = np.frombuffer(frame, "<i2")
        self._tick += 1

    def close(self) -> None: ...

    def statistics(self) -> dict[str, int]:
        return {}


class Call:
    """The assistant says `spoken` while `near` comes in. Its log is every command with its time."""

    def __init__(
        self,
        detector: SpeechDetector,
        plan: Plan,
        spoken: Spoken,
        near: Signal,
        recogniser: Recogniser,
        *,
        echo: EchoPath | None = None,
        seed: int = 0,
    ) -> None:
        self.conversation = Conversation(plan)
        self.log: list[tuple[float, c.Command]] = []
        self.onsets: list[float] = []
        self.link = _Link(near, echo, spoken.audio, seed)
        self._line = Line(self.link, self)
        self._clock = MediaClock(detector, now=lambda: 0.0)
        self._spoken = spoken
        self._recogniser = recogniser
        self._events: list[tuple[float, e.Event]] = []
        self._heard = bytearray()
        self._onset = 0
        self._now = 0.0

    def run(self) -> "Call":
        self._clock.add(self._line)
        self._feed(e.Answered())
        for tick in range(self.link.sent.size // FRAME - 1):
            self._now = (tick + 1) * FRAME_S
            self._due()
            self._clock.tick(self._now)
        self._clock.remove(self._line)
        return self

    # --- what came of it

    def times(self, kind: type[c.Command]) -> list[float]:
        return [at for at, command in self.log if isinstance(command, kind)]

    @property
    def held_s(self) -> float:
        """For how long the assistant was held in all."""
        ends = sorted(self.times(c.Resume))
        return sum(next((end for end in ends if end >= at), self._now) - at for at in self.times(c.Pause))

    def last_heard(self, after: float) -> float | None:
        """When the assistant's sound stopped first behind `after`, for 200 ms at least."""
        start = round(after * PHONE_RATE)
        loud = np.flatnonzero(np.abs(self.link.sent[start:]) > _LOUD) + start
        if not loud.size:
            return None
        gaps = np.flatnonzero(np.diff(loud) > 0.2 * PHONE_RATE)
        return float(loud[gaps[0]] if gaps.size else loud[-1]) / PHONE_RATE

    # --- the line's listener

    def heard(self, frame: bytes) -> None:
        self._heard += frame

    def speech_started(self, at: float) -> None:
        self.onsets.append(at)
        self._onset = max(0, len(self._heard) - round((self._now - at + PRE_ROLL_S) * PHONE_RATE) * 2)
        self._feed(e.SpeechStarted(at))

    def speech_stopped(self, at: float) -> None:
        text = self._recogniser(bytes(self._heard[self._onset :])).strip()
        self._events.append((self._now + FINAL_S, e.Final(text) if text else e.NothingHeard()))
        self._feed(e.SpeechStopped(at))

    def playout_started(self, segment: int) -> None:
        self._feed(e.PlayoutStarted(segment))

    def playout_finished(self, segment: int) -> None:
        self._feed(e.PlayoutFinished(segment))

    def line_ended(self, how: LinkEnded) -> None: ...

    def digit(self, digit: str) -> None: ...

    # --- the shell

    def _due(self) -> None:
        deadline = self.conversation.deadline
        if deadline is not None and deadline <= self._now:
            self._feed(e.Tick())
        ready = [event for at, event in self._events if at <= self._now]
        self._events = [(at, event) for at, event in self._events if at > self._now]
        for event in ready:
            self._feed(event)

    def _feed(self, event: e.Event) -> None:
        for command in self.conversation.feed(event, self._now):
            self.log.append((self._now, command))
            self._perform(command)

    def _perform(self, command: c.Command) -> None:
        playout = self._line.playout
        match command:
            case c.Speak():
                self._speak(command)
            case c.Pause():
                playout.pause()
            case c.Resume():
                going_on = playout.resume(command.words)
                self._events += [(self._now, e.PlayoutStarted(*going_on))] if going_on is not None else []
            case c.Flush():
                cut = playout.flush()
                self._events += [(self._now, e.PlayoutFlushed(segment, played_ms)) for segment, played_ms in cut]
            case c.ScoreTurn():
                self._events.append((self._now + 0.06, e.TurnScored(0.95, command.speech_ended_at)))
            case _:
                pass

    def _speak(self, command: c.Speak) -> None:
        playout = self._line.playout
        playout.open(command.segment)
        if command.text == self._spoken.text:
            pcm = self._spoken.audio.tobytes()
            playout.add(command.segment, pcm)
            self._events.append(
                (self._now, e.SpeechAudio(command.segment, pcm_ms(len(pcm), PHONE_RATE), self._spoken.words))
            )
        playout.finish(command.segment)
        self._events.append((self._now, e.SpeechDone(command.segment)))
