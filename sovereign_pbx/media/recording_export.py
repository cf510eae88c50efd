"""Recordings in other formats, by pydub and ffmpeg, and the proof that nothing was lost on the way.

Never in the daemon's own process: pydub holds a recording in memory (three copies, 115 MB an hour each) and blocks.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import BadInput, ConfigError
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.progress_file import told_by
from sovereign_pbx.media.wav import wav_blocks

Format = Literal["wav", "mp3", "opus", "flac"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

Progress = Callable[[float], None]
"""Told how many seconds of the recording are done."""

# The sides stay apart: LAME would otherwise store their sum and difference, and let one be heard in the other.
_ENCODING: Final[dict[str, tuple[str, str, int, tuple[str, ...]]]] = {
    "mp3": ("mp3", "libmp3lame", 64, ("-joint_stereo", "0")),
    "opus": ("opus", "libopus", 48, ("-application", "voip")),
    "flac": ("flac", "flac", 0, ()),
}
_BLOCK: Final = 1 << 20
_LOUDNESS: Final = 2.0  # a side may come back half or twice as loud: encoders drop what nobody hears
_SILENT: Final = 30.0  # of 32767; below that there is nothing to compare
_TOLERANCE_S: Final = 0.1  # encoders fill up their last frame


def export(source: Path, target: Path, to: Format, *, bitrate_kbps: int = 0, progress: Progress | None = None) -> None:
    """Write the WAV at `source` to `target`, 0600, which must not exist; read it back, and remove it if it is not the
    same. To wav is a copy.

    Raises ConfigError (ffmpeg or pydub is missing), BadInput (no recording, or it could not be converted), OSError.
    """
    with _new(target) as file:
        if to == "wav":
            with source.open("rb") as original:
                shutil.copyfileobj(original, file, _BLOCK)
            return
        ffmpeg = found_ffmpeg()
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as private:
            _encode(source, file, to, bitrate_kbps, Path(private), progress)
        _prove(source, target, to, ffmpeg)


def found_ffmpeg() -> str:
    """The program's path. Raises ConfigError with the remedy."""
    found = shutil.which("ffmpeg")
    if found is None:
        raise ConfigError(
            "converting recordings needs the program ffmpeg, which is not here",
            remedy="install it (Debian, Ubuntu: apt install ffmpeg), or keep recordings as wav",
        )
    return found


@contextmanager
def _new(target: Path) -> Iterator[Any]:
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb+") as file:
            yield file
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _encode(source: Path, file: Any, to: Format, bitrate_kbps: int, private: Path, progress: Progress | None) -> None:
    sound_class, failed = _pydub()
    container, codec, usual_kbps, more = _ENCODING[to]
    kbps = (bitrate_kbps or usual_kbps) if usual_kbps else 0
    before, tempfile.tempdir = tempfile.tempdir, str(private)  # nobody else's folder gets a copy in the clear
    try:
        rate, blocks = wav_blocks(source)
        sound = sound_class(data=b"".join(blocks), sample_width=SAMPLE_BYTES, frame_rate=rate, channels=2)
        with told_by(private / "progress", progress) as place:
            sound.export(
                file,
                format=container,
                codec=codec,
                bitrate=f"{kbps}k" if kbps else None,
                parameters=["-nostats", "-progress", str(place), *more],
            )
        file.flush()
    except failed as exc:
        raise BadInput(f"ffmpeg could not make {to} of {source}: {_last_line(str(exc))}") from exc
    finally:
        tempfile.tempdir = before


def _pydub() -> tuple[Any, type[Exception]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own escapes, of audioop's end, and of programs that we don't need
        try:
            from pydub import AudioSegment
            from pydub.exceptions import CouldntEncodeError
        except ImportError as exc:
            remedy = "pip install 'sovereign-pbx[recording]'"
            raise ConfigError(f"converting recordings needs the package {exc.name}", remedy=remedy) from exc
    return AudioSegment, CouldntEncodeError


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace("\\n", "\n").splitlines() if line.strip(" '\"\t")]
    return lines[-1][:300] if lines else "it did not say why"


@dataclass(slots=True)
class _Heard:
    """What is compared of two recordings: their length, how loud each side is, and the very samples."""

    rate: int
    samples: int = 0
    energy: Any = field(default_factory=lambda: np.zeros(2))
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, block: bytes) -> None:
        both = samples_of(block).reshape(-1, 2).astype(np.float64)
        self.samples += len(both)
        self.energy += np.square(both).sum(axis=0)
        self.digest.update(block)

    @property
    def loudness(self) -> tuple[float, float]:
        left, right = np.sqrt(self.energy / max(1, self.samples))
        return float(left), float(right)


def _prove(source: Path, target: Path, to: Format, ffmpeg: str) -> None:
    """Raises BadInput unless `target` sounds as `source` does: flac to the bit, the others in length and loudness."""
    rate, blocks = wav_blocks(source)
    original = _Heard(rate)
    for block in blocks:
        original.add(block)
    back = _decoded(target, rate, ffmpeg)
    if to == "flac":
        same = original.digest.digest() == back.digest.digest()
    else:
        same = abs(original.samples - back.samples) <= _TOLERANCE_S * rate
        same &= all(_alike(one, other) for one, other in zip(original.loudness, back.loudness, strict=True))
    if not same:
        told = f"{back.samples / rate:.2f} s instead of {original.samples / rate:.2f} s"
        raise BadInput(f"{to} made of {source} does not sound the same when it is read back ({told})")


def _alike(one: float, other: float) -> bool:
    quiet, loud = sorted((one, other))
    return loud < _SILENT or quiet * _LOUDNESS >= loud


def _decoded(path: Path, rate: int, ffmpeg: str) -> _Heard:
    heard = _Heard(rate)
    command = [ffmpeg, "-v", "error", "-nostdin", "-i", str(path), "-f", "s16le", "-ac", "2", "-ar", str(rate), "-"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        while block := run.stdout.read(_BLOCK):
            heard.add(block[: len(block) // 4 * 4])
    if run.returncode:
        raise BadInput(f"{path} can't be read back: ffmpeg ended with {run.returncode}")
    return heard
