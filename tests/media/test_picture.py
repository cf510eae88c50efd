import builtins
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sovereign_pbx.core.errors import BadInput, ConfigError
from sovereign_pbx.core.values import TurnRecord
from sovereign_pbx.media.picture import _split, draw
from sovereign_pbx.media.wav import write_wav


def recording(folder: Path, seconds: float = 20.0, channels: int = 2) -> Path:
    at = np.arange(int(8000 * seconds)) / 8000
    sides = [(9000 * np.sin(2 * np.pi * 300 * at) * (at % 4 < 2)).astype("<i2").tobytes()] * channels
    write_wav(folder / "call.wav", 8000, *sides)
    return folder / "call.wav"


def turn(number: int, said: str = "Hello?", heard: str = "Hello.", **changes: Any) -> TurnRecord:
    start = number * 4.0
    values: dict[str, Any] = {
        "number": number,
        "said": said,
        "heard": heard,
        "started_at": start,
        "speech_ended_at": start + 1,
        "reply_started_at": start + 1.6,
        "ended_at": start + 3,
        "interrupted": False,
        "timing": None,
    }
    return TurnRecord(**(values | changes))


def size_of(png: Path) -> tuple[int, int]:
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def drawn(folder: Path, turns: Sequence[TurnRecord], seconds: float = 20.0, channels: int = 2) -> tuple[int, int]:
    draw(recording(folder, seconds, channels), turns, folder / "call.png", "A call")
    return size_of(folder / "call.png")


def test_a_call_becomes_a_png_that_grows_with_its_length(tmp_path: Path) -> None:
    turns = [turn(0), turn(1, interrupted=True), turn(2, said="")]
    short, long = drawn(tmp_path, turns), drawn(tmp_path, turns, 60.0)
    assert short[0] == long[0] and short[1] < long[1]


def test_a_long_call_is_no_taller_than_a_page(tmp_path: Path) -> None:
    assert drawn(tmp_path, [turn(n) for n in range(100)], 1200.0)[1] < 5000


def test_turns_without_times_text_that_looks_like_a_formula_and_foreign_scripts_are_drawn(tmp_path: Path) -> None:
    odd = [
        turn(0, said="$x_1$ costs $5", heard="^_^ \\frac{1}{2} $"),
        turn(1, said="日本語 العربية", heard="", speech_ended_at=None, reply_started_at=None),
        turn(2, said="word " * 400, heard="unbroken" * 100),
        turn(900, said="after the end"),
    ]
    assert drawn(tmp_path, odd)[1] > 100


def test_no_turns_a_mono_file_and_an_instant_are_drawn_too(tmp_path: Path) -> None:
    assert drawn(tmp_path, [], 0.02, 1)[1] > 100


def test_text_goes_on_at_a_words_end_and_is_cut_only_where_nothing_follows() -> None:
    assert _split("one two three", 7, last=False) == ("one two", "three")
    assert _split("one two three", 8, last=True) == ("one…", "")
    assert _split("one two", 7, last=False) == ("one two", "")
    assert _split("unbroken", 3, last=False) == ("", "unbroken")


def test_a_file_that_is_no_recording_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(b"nothing")
    with pytest.raises(BadInput):
        draw(tmp_path / "call.wav", [], tmp_path / "call.png", "A call")


def test_without_matplotlib_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise builtins.ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"sovereign-pbx\[plot\]"):
        draw(recording(tmp_path), [], tmp_path / "call.png", "A call")
