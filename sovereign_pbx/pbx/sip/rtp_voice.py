"""A stream of one codec: packets in, 20 ms frames of PCM out, with what is missing made up for."""

from typing import Final

from sovereign_pbx.core.audio import SAMPLE_BYTES, frame_bytes, pcm_ms
from sovereign_pbx.media.conceal import Concealer
from sovereign_pbx.media.jitter import JitterBuffer, Piece
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.resample import Resampler
from sovereign_pbx.pbx.sip.codecs import codec
from sovereign_pbx.wire.formats import Format

LONGEST_S: Final = 0.2  # of one packet's sound; 60 ms is the most that is usual
_QUIET: Final = 400  # amplitude below which nobody misses a frame's place
_PATIENCE: Final = 25  # ticks that a frame too much stays where it is loud


class Voice:
    """`rate` Hz of the frames handed over; 0: nobody listens yet."""

    def __init__(self, spoken: Format, *, jitter_min_ms: float, jitter_max_ms: float) -> None:
        self.format = spoken
        self.frames = 0
        self.concealed_ms = 0.0
        self.buffer = JitterBuffer(spoken.clock_rate, min_ms=jitter_min_ms, max_ms=jitter_max_ms)
        self._codec = codec(spoken.name)
        self._samples_per_unit = spoken.rate // spoken.clock_rate
        self._frame_bytes = frame_bytes(spoken.rate)
        self._unit_bytes = SAMPLE_BYTES * self._samples_per_unit  # of PCM
        self._concealer = Concealer(spoken.rate)
        self._resampler: Resampler | None = None
        self._rest = b""
        self._loud_for = 0

    def hand_over(self, rate: int) -> None:
        """Frames at `rate` Hz from now on, and nothing of what has come before."""
        self._resampler = Resampler(self.format.rate, rate) if rate != self.format.rate else None
        self.restart()

    def restart(self) -> None:
        """Another stream of the same codec begins."""
        self.buffer.restart()
        self._rest = b""

    # --- packets

    def put(self, sequence: int, timestamp: int, payload: bytes, now: float) -> bool:
        """A packet of sound; False for one that can't be: nothing in it, or too much."""
        units = len(payload) // self._codec.unit_bytes
        if not 0 < units <= LONGEST_S * self.format.clock_rate:
            return False
        self.buffer.put(sequence, timestamp, units, payload, now)
        return True

    def comfort(self, sequence: int, dbov: float) -> None:
        """The sender is silent for now, at this level."""
        self._concealer.noise_dbov = dbov
        self.buffer.other(sequence)

    # --- frames

    def tick(self, now: float) -> None:
        self.buffer.tick(now)

    def frame(self, now: float, *, hushed: bool) -> bytes | None:
        """20 ms, or None where nothing is to be heard at all. `hushed`: a key is pressed, so noise in the place of its
        tone."""
        pcm = self._rest
        while len(pcm) < self._frame_bytes:
            piece = self.buffer.pull((self._frame_bytes - len(pcm)) // self._unit_bytes, now)
            if piece.kind == "none":
                self._rest = pcm
                return None
            pcm = pcm + self._heard(piece) if pcm else self._heard(piece)
        if len(pcm) > self._frame_bytes:
            pcm, self._rest = pcm[: self._frame_bytes], pcm[self._frame_bytes :]
        else:
            self._rest = b""
        if hushed:
            pcm = self._concealer.noise(len(pcm) // SAMPLE_BYTES)
        self.buffer.given()
        self.frames += 1
        return pcm if self._resampler is None else self._resampler.process(pcm)

    def more(self, now: float, last: bytes, *, hushed: bool) -> bytes | None:
        """Another frame within the same tick, where that takes away delay that is not needed."""
        if self.buffer.owed:
            return self.frame(now, hushed=hushed)
        if self.buffer.surplus and self._may_shrink(last) and self.buffer.shrink():
            return self.frame(now, hushed=hushed)
        return None

    def _may_shrink(self, last: bytes) -> bool:
        """In a pause, where two calls are joined nobody hears it; in a row of words only when no pause comes."""
        samples = samples_of(last)
        self._loud_for += 1
        if self._loud_for < _PATIENCE and max(int(samples.max()), -int(samples.min())) > _QUIET:
            return False
        self._loud_for = 0
        return True

    def _heard(self, piece: Piece) -> bytes:
        if piece.kind == "sound":
            return self._concealer.good(self._codec.decode(piece.payload))
        samples = piece.units * self._samples_per_unit
        if piece.kind == "silent":
            self._concealer.hush()
        elif not self._concealer.faded or not self._concealer.concealing:
            self.concealed_ms += pcm_ms(samples * SAMPLE_BYTES, self.format.rate)
        return self._concealer.fill(samples)
