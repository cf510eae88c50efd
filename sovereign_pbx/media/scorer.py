"""How likely each 32 ms window is speech, for many calls in one go.

A scorer keeps what it has to remember of each call in a numbered slot, so that a tick costs one model run however
many calls there are.
"""

from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray

from sovereign_pbx.media.silero_graph import batched_graph

log = structlog.get_logger(__name__)

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
    """Silero VAD v5/v6 at 16 kHz, run inline on one thread: a thread hop costs more than the inference.

    The published ONNX file is laid out anew for many calls (see `silero_graph`) and used if it proves to give the
    same scores; a file that is laid out differently runs as it is (`batched` is False), three times slower.
    """

    kind: Literal["silero", "energy"] = "silero"

    def __init__(self, model_path: Path) -> None:
        model = model_path.read_bytes()
        self._session = _session(model)
        self._extra = {"sr": np.array(16000, dtype=np.int64)}
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self.batched = False
        self._lay_out(model)
        # Starting from the state that a quarter of a second of silence leaves, rather than from nothing, the first
        # word is noticed 19 ms sooner (median of 59 prompts). A model of another shape fails here, at start-up.
        for _ in range(8):
            self.score(np.zeros(1, np.intp), np.zeros((1, CONTEXT + WINDOW), np.float32))
        self._silence = self._state[:, 0].copy()

    def _lay_out(self, model: bytes) -> None:
        probe = np.random.default_rng(1).standard_normal((3, CONTEXT + WINDOW)).astype(np.float32) * np.float32(0.1)
        feed = {"input": probe, "state": np.full((2, 3, 128), 0.05, np.float32)}
        expected = self._session.run(None, {**feed, **self._extra})
        try:
            session = _session(batched_graph(model))
            found = session.run(None, feed)
            same = all(np.allclose(mine, theirs, atol=1e-4) for mine, theirs in zip(found, expected, strict=True))
        except Exception as exc:  # whatever it is, the published graph still works
            log.info("vad_model_unbatched", reason=str(exc))
            return
        if same:
            self._session, self._extra, self.batched = session, {}, True
        else:
            log.warning("vad_model_unbatched", reason="the scores differ")

    def reserve(self, slots: int) -> None:
        missing = slots - self._state.shape[1]
        if missing > 0:
            fresh = np.repeat(self._silence[:, None], missing, axis=1)
            self._state = np.concatenate((self._state, fresh), axis=1)

    def forget(self, slot: int) -> None:
        self._state[:, slot] = self._silence

    def score(self, slots: Slots, windows: Windows) -> NDArray[np.float32]:
        feed = {"input": windows, "state": self._state[:, slots], **self._extra}
        probability, self._state[:, slots] = self._session.run(None, feed)
        scores: NDArray[np.float32] = probability[:, 0]
        return scores


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


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
