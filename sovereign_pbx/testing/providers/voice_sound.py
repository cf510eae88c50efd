"""Speech-like sound for a scripted voice: a burst for every letter, a gap for every space, at speech level."""

import math
import struct

CHAR_MS = 60
PITCH_HZ = {"ben": 110}
"""Of the voices that are told from the usual one by their sound."""
USUAL_PITCH_HZ = 180


class Sound:
    """PCM of texts at one rate; made once, cut for every chunk."""

    def __init__(self, rate: int, pitch_hz: int = USUAL_PITCH_HZ) -> None:
        self.rate = rate
        self._pitch_hz = pitch_hz
        self.char_bytes = rate * CHAR_MS // 1000 * 2
        count = rate * CHAR_MS // 1000
        # A vowel's shape: its pitch with two formants, faded at both ends; peak about -8 dBFS.
        self._burst = struct.pack(f"<{count}h", *(self._sample(i, count) for i in range(count)))
        self._gap = bytes(self.char_bytes)

    def of(self, text: str) -> bytes:
        """The sound of a piece of text."""
        return b"".join(self._burst if char.isalnum() else self._gap for char in text)

    def _sample(self, index: int, count: int) -> int:
        t = index / self.rate
        voice = math.sin(2 * math.pi * self._pitch_hz * t) + 0.6 * math.sin(2 * math.pi * 720 * t)
        voice += 0.3 * math.sin(2 * math.pi * 1240 * t)
        return int(7000 * voice * math.sin(math.pi * (index + 0.5) / count))
