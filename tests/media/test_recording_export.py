"""Conversion by the real ffmpeg, where it is installed; what happens without it, everywhere."""

import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sovereign_pbx.core.errors import BadInput, ConfigError
from sovereign_pbx.media.progress_file import done_s
from sovereign_pbx.media.recording_export import Format, export
from sovereign_pbx.media.wav import read_wav, write_wav
from tests.calls.house import INTERRUPTION, QUESTION

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def recorded(path: Path) -> NDArray[np.int16]:
    """The caller asks, then the assistant speaks; never both."""
    write_wav(path, 8000, QUESTION, bytes(len(QUESTION)) + INTERRUPTION)
    return read_wav(path)[1]


def back(path: Path) -> NDArray[np.int16]:
    wav = path.with_suffix(".back.wav")
    subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-ar", "8000", wav], check=True, timeout=30)
    return read_wav(wav)[1]


def loudness(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(float)))))


@needs_ffmpeg
@pytest.mark.parametrize("to", ["mp3", "opus", "flac"])
def test_length_and_sides_are_kept_and_no_side_is_heard_in_the_other(tmp_path: Path, to: Format) -> None:
    source, target = tmp_path / "a.wav", tmp_path / f"a.{to}"
    original = recorded(source)
    progress: list[float] = []
    export(source, target, to, progress=progress.append)
    made = back(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert progress[-1] == pytest.approx(original.shape[1] / 8000, abs=0.1)
    assert abs(made.shape[1] - original.shape[1]) < 800
    first = slice(0, len(QUESTION) // 2 - 800)  # the caller's
    assert loudness(made[1][first]) < loudness(made[0][first]) / 300
    assert 0.7 < loudness(made[0]) / loudness(original[0]) < 1.4
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".export")]


@needs_ffmpeg
def test_flac_is_the_same_to_the_bit(tmp_path: Path) -> None:
    original = recorded(tmp_path / "a.wav")
    export(tmp_path / "a.wav", tmp_path / "a.flac", "flac")
    assert (back(tmp_path / "a.flac") == original).all()


@needs_ffmpeg
def test_a_bitrate_is_obeyed(tmp_path: Path) -> None:
    recorded(tmp_path / "a.wav")
    for kbps in (24, 96):
        export(tmp_path / "a.wav", tmp_path / f"{kbps}.opus", "opus", bitrate_kbps=kbps)
    assert (tmp_path / "24.opus").stat().st_size < (tmp_path / "96.opus").stat().st_size / 1.5


def test_a_wav_is_copied_and_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    recorded(tmp_path / "a.wav")
    export(tmp_path / "a.wav", tmp_path / "b.wav", "wav")
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()


def test_without_ffmpeg_the_remedy_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    recorded(tmp_path / "a.wav")
    with pytest.raises(ConfigError) as missing:
        export(tmp_path / "a.wav", tmp_path / "a.mp3", "mp3")
    assert "apt install ffmpeg" in missing.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_file_that_is_there_already_is_never_overwritten(tmp_path: Path) -> None:
    recorded(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        export(tmp_path / "a.wav", tmp_path / "b.wav", "wav")
    assert (tmp_path / "b.wav").read_bytes() == b"precious"


@needs_ffmpeg
@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3" * 100])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(BadInput):
        export(tmp_path / "a.wav", tmp_path / "a.flac", "flac")
    assert not (tmp_path / "a.flac").exists()


def test_progress_is_read_from_what_ffmpeg_has_written_so_far(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    assert done_s(path) == 0.0
    path.write_bytes(b"frame=0\nout_time_us=1500000\nprogress=continue\nout_time_us=N/A\nprogress=continue\n")
    assert done_s(path) == 1.5
