"""`sovereign-pbx keys`: who may use the REST API."""

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.api.keys import digest_of, read_keys
from sovereign_pbx.cli import cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('[daemon]\nstate_dir = "state"\n')
    return path


def keys(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["keys", *arguments, "-c", str(file)])


def kept(file: Path) -> str:
    return (file.parent / "state" / "keys.toml").read_text()


def test_a_key_is_printed_once_and_kept_hashed(file: Path) -> None:
    made = keys(file, "create", "crm")
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert token.startswith("fl_live_") and len(token) > 40
    assert "'crm' (admin). It is not shown again." in made.stderr
    assert token not in kept(file) and digest_of(token) in kept(file)
    for shown in (keys(file, "list").output, keys(file, "list", "--json").output):
        assert token not in shown and digest_of(token) not in shown and token[-4:] in shown


def test_quietly_it_is_the_key_alone(file: Path) -> None:
    assert keys(file, "create", "crm", "-q").output.count("\n") == 1


def test_the_file_is_for_the_daemons_user_alone(file: Path) -> None:
    keys(file, "create", "crm")
    path = file.parent / "state" / "keys.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_whom_the_folder_belongs(file: Path) -> None:
    folder = file.parent / "state"
    folder.mkdir()
    os.chown(folder, 12345, 54321)
    keys(file, "create", "crm")
    owner = (folder / "keys.toml").stat()
    assert (owner.st_uid, owner.st_gid) == (12345, 54321)


def test_scopes_and_expiry_are_kept(file: Path) -> None:
    assert keys(file, "create", "crm", "--scope", "calls", "--scope", "read", "--expires", "2w").exit_code == 0
    (key,) = read_keys(file.parent / "state" / "keys.toml")
    assert key.scopes == ("read", "calls")
    lasts = datetime.fromisoformat(key.expires_at) - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < lasts <= timedelta(days=14)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", ""], "1 to 100 printable"),
        (["create", "a\nb"], "1 to 100 printable"),
        (["create", "x" * 101], "1 to 100 printable"),
        (["create", "x", "--expires", "3y"], "12h, 90d or 52w"),
        (["create", "x", "--expires", "0d"], "12h, 90d or 52w"),
        (["create", "x", "--scope", "write"], "'write' is not one of"),
        (["create", "taken"], "there is a key 'taken' already"),
        (["revoke", "nobody"], "there is no key 'nobody'"),
    ],
)
def test_what_can_not_be_done_is_said_with_exit_code_2(file: Path, arguments: list[str], words: str) -> None:
    keys(file, "create", "taken")
    before = kept(file)
    refused = keys(file, *arguments)
    assert refused.exit_code == 2 and words in refused.output
    assert kept(file) == before


def test_a_revoked_key_stays_in_the_list_and_frees_its_name(file: Path) -> None:
    keys(file, "create", "crm")
    assert keys(file, "revoke", "crm").output == "The key 'crm' is revoked.\n"
    assert keys(file, "revoke", "crm").exit_code == 2
    assert keys(file, "create", "crm").exit_code == 0
    assert [key["state"] for key in json.loads(keys(file, "list", "--json").output)] == ["revoked", "active"]


def test_the_list_shows_names_as_they_are(file: Path) -> None:
    assert "make one with `sovereign-pbx keys create NAME`" in keys(file, "list").output
    keys(file, "create", "[red]crm[/red]")
    assert "[red]crm[/red]" in keys(file, "list").output


def test_a_damaged_file_is_named_and_left_alone(file: Path) -> None:
    keys(file, "create", "crm")
    path = file.parent / "state" / "keys.toml"
    path.write_text("[[keys]\n")
    for arguments in (["list"], ["create", "other"], ["revoke", "crm"]):
        refused = keys(file, *arguments)
        assert refused.exit_code == 2 and str(path) in refused.output and "restore it" in refused.output
    assert path.read_text() == "[[keys]\n"


def test_two_who_make_keys_at_once_lose_none(file: Path) -> None:
    command = [sys.executable, "-m", "sovereign_pbx", "-c", str(file), "keys", "create", "-q"]
    makers = [subprocess.Popen([*command, f"key {n}"], stdout=subprocess.DEVNULL) for n in range(4)]
    assert [maker.wait(30) for maker in makers] == [0] * 4
    assert {key.name for key in read_keys(file.parent / "state" / "keys.toml")} == {f"key {n}" for n in range(4)}


def test_a_folder_that_can_not_be_written_is_said_and_not_thrown(file: Path) -> None:
    (file.parent / "state").write_text("no folder")
    for arguments in (["create", "crm"], ["revoke", "crm"]):
        refused = keys(file, *arguments)
        assert refused.exit_code == 2 and "as the daemon's user or as root" in refused.output
    assert isinstance(keys(file, "list").exception, SystemExit)
