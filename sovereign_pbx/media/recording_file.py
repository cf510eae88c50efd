"""The file of a recording: a WAV that plays whatever happens to its writer, or one that only the owner of a key reads.

All methods block and raise OSError as the disk does; they are called on the writer's thread.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.media.age import Sealer
from sovereign_pbx.media.wav import HEADER_BYTES, MAX_DATA_BYTES, header

CHANNELS: Final = 2
PLAIN: Final = ".wav"
SEALED: Final = ".wav.age"
_BLOCK: Final = bytes(64 * 1024)


class RecordingFile(Protocol):
    """Takes interleaved s16le samples. `saved`: how many bytes of them are in the file or will be with its end."""

    saved: int

    def append(self, data: bytes) -> None: ...

    def silence(self, count: int) -> None:
        """So many bytes of silence."""

    def finish(self) -> tuple[int, str]:
        """Close the file; its size and its SHA-256."""


class PlainFile:
    """A WAV file whose header tells of what is in it after every `append`."""

    def __init__(self, path: Path, rate: int) -> None:
        self.saved = 0
        self._path = path
        self._rate = rate
        self._file = _create(path)
        with _closed_on_failure(self._file):
            _write_all(self._file, header(rate, CHANNELS, 0), 0)

    def append(self, data: bytes) -> None:
        room = MAX_DATA_BYTES - self.saved
        _write_all(self._file, data[:room], HEADER_BYTES + self.saved)
        self._grow(len(data))

    def silence(self, count: int) -> None:
        """Costs no space where the file system knows holes."""
        os.ftruncate(self._file, HEADER_BYTES + min(self.saved + count, MAX_DATA_BYTES))
        self._grow(count)

    def _grow(self, count: int) -> None:
        self.saved = min(self.saved + count, MAX_DATA_BYTES)
        _write_all(self._file, header(self._rate, CHANNELS, self.saved), 0)

    def finish(self) -> tuple[int, str]:
        os.close(self._file)
        with self._path.open("rb") as file:
            return self._path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


class SealedFile:
    """A WAV inside an age file. Not a sample is on the disk in the clear, not even during the call.

    A stream can't be patched, so the header inside names the greatest length there is, and players play until the end
    of the file. Up to 64 KiB (two seconds) wait in memory for their chunk to be full.
    """

    def __init__(self, path: Path, rate: int, recipients: Sequence[bytes]) -> None:
        self.saved = 0
        self._sealer = Sealer(recipients)
        self._sum = hashlib.sha256()
        self._size = 0
        self._whole = True  # every chunk so far is in the file
        self._file = _create(path)
        with _closed_on_failure(self._file):
            self._write(self._sealer.head + self._sealer.feed(header(rate, CHANNELS, MAX_DATA_BYTES)))

    def append(self, data: bytes) -> None:
        self._write(self._sealer.feed(data))
        self.saved += len(data)

    def silence(self, count: int) -> None:
        while count > 0:
            block = _BLOCK[:count]
            self.append(block)
            count -= len(block)

    def finish(self) -> tuple[int, str]:
        try:
            if self._whole:
                self._write(self._sealer.finish())
            else:  # a full disk took part of a chunk, which nobody can open
                os.ftruncate(self._file, self._size)
        finally:
            os.close(self._file)
        return self._size, self._sum.hexdigest()

    def _write(self, data: bytes) -> None:
        self._whole = False
        _write_all(self._file, data, self._size)
        self._sum.update(data)
        self._size += len(data)
        self._whole = True


def new_file(path: Path, rate: int, recipients: Sequence[bytes]) -> RecordingFile:
    """An empty recording, 0600; sealed where there is anybody to seal it for."""
    return SealedFile(path, rate, recipients) if recipients else PlainFile(path, rate)


def seconds_in(saved: int, rate: int) -> float:
    """How long so many bytes of samples sound."""
    return saved / (CHANNELS * SAMPLE_BYTES * rate)


def _create(path: Path) -> int:
    """A new file, or an old one emptied, that only its owner may read; directories are made, no link is followed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # a file system without modes
        os.fchmod(file, 0o600)
    return file


@contextlib.contextmanager
def _closed_on_failure(file: int) -> Iterator[None]:
    """A disk that is full from the first byte on must not cost a descriptor a call."""
    try:
        yield
    except OSError:
        os.close(file)
        raise


def _write_all(file: int, data: bytes, at: int) -> None:
    """`pwrite` may take part of it only, on a disk that is filling up."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
