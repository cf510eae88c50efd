"""`[campaigns]` and what it has to do with `[dialling]`."""

from pathlib import Path

from sovereign_pbx.config import load
from sovereign_pbx.config_host import folder_findings

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


def test_a_do_not_call_file_that_can_not_be_used_is_found_before_the_start(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.touch(mode=0o600)
    config.write_text('[dialling]\ndo_not_call = ["good.txt", "bad.txt", "none.txt"]\n')
    (tmp_path / "good.txt").write_text("number\n+31612345678\n")
    (tmp_path / "bad.txt").write_text("+31612345678\nJan\n")
    found = [str(one) for one in folder_findings(load(config), config)]
    assert len(found) == 2
    assert "dialling.do_not_call[1]" in found[0] and "bad.txt: line 2 is no telephone number" in found[0]
    assert "dialling.do_not_call[2]" in found[1] and "none.txt" in found[1]
