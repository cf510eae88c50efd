"""Reading and writing WAV: 16-bit PCM only, which is all that a telephone recording needs."""

import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.media.levels import samples_of

HEADER_BYTES: Final = 44
MAX_DATA_BYTES: Final = 0xFFFFFFFF - HEADER_BYTES  # sizes are 32 bits wide: 37 hours of stereo at 8 kHz


def header(rate: int, channels: int, data_bytes: int) -> bytes:
    """The canonical 44 bytes in front of `data_bytes` bytes of interleaved s16le samples."""
    data = min(data_bytes, MAX_DATA_BYTES)
    align = channels * SAMPLE_BYTES
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * align, align, SAMPLE_BYTES * 8)
    riff = b"RIFF" + struct.pack("<I", data + HEADER_BYTES - 8) + b"WAVE"
    return riff + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", data)


def write_wav(path: Path, rate: int, *channels: bytes) -> None:
    """Write one or more channels of s16le PCM; shorter ones are filled up with silence."""
    longest = max(len(pcm) for pcm in channels)
    rows = [samples_of(pcm.ljust(longest, b"\0")) for pcm in channels]
    data = np.stack(rows, axis=1).astype("<i2").tobytes()
    path.write_bytes(header(rate, len(channels), len(data)) + data)


def read_wav(path: Path) -> tuple[int, NDArray[np.int16]]:
    """(rate, samples of shape (channels, n)). Raises BadInput for anything but 16-bit PCM, OSError as `open` does."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != SAMPLE_BYTES:
                raise BadInput(f"{path}: {file.getsampwidth() * 8} bits a sample; only 16-bit PCM is read")
            channels, rate = file.getnchannels(), file.getframerate()
            samples = samples_of(file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as exc:
        raise BadInput(f"{path}: not a PCM WAV file: {exc}") from exc
    whole = samples.size // channels * channels
    return rate, samples[:whole].reshape(-1, channels).T


def wav_blocks(path: Path, block_frames: int = 1 << 18) -> tuple[int, Iterator[bytes]]:
    """(rate, the interleaved samples of a stereo recording in blocks), however long it is. Raises as `read_wav` does,
    now or while it is read."""
    try:
        file = wave.open(str(path), "rb")  # noqa: SIM115 - closed by the generator
    except (wave.Error, EOFError) as exc:
        raise BadInput(f"{path}: not a PCM WAV file: {exc}") from exc
    if (file.getsampwidth(), file.getnchannels()) != (SAMPLE_BYTES, 2):
        file.close()
        raise BadInput(f"{path}: not a recording: 16 bits in two channels are expected")

    def blocks() -> Iterator[bytes]:
        with file:
            while block := file.readframes(block_frames):
                yield block[: len(block) // (2 * SAMPLE_BYTES) * 2 * SAMPLE_BYTES]

    return file.getframerate(), blocks()
