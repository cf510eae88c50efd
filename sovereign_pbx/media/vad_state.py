"""One line's share of speech detection: its audio until a window is full, and a hysteresis over the windows' scores.

Times are audio times, so that what follows counts from when the caller spoke, not from when the detector made up its
mind.
"""

from typing import Final, Literal, NamedTuple

from sovereign_pbx.core.audio import PHONE_RATE, SAMPLE_BYTES
from sovereign_pbx.media.resample import Resampler
from sovereign_pbx.media.scorer import CONTEXT, WINDOW, WINDOW_S
from sovereign_pbx.media.upsample import HISTORY, MODEL_RATE

START: Final = 0.5  # hysteresis: Silero's own default and LiveKit's pair
STOP: Final = 0.35
# 2 windows = 64 ms: one alone fires on clicks and lip noise, three cost a barge-in 32 ms more. LiveKit waits 50 ms.
MIN_SPEECH_WINDOWS: Final = 2
MIN_SILENCE_WINDOWS: Final = 3  # 96 ms: bridges the closures of stop consonants; the turn policy's timers do the rest
# How long the scores stay up after the last sample above -32 dB of the talker's peak: median over 59 recorded prompts
# through µ-law (10th and 90th percentile of what remains after subtracting it: -40 and +35 ms).
HANGOVER_S: Final = 0.060
IDLE_S: Final = 1.0  # no frames for so long while speaking: hold, mute or a stalled peer; the speech is over
RESET_WINDOWS: Final = 62  # about 2 s: the model's recurrent state drifts under music and long silence
RESET_QUIET: Final = 0.1
RESET_QUIET_WINDOWS: Final = 5


class VadEvent(NamedTuple):
    """`at`: audio time at which speech began, or at which its last sample was heard."""

    kind: Literal["started", "stopped"]
    at: float


class VadState:
    """One line's share of the detector. Made by `SpeechDetector.attach`."""

    __slots__ = (
        "_age",
        "_began",
        "_fed_at",
        "_hop",
        "_last",
        "_need",
        "_quiet",
        "_resampler",
        "_run",
        "_silent",
        "_tail",
        "denied",
        "rate",
        "slot",
        "speaking",
    )

    def __init__(self, slot: int, rate: int) -> None:
        self.slot = slot
        self.rate = rate if rate == PHONE_RATE else MODEL_RATE
        self._resampler = None if rate == self.rate else Resampler(rate, MODEL_RATE)
        scale = MODEL_RATE // self.rate
        self._hop = WINDOW // scale * SAMPLE_BYTES
        history = CONTEXT // scale + (HISTORY if scale == 2 else 0)
        self._need = self._hop + history * SAMPLE_BYTES
        self.restart()

    def restart(self) -> None:
        """Forget everything heard so far."""
        self.speaking = False
        self._tail = bytearray(self._need - self._hop)
        self._fed_at = self._began = self._last = 0.0
        self._run = self._quiet = self._silent = self._age = 0
        self.denied = False

    def feed(self, pcm: bytes, now: float) -> bool:
        """Take audio that ended at `now`; True when a window is complete."""
        self._fed_at = now
        self._tail += self._resampler.process(pcm) if self._resampler else pcm
        return self.ready

    @property
    def ready(self) -> bool:
        """A whole window waits."""
        return len(self._tail) >= self._need

    def window(self) -> bytes:
        """The next window's PCM with the history its scoring needs; call it when `ready`."""
        window = bytes(self._tail[: self._need])
        del self._tail[: self._hop]
        return window

    @property
    def _window_end(self) -> float:
        """When the window taken last ended: what is behind it in the buffer came later."""
        fresh = len(self._tail) - (self._need - self._hop)
        return self._fed_at - fresh / (self.rate * SAMPLE_BYTES)

    @property
    def idle(self) -> bool:
        """Nothing hints at speech: a very quiet window need not be scored."""
        return not self.speaking and self._run == 0

    def judge(self, score: float) -> VadEvent | None:
        """The hysteresis: what the score of the window taken last changes."""
        self._silent = self._silent + 1 if score < RESET_QUIET else 0
        self._age += 1
        end = self._window_end
        return self._judge_speaking(score, end) if self.speaking else self._judge_silent(score, end)

    def _judge_silent(self, score: float, end: float) -> VadEvent | None:
        if score < STOP:
            self._run = 0
            return None
        if score < START:
            return None
        if self._run == 0:
            self._began = end - WINDOW_S
        self._run += 1
        if self._run < MIN_SPEECH_WINDOWS:
            return None
        self.speaking, self._run, self._quiet, self._last = True, 0, 0, end
        return VadEvent("started", self._began)

    def _judge_speaking(self, score: float, end: float) -> VadEvent | None:
        if score >= STOP:
            self._quiet, self._last = 0, end
            return None
        self._quiet += 1
        return self.stop() if self._quiet >= MIN_SILENCE_WINDOWS else None

    def stop(self) -> VadEvent | None:
        """End the speech now, if there is any: its last sample lies the model's hangover before the last window."""
        if not self.speaking:
            return None
        self.speaking = False
        self._run = self._quiet = 0
        return VadEvent("stopped", max(self._began, self._last - HANGOVER_S))

    def deny(self) -> None:
        """The speech that has just begun is not the caller's: forget it, and have the model forget it too.

        Else its scores would stay up for another tenth of a second. If speech goes on, it begins anew.
        """
        self.restart()
        self.denied = True

    def starving(self, now: float) -> bool:
        """Speaking, and nothing has come for too long to wait for its end."""
        return self.speaking and now - self._fed_at >= IDLE_S

    @property
    def stale(self) -> bool:
        """Time to reset the model: two seconds since the last time, and clearly no speech."""
        return self._age >= RESET_WINDOWS and self._silent >= RESET_QUIET_WINDOWS and self.idle

    def renewed(self) -> None:
        """The model was reset for this line."""
        self._age = 0
        self.denied = False
