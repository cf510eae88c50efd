"""`[campaigns]` and what it has to do with `[dialling]`."""

from pathlib import Path

from sovereign_pbx.config import load

LESS = "is more than [dialling] max_at_once (3)"


def findings(folder: Path, text: str) -> str:
    file = folder / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    return "\n".join(str(finding) for finding in load(file).warnings)


def test_more_calls_of_campaigns_than_may_be_dialled_at_all_are_warned_of(tmp_path: Path) -> None:
    dialling = "[dialling]\nmax_at_once = 3\n"
    assert LESS in findings(tmp_path, f"{dialling}[campaigns]\nmax_at_once = 4\n")
    assert LESS not in findings(tmp_path, f"{dialling}[campaigns]\nmax_at_once = 3\n")
    assert LESS not in findings(tmp_path, dialling), "of a default nobody needs to hear"
