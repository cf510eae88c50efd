"""An encrypted recording as the WAV it was before."""

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.media.age import opened
from sovereign_pbx.media.wav import HEADER_BYTES, header


def decrypt(
    source: Path, target: Path, secrets: Sequence[bytes], progress: Callable[[float], None] = lambda done: None
) -> None:
    """Write what is in `source` to `target`, 0600, which must not exist. `progress` is told how many bytes are done.

    Raises OSError, and BadInput: for another key or no recording (nothing is left then); or damaged or cut off, with
    all that could be read in `target`, and playable.
    """
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb+") as file, source.open("rb") as sealed:
        try:
            for chunk in opened(sealed, secrets):
                file.write(chunk)
                progress(sealed.tell())
        except BaseException as exc:
            if not isinstance(exc, BadInput) or file.tell() <= HEADER_BYTES:
                target.unlink()
                raise
            _settle_header(file)
            raise
        _settle_header(file)


def _settle_header(file: BinaryIO) -> None:
    """Inside, it names the greatest length there is; now the real one is known."""
    length = file.tell() - HEADER_BYTES
    file.seek(0)
    start = file.read(HEADER_BYTES)
    if length < 0 or start[:4] != b"RIFF" or start[8:16] != b"WAVEfmt ":
        return  # somebody else's file, and just as it was
    channels, rate = struct.unpack_from("<HI", start, 22)
    file.seek(0)
    file.write(header(rate, channels, length))
