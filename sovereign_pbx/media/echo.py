"""Our own voice, come back: a telephone line returns what is played, and nobody between us and the caller cancels it.

Line echo lies 6 to 20 dB below what was sent and 20 to 300 ms behind it. It is speech, so a voice detector takes it
for the caller and the assistant interrupts itself. But it is speech that we know. Two things are done about it:

* A verdict. When the voice detector reports an onset while we play, or have just played, the last 160 ms received are
  compared with what was sent: the lag at which the two agree best is found, and a short filter is fitted there. If
  the filter explains most of what came in, that was an echo.
* A canceller. A first verdict gives delay and filter; from there on a Kalman filter in the frequency domain (Enzner and
  Vary, 2006) keeps them true and subtracts the echo, whoever else is speaking. What is left of it after that, by the
  proportion learnt while only the echo was there, is taken away too. So everybody behind it, the voice detector, the
  recogniser and the turn model, hears the caller alone.

Cost: 0.4 µs a frame while nothing is played, 1.5 µs while something is and nothing comes back of it, 60 µs on a line
with an echo, and under 1 ms for a verdict.
"""

from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.core.audio import FRAME_MS, frame_samples
from sovereign_pbx.media.levels import samples_of

Signal = NDArray[np.float32]

LAG_MS: Final = 400  # the longest echo looked for: 300 ms and the jitter buffers on the way
WINDOW_MS: Final = 160  # what a verdict looks at
TAIL_MS: Final = LAG_MS + WINDOW_MS  # so long after the last sound sent an echo of it may still come
TAPS: Final = 64  # of the filter fitted: at 8 kHz a hybrid's echo is over within 8 ms
BEFORE: Final = 16  # of them lie before the lag that agrees best
FASTEST_RATE: Final = 16000  # what is faster comes from a browser, which cancels echoes itself
# How much of an echo may be left unexplained. Of callers three in four leave more than 0.66, 19 in 20 more than 0.43.
# On a line of which nothing is known yet an echo is likelier than a caller who interrupts the first words; on one that
# has been free of echo, or whose echo is known and taken away, it is not.
LIKELY_ECHO: Final = 0.7
ECHO: Final = 0.5
CERTAIN: Final = 0.3  # to learn the path from
CANCELLED: Final = 0.15  # of the power received: what is left by the canceller where it knows the path
LEARNING_FRAMES: Final = 50  # cleaned, until the canceller knows the path well
ECHO_FREE_TICKS: Final = 50  # a second of our speech that nothing came back of
LOUD_POWER: Final = float((32768 * 10 ** (-35 / 20)) ** 2)
FAINT_POWER: Final = float((32768 * 10 ** (-46 / 20)) ** 2)
CALM_POWER: Final = float((32768 * 10 ** (-50 / 20)) ** 2)
QUIET_POWER: Final = float((32768 * 10 ** (-60 / 20)) ** 2)  # softer input has nothing worth cleaning
# Evens out speech, whose power lies below 1 kHz; without it every vowel agrees with every other.
_EMPHASIS: Final = 0.95
_WHITEN: Final = (0.8, 0.4, 0.0)  # 1: phase alone; the rest keeps bands without signal from counting


class EchoGuard:
    """One line's echo. `sent` once a tick with what was played, `clean` for each frame received, before it."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._frame = frame_samples(rate)
        self._lag = rate * LAG_MS // 1000
        self._window = rate * WINDOW_MS // 1000
        self._reach = self._lag + self._window + 4 * self._frame
        self._store: Signal = np.zeros(4 * self._reach, dtype=np.float32)  # what was sent, moved to the front when full
        self._end = self._reach
        self._tail = 0  # ticks for which an echo may still come
        self._received: deque[bytes] = deque(maxlen=WINDOW_MS // FRAME_MS)
        self._cleaned: deque[bytes] = deque(maxlen=WINDOW_MS // FRAME_MS)
        self._canceller: Canceller | None = None
        self._loudness = 0.0  # of what was sent in the last quarter of a second
        self._calm = 0  # ticks in which we spoke and nothing came back
        self._refused = self._frames = 0

    @property
    def active(self) -> bool:
        """Something that was played may still come back."""
        return self._tail > 0

    def sent(self, frame: bytes | None) -> None:
        """20 ms went out: `frame`, or (None) nothing that could be taken for speech."""
        if self._rate > FASTEST_RATE:
            return
        if frame is not None:
            self._tail = TAIL_MS // FRAME_MS
        elif self._tail:
            self._tail -= 1
        else:
            return
        size, begin = self._frame, self._end
        if begin + size > self._store.size:
            self._store[: self._reach] = self._sent
            begin = self._reach
        self._end = begin + size
        fresh = self._store[begin : self._end]
        fresh[:] = 0 if frame is None else samples_of(frame)
        if self._calm < ECHO_FREE_TICKS:
            self._loudness += (float(fresh @ fresh) / size - self._loudness) * 0.08

    @property
    def _sent(self) -> Signal:
        return self._store[self._end - self._reach : self._end]

    def clean(self, frame: bytes, behind: int = 0) -> bytes:
        """`frame` without our own voice in it. `behind`: how many later frames came within the same tick."""
        cleaned = self._cleaned_of(frame, behind) if self._tail else frame
        self._received.append(frame)
        self._cleaned.append(cleaned)
        return cleaned

    def _cleaned_of(self, frame: bytes, behind: int) -> bytes:
        if self._canceller is None and self._calm >= ECHO_FREE_TICKS:
            return frame
        received = samples_of(frame).astype(np.float32)
        power = float(received @ received) / received.size
        if self._canceller is None:
            calm = self._calm + (self._loudness > LOUD_POWER)
            self._calm = calm if power < CALM_POWER else 0
        elif power > QUIET_POWER:
            self._frames += 1
            return _pcm(self._canceller.clean(received, self._sent, behind * self._frame))
        return frame

    def refuses(self) -> bool:
        """Whether the speech whose onset the voice detector has just found is ours. What is learnt from it is kept."""
        if not self._tail:
            return False
        received = samples_of(b"".join(self._received)).astype(np.float32)
        left = samples_of(b"".join(self._cleaned)).astype(np.float32)
        fit = self._fit(received)
        if not self._ours(fit, left, float(left @ left) / (float(received @ received) + 1)):
            return False
        self._refused += 1
        if fit.left < CERTAIN and (self._canceller is None or float(left @ left) > 0.5 * float(received @ received)):
            self._canceller = Canceller(self._frame, fit.lag, fit.path)
        elif self._canceller is not None:
            self._canceller.too_much_left()
        return True

    def _ours(self, fit: "Fit", left: Signal, share: float) -> bool:
        """`share`: what the canceller leaves of what was received; most of it where the path has changed."""
        if self._canceller is None:
            return fit.left < (CERTAIN if self._calm >= ECHO_FREE_TICKS else LIKELY_ECHO)
        if self._canceller.frames < LEARNING_FRAMES:
            return fit.left < (ECHO if share > 0.5 else LIKELY_ECHO)
        ours = self._fit(left).left  # what is left has to be explained by what we play, too
        if share > 0.5:  # the path has changed
            return fit.left < CERTAIN and ours < LIKELY_ECHO
        if share < CANCELLED or ours < ECHO:
            return True
        faint = float(left @ left) < FAINT_POWER * left.size
        return fit.left < CERTAIN and (faint or ours < LIKELY_ECHO)

    def _fit(self, received: Signal) -> "Fit":
        """The path that explains most of `received` by what was sent."""
        heard, played = _emphasised(received), _emphasised(self._sent[-(received.size + self._lag) :])
        lags = set(_likely_lags(heard, played, self._lag))
        if self._canceller is not None:
            lags.add(self._canceller.lag)
        return min((_fitted(heard, played, max(0, lag - BEFORE), TAPS) for lag in lags), key=lambda fit: fit.left)

    def statistics(self) -> dict[str, float]:
        """frames_cleaned, onsets_refused, delay_ms (0: no echo has been found)."""
        lag = self._canceller.lag if self._canceller is not None else 0
        return {
            "frames_cleaned": self._frames,
            "onsets_refused": self._refused,
            "delay_ms": lag * 1000 / self._rate,
        }


class Canceller:
    """Subtracts an echo whose path is roughly known, and learns the path better.

    State space in the frequency domain, overlap-save: `_path` is the estimate for each bin, `_doubt` its variance.
    The step follows from doubt, what is played, and what the caller says, so it need not be told who is speaking.
    """

    _FADING: Final = 0.9995  # a frame: how long the path is believed not to change
    _SMOOTH: Final = 0.6  # of the estimate of what is not echo
    _MARGIN: Final = 10.0  # times the leak learnt: what is above is the caller
    _LEAK: Final = 0.15  # before anything is learnt
    _LEAST_LEAK: Final = 0.004
    _MOST_LEAK: Final = 0.2
    _REST: Final = np.float32(0.03)  # of what is left: a hole would be heard as a click by the models

    def __init__(self, frame: int, lag: int, path: Signal) -> None:
        self.lag = lag
        self.frames = 0
        self._frame = frame
        self._size = 1 << (2 * frame).bit_length()  # 512 at 8 kHz: 64 ms, of which 44 ms are path
        self._taps = self._size - frame
        padded = np.zeros(self._size, dtype=np.float32)
        padded[: path.size] = path
        self._path = np.fft.rfft(padded)
        self._doubt = np.full(self._path.size, 0.1 * float(np.mean(np.abs(self._path) ** 2)) + 1e-4, np.float32)
        self._other: Signal = np.zeros(self._path.size, np.float32)
        self._echo = 0.0  # power of the echo estimated, falling slowly: its tail is longer than the filter
        self._leak = self._LEAK

    def clean(self, received: Signal, sent: Signal, behind: int) -> Signal:
        """One frame; `sent` ends with the frame that went out last."""
        self.frames += 1
        end = sent.size - self.lag - behind
        played = np.fft.rfft(sent[end - self._size : end])
        echo = np.fft.irfft(self._path * played)[-self._frame :].astype(np.float32)
        left = received - echo
        self._learn(played, left)
        if float(left @ left) > float(received @ received):
            return received  # the path is not what it was
        return self._suppress(left, float(echo @ echo))

    def too_much_left(self) -> None:
        """What was left of the echo was taken for speech."""
        self._leak = min(self._MOST_LEAK, 2 * self._leak)

    def _learn(self, played: NDArray[np.complex128], left: Signal) -> None:
        padded = np.zeros(self._size, dtype=np.float32)
        padded[-self._frame :] = left
        error = np.fft.rfft(padded)
        power = np.abs(played) ** 2
        self._other *= np.float32(self._SMOOTH)
        self._other += np.float32(1 - self._SMOOTH) * (np.abs(error) ** 2).astype(np.float32)
        share = self._frame / self._size
        gain = self._doubt / (self._doubt * power * share + self._other + 1)
        step = np.fft.irfft(gain * np.conj(played) * error)
        step[self._taps :] = 0
        self._path += np.fft.rfft(step)
        trust = self._FADING**2
        self._doubt = trust * (1 - share * share * gain * power) * self._doubt + (1 - trust) * np.abs(self._path) ** 2

    def _suppress(self, left: Signal, echo: float) -> Signal:
        """Take away what is left of the echo where there is nothing else."""
        self._echo = max(echo, 0.6 * self._echo)
        rest = float(left @ left)
        if rest > self._MARGIN * self._leak * self._echo:
            return left
        if self._echo:
            seen = min(2 * self._leak, rest / self._echo)  # a soft caller must not raise his own threshold
            self._leak = min(self._MOST_LEAK, max(self._LEAST_LEAK, 0.97 * self._leak + 0.03 * seen))
        return left * self._REST


class Fit(NamedTuple):
    """`left`: share of what was received that the path, from `lag` samples on, does not explain."""

    left: float
    lag: int
    path: Signal


def _likely_lags(heard: Signal, played: Signal, longest: int) -> list[int]:
    """Where the two agree best: by phase, which is sharp, by plain correlation, which needs less of it, and between."""
    size = 1 << (played.size - 1).bit_length()
    cross = np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size))
    power = np.abs(cross) + 1e-3
    agreements = (np.fft.irfft(cross / power**whiten, size)[: longest + 1] for whiten in _WHITEN)
    return [longest - int(np.argmax(np.abs(agreement))) for agreement in agreements]


def _fitted(heard: Signal, played: Signal, lag: int, taps: int) -> Fit:
    """Least squares."""
    reach = np.zeros(heard.size + taps - 1, dtype=np.float32)
    end = played.size - lag
    known = played[max(0, end - reach.size) : end]
    reach[reach.size - known.size :] = known
    rows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(reach, taps)[:, ::-1])
    normal = rows.T @ rows
    normal[np.diag_indices(taps)] += 1e-3 * np.trace(normal) / taps + 1
    path = np.linalg.solve(normal, rows.T @ heard).astype(np.float32)
    left = heard - rows @ path
    return Fit(float(left @ left) / (float(heard @ heard) + 1), lag, path)


def _emphasised(signal: Signal) -> Signal:
    out = signal.copy()
    out[1:] -= np.float32(_EMPHASIS) * signal[:-1]
    return out


def _pcm(signal: Signal) -> bytes:
    return np.clip(np.rint(signal), -32768, 32767).astype("<i2").tobytes()
