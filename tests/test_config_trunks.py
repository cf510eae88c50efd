"""`[trunks]` and what refers to them."""

from pathlib import Path

from sovereign_pbx.config import Examined, examine

TRUNK = '[trunks.carrier]\naddress = "sip.example.com"\n'


def examined(folder: Path, text: str) -> Examined:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return examine(path, environ={})


def numbers(trunk: str) -> str:
    return f'[assistants.a]\n[[numbers]]\nnumber = "*"\nassistant = "a"\ntransfer_trunk = "{trunk}"\n'


def test_a_number_may_name_a_trunk(tmp_path: Path) -> None:
    assert examined(tmp_path, TRUNK + numbers("carrier")).config is not None


def test_a_number_that_names_an_unknown_trunk_is_an_error(tmp_path: Path) -> None:
    found = examined(tmp_path, TRUNK + numbers("carier"))
    assert found.config is None
    (error,) = [finding for finding in found.findings if finding.severity == "error"]
    assert 'no trunk "carier"' in error.message
    assert 'did you mean "carrier"?' in error.remedy
    assert error.line == 7
