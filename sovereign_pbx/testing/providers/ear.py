"""Where speech begins and ends in telephone audio, by level: enough to answer a scripted utterance in time."""

from collections.abc import Iterator

# Peak of a 20 ms slice: far above G.711's comfort noise (under 100), far below any speech that is understood.
LOUD_PEAK = 600
# G.711 µ-law, bits inverted on the wire: the segment number in bits 4-6 tells the level (ITU-T G.711, table 2a);
# segment 4 begins at about 550 of 32768.
_MULAW_SEGMENT = bytes(((~code & 0x7F) >> 4) for code in range(256))
_MULAW_LOUD_SEGMENT = 4


class Ear:
    """Follows one stream of linear16 or mulaw audio in slices of 20 ms."""

    def __init__(self, encoding: str, rate: int) -> None:
        self._mulaw = encoding == "mulaw"
        self._slice = rate // 50 * (1 if self._mulaw else 2)
        self._rest = b""
        self._heard_bytes = 0
        self._second = rate * (1 if self._mulaw else 2)

    @property
    def position_s(self) -> float:
        """Seconds of audio heard so far, the slice that `slices` yielded last included."""
        return self._heard_bytes / self._second

    def slices(self, audio: bytes) -> Iterator[bool]:
        """Take audio; for each whole slice: was it loud?"""
        audio = self._rest + audio if self._rest else audio
        whole = len(audio) // self._slice * self._slice
        self._rest = audio[whole:]
        for start in range(0, whole, self._slice):
            self._heard_bytes += self._slice
            yield self._loud(audio[start : start + self._slice])

    def _loud(self, piece: bytes) -> bool:
        if self._mulaw:
            return max(piece.translate(_MULAW_SEGMENT)) >= _MULAW_LOUD_SEGMENT
        # Every third sample: speech keeps its peaks, and a hundred calls keep their processor.
        return max(memoryview(piece).cast("h")[::3]) >= LOUD_PEAK
