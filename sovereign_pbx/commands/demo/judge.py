"""The judge of the demo: what the caller heard is transcribed back, and must hold the answers to what he asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sovereign_pbx.commands.demo.person import Exchange
from sovereign_pbx.media.resample import resample

_RATE = 8000
_MODEL_RATE = 16000
_MARGIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer as it was understood by somebody who only heard the telephone."""

    exchange: Exchange
    heard: str
    right: bool


class Judge:
    """Whisper, listening to the caller's own recording. Knows nothing of what the daemon meant to say."""

    def __init__(self, model: Path) -> None:
        from faster_whisper import WhisperModel  # heavy, and only the demo's end needs it

        self._model: Any = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=2)

    def transcribe(self, pcm: bytes) -> str:
        """The words in 8 kHz PCM."""
        wide = np.frombuffer(resample(pcm, _RATE, _MODEL_RATE), "<i2").astype(np.float32) / 32768
        segments, _ = self._model.transcribe(wide, language="en", beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)

    def verdicts(self, exchanges: Sequence[Exchange], recording: bytes, origin: float) -> list[Verdict]:
        """Each answer, cut out of the recording that began at `origin` on the exchanges' clock."""
        found = []
        for exchange in exchanges:
            first = max(0, int((exchange.heard_from - origin - _MARGIN_S) * _RATE)) * 2
            last = max(first, int((exchange.heard_until - origin + _MARGIN_S) * _RATE) * 2)
            heard = self.transcribe(recording[first:last]) if last > first else ""
            found.append(Verdict(exchange, heard, exchange.line.answered_by(heard)))
        return found
