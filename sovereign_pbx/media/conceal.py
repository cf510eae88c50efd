"""What is heard in the place of sound that got lost: the last pitch period again, fading into quiet.

After the idea of ITU-T G.711 appendix I: repeat the last period of the voice, the joints cross-faded, whole for 10 ms,
silent after 60 ms; and cross-fade back when real sound returns. As long as nothing is lost it costs a reference to the
last frames.
"""

from collections import deque
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.media.comfort import ComfortNoise
from sovereign_pbx.media.levels import samples_of

WHOLE_MS: Final = 10.0
SILENT_MS: Final = 60.0

_HISTORY_MS: Final = 50.0  # three of the longest periods
_LONGEST_MS: Final = 15.0  # 66 Hz
_SHORTEST_MS: Final = 5.0  # 200 Hz; of a higher voice two periods or three are found, which serve as well
_COMPARED_MS: Final = 10.0
_JOINT_MS: Final = 2.5
_SEARCH_RATE: Final = 8000

Wave = NDArray[np.float32]


class Concealer:
    """One stream of PCM (s16le) at `rate` Hz. `noise_dbov`: level of the noise that silence is, None: ours."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.noise_dbov: float | None = None
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._want_bytes = self._bytes(_HISTORY_MS)
        self._noise = ComfortNoise(rate)
        self._rest = b""  # of a frame of noise
        self._period: Wave | None = None  # what is repeated; None: nothing is being concealed
        self._at = 0  # in samples, since the concealment began
        self._step = 0.0  # by which the period's beginning misses what was heard last

    @property
    def concealing(self) -> bool:
        return self._period is not None

    @property
    def faded(self) -> bool:
        """What is heard is noise by now."""
        return self._period is None or self._at >= self._samples(SILENT_MS)

    def good(self, pcm: bytes) -> bytes:
        """Real sound, which is heard as it is but for the joint after a concealment."""
        if self._period is not None and pcm:
            pcm = self._joined(pcm)
            self._period = None
        self._keep(pcm)
        return pcm

    def fill(self, samples: int) -> bytes:
        """`samples` in the place of lost ones."""
        if self._period is None:
            self._period, self._at = self._last_period(), 0
        if self.faded:
            self._at += samples
            return self.noise(samples)
        pcm = self._repeated(samples)
        self._at += samples
        return pcm

    def hush(self) -> None:
        """The sender has fallen silent: what is filled from now on is noise."""
        if self._period is None:
            self._period = np.zeros(1, np.float32)
        self._at = max(self._at, self._samples(SILENT_MS))

    def noise(self, samples: int) -> bytes:
        """Quiet."""
        wanted = samples * SAMPLE_BYTES
        pcm = self._rest
        while len(pcm) < wanted:
            pcm += self._noise.next_frame()
        pcm, self._rest = pcm[:wanted], pcm[wanted:]
        return pcm if self.noise_dbov is None else _scaled(pcm, self.noise_dbov)

    # --- the voice

    def _repeated(self, samples: int) -> bytes:
        assert self._period is not None
        at = np.arange(self._at, self._at + samples)
        whole, silent = self._samples(WHOLE_MS), self._samples(SILENT_MS)
        gain = np.clip((silent - at) / (silent - whole), 0, 1)
        bridge = self._step * np.clip(1 - at / self._samples(_JOINT_MS), 0, 1)
        wave = (self._period[at % self._period.size] + bridge) * gain
        quiet = samples_of(self.noise(samples)) * (1 - gain)
        pcm: bytes = np.rint(wave + quiet).astype("<i2").tobytes()
        return pcm

    def _joined(self, pcm: bytes) -> bytes:
        """The first of the real sound, faded in over what would have gone on."""
        length = min(self._samples(_JOINT_MS), len(pcm) // SAMPLE_BYTES)
        old = samples_of(self.fill(length)).astype(np.float32)
        new = samples_of(pcm[: length * SAMPLE_BYTES])
        ramp = np.linspace(0, 1, length, endpoint=False, dtype=np.float32)
        joint = np.rint(old * (1 - ramp) + new * ramp).astype("<i2").tobytes()
        return joint + pcm[len(joint) :]

    def _last_period(self) -> Wave:
        history = samples_of(b"".join(self._kept)).astype(np.float32)
        longest, joint = self._samples(_LONGEST_MS), self._samples(_JOINT_MS)
        if history.size < longest + self._samples(_COMPARED_MS) + joint:
            self._step = float(history[-1]) if history.size else 0.0
            return np.zeros(1, np.float32)
        lag = self._lag(history)
        period = history[-lag:].copy()
        # Its end must lead into its beginning: cross-faded with what stood before the beginning.
        ramp = np.linspace(0, 1, joint, endpoint=False, dtype=np.float32)
        before = history[-lag - joint : -lag]
        period[-joint:] = period[-joint:] * (1 - ramp) + before * ramp
        self._step = float(history[-1] - history[-lag - 1])
        return period

    def _lag(self, history: Wave) -> int:
        """The pitch period in samples: where the last 10 ms resemble an earlier stretch most."""
        step = max(1, self.rate // _SEARCH_RATE)
        slow = history[history.size % step :].reshape(-1, step).mean(axis=1) if step > 1 else history
        scale = self.rate // step / 1000
        compared, shortest, longest = (round(ms * scale) for ms in (_COMPARED_MS, _SHORTEST_MS, _LONGEST_MS))
        last = slow[-compared:]
        earlier = sliding_window_view(slow[-compared - longest : -shortest], compared)
        # einsum, not a matrix product, for which BLAS would wake a thread on every core
        likeness = np.einsum("ij,j->i", earlier, last) / np.sqrt(np.einsum("ij,ij->i", earlier, earlier) + 1)
        return (longest - int(np.argmax(likeness))) * step

    # --- sizes

    def _keep(self, pcm: bytes) -> None:
        self._kept.append(pcm)
        self._kept_bytes += len(pcm)
        while self._kept and self._kept_bytes - len(self._kept[0]) >= self._want_bytes:
            self._kept_bytes -= len(self._kept.popleft())

    def _samples(self, ms: float) -> int:
        return round(ms * self.rate / 1000)

    def _bytes(self, ms: float) -> int:
        return self._samples(ms) * SAMPLE_BYTES


# comfort.LEVEL_DBM0 against a square wave of full scale, which is 3.01 dB above the sine of +3.14 dBm0.
_OURS_DBOV: Final = -66.15


def _scaled(pcm: bytes, dbov: float) -> bytes:
    """Noise at another level; nobody is given more than a loud room's."""
    gain = 10 ** ((min(dbov, -30.0) - _OURS_DBOV) / 20)
    scaled: bytes = np.clip(np.rint(samples_of(pcm) * gain), -32768, 32767).astype("<i2").tobytes()
    return scaled
