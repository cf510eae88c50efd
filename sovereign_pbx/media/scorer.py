"""How likely each 32 ms window is speech, for many calls in one go.

A scorer keeps what it has to remember of each call in a numbered slot, so that a tick costs one model run however
many calls there are.
"""

from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Windows = NDArray[np.float32]
Slots = NDArray[np.intp]

WINDOW: Final = 512  # new samples in a window at 16 kHz: what Silero was trained on, 32 ms
CONTEXT: Final = 64  # samples of the window before that Silero wants to see again
WINDOW_S: Final = WINDOW / 16000


class Scorer(Protocol):
    """Scores windows of shape (n, CONTEXT + WINDOW), float32 at 16 kHz in [-1, 1]."""

    kind: Literal["silero", "energy"]

    def reserve(self, slots: int) -> None:
        """Make room for slots 0 … `slots` - 1."""

    def forget(self, slot: int) -> None:
        """Put a slot back to how it began."""

    def score(self, slots: Slots, windows: Windows) -> NDArray[np.float32]:
        """Probability of speech of each window, shape (n,); window i continues slot `slots[i]`."""


class SileroScorer:
    """Silero VAD v5/v6 ONNX at 16 kHz, run inline on one thread: a thread hop costs more than the inference."""

    kind: Literal["silero", "energy"] = "silero"

    def __init__(self, model_path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(model_path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._rate = np.array(16000, dtype=np.int64)
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        # Starting from the state that a quarter of a second of silence leaves, rather than from nothing, the first
        # word is noticed 19 ms sooner (median of 59 prompts). A model of another shape fails here, at start-up.
        for _ in range(8):
            self.score(np.zeros(1, np.intp), np.zeros((1, CONTEXT + WINDOW), np.float32))
        self._silence = self._state[:, 0].copy()

    def reserve(self, slots: int) -> None:
        missing = slots - self._state.shape[1]
        if missing > 0:
            fresh = np.repeat(self._silence[:, None], missing, axis=1)
            self._state = np.concatenate((self._state, fresh), axis=1)

    def forget(self, slot: int) -> None:
        self._state[:, slot] = self._silence

    def score(self, slots: Slots, windows: Windows) -> NDArray[np.float32]:
        feed = {"input": windows, "state": self._state[:, slots], "sr": self._rate}
        probability, self._state[:, slots] = self._session.run(None, feed)
        scores: NDArray[np.float32] = probability[:, 0]
        return scores


class EnergyScorer:
    """Loudness above an adaptive floor. Misses soft speech and mistakes noise for speech: only for want of a model."""

    kind: Literal["silero", "energy"] = "energy"

    _FLOOR_DBFS: Final = -60.0  # where a call's floor begins
    _LEAST_DBFS: Final = -50.0  # nothing below this is taken for speech
    _HALF_DB: Final = 12.0  # this far above the floor the score is 0.5
    _RISE_DB: Final = WINDOW_S * 1.0  # a floor that rises 1 dB a second follows a room, not a sentence

    def __init__(self) -> None:
        self._floor = np.zeros(0, dtype=np.float32)

    def reserve(self, slots: int) -> None:
        missing = slots - self._floor.size
        if missing > 0:
            self._floor = np.concatenate((self._floor, np.full(missing, self._FLOOR_DBFS, np.float32)))

    def forget(self, slot: int) -> None:
        self._floor[slot] = self._FLOOR_DBFS

    def score(self, slots: Slots, windows: Windows) -> NDArray[np.float32]:
        fresh = windows[:, CONTEXT:]
        level = 10 * np.log10(np.einsum("ij,ij->i", fresh, fresh) / WINDOW + np.float32(1e-12))
        floor = self._floor[slots]
        self._floor[slots] = np.where(level < floor, floor + (level - floor) * 0.3, floor + self._RISE_DB)
        above = np.clip((level - floor) / (2 * self._HALF_DB), 0, 1)
        return np.where(level > self._LEAST_DBFS, above, 0).astype(np.float32)
