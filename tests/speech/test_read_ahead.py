"""Libraries are read before they are imported."""

import sys
from pathlib import Path

import pytest

from sovereign_pbx.speech.read_ahead import read_ahead


def test_the_libraries_of_a_package_and_those_beside_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in {
        "heavy/__init__.py": 7,
        "heavy/core.cpython-311-x86_64-linux-gnu.so": 3_000_000,
        "heavy/deep/more.so": 20,
        "heavy.libs/libgomp.so.1.0.0": 300,
        "other/unrelated.so": 9,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"#" * size)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert read_ahead("heavy") == 3_000_320
    assert read_ahead("heavy", "nowhere_at_all") == 3_000_320


def test_a_package_that_is_not_installed_reads_nothing() -> None:
    assert read_ahead("nowhere_at_all") == 0
