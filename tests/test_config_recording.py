import importlib.util
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tomli_w

from sovereign_pbx.config import examine
from sovereign_pbx.config_recording import recording_findings
from sovereign_pbx.media.age_keys import new_secret_key, public_key_of, public_text, secret_text

KEY = new_secret_key()


class Usage(NamedTuple):
    free: int


def findings(folder: Path, **recording: Any) -> list[tuple[str, str, int | None]]:
    """(severity, message, line) of what is wrong with the section, by itself and on this machine."""
    file = folder / "config.toml"
    file.write_text(
        tomli_w.dumps(
            {"daemon": {"state_dir": str(folder)}, "recording": {"enabled": True, "link_days": 0, **recording}}
        )
    )
    file.chmod(0o600)
    examined = examine(str(file))
    found = [finding for finding in examined.findings if (finding.key or "").startswith("recording")]
    if examined.config is not None:
        found += recording_findings(examined.config, file)
    return [(finding.severity, finding.message, finding.line) for finding in found]


def test_plain_recordings_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40))
    assert findings(tmp_path) == []


def test_a_format_without_its_programs_is_doubtful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40))
    (ffmpeg, pydub) = findings(tmp_path, format="mp3")
    assert ffmpeg[0] == pydub[0] == "warning" and "ffmpeg" in ffmpeg[1] and "pydub" in pydub[1]
    assert ffmpeg[2] == 7  # the key's own line


def test_a_full_disk_is_told_in_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(250_000_000))
    ((severity, message, _),) = findings(tmp_path)
    assert severity == "warning" and "2.2 hours" in message


def test_a_good_key_is_taken_and_two_as_well(tmp_path: Path) -> None:
    one, other = (public_text(public_key_of(key)) for key in (KEY, new_secret_key()))
    assert findings(tmp_path, public_key=one) == findings(tmp_path, public_key=f"{one} {other}") == []


def test_a_secret_key_in_the_place_of_the_public_one_is_an_error_that_does_not_repeat_it(tmp_path: Path) -> None:
    ((severity, message, _),) = findings(tmp_path, public_key=secret_text(KEY))
    assert severity == "error" and "age1" in message and secret_text(KEY) not in message


def test_what_can_not_be_read_can_not_be_converted(tmp_path: Path) -> None:
    key = public_text(public_key_of(KEY))
    found = findings(tmp_path, public_key=key, format="flac")
    assert [severity for severity, message, _ in found if "can't convert" in message] == ["error"]
