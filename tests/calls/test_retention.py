"""Old recordings go, and nothing else does."""

import os
from pathlib import Path

from sovereign_pbx.calls.retention import sweep


def aged(path: Path, mtime: float) -> Path:
    path.write_bytes(b"RIFF")
    os.utime(path, (mtime, mtime))
    return path


def test_a_recording_older_than_the_limit_is_removed(tmp_path: Path) -> None:
    old = aged(tmp_path / "old.wav", 1000)
    assert sweep(tmp_path, before=2000) == 1
    assert not old.exists()


def test_a_younger_recording_and_other_files_stay(tmp_path: Path) -> None:
    young = aged(tmp_path / "young.wav", 3000)
    note = aged(tmp_path / "note.txt", 1000)
    assert sweep(tmp_path, before=2000) == 0
    assert young.exists()
    assert note.exists()
