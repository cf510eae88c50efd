"""The one frame that everything on the voice path is made of.

Audio inside the daemon is mono, signed 16-bit little-endian PCM ("slin"), in frames of 20 ms:
the size at which Asterisk's AudioSocket, RTP with ptime 20 and chan_websocket hand audio over.
"""

from typing import Final

FRAME_MS: Final = 20
FRAME_S: Final = 0.020
SAMPLE_BYTES: Final = 2
PHONE_RATE: Final = 8000


def frame_samples(rate: int) -> int:
    """Samples in one 20 ms frame at `rate` Hz."""
    return rate // 50


def frame_bytes(rate: int) -> int:
    """Bytes in one 20 ms frame at `rate` Hz (320 at 8 kHz)."""
    return rate // 50 * SAMPLE_BYTES


def pcm_ms(pcm_bytes: int, rate: int) -> float:
    """How long `pcm_bytes` bytes of PCM last at `rate` Hz, in milliseconds."""
    return pcm_bytes * 1000 / (rate * SAMPLE_BYTES)
