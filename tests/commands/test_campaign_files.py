"""Leads from CSV files, results into them, and the do-not-call list, beside a daemon or without one."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.commands.campaign_results import _safe
from tests.commands.test_campaigns import database

__all__ = ["database"]

LIST = "phone;name\n+31612345600;Jan\n06 1234 5601;Piet\n+31612345600;Jan\nx;Bad\n+31612345602;No\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments])


def imported(database: Path, file: Path, *options: str) -> Result:
    return run("campaigns", "import", "--database", str(database), *options, "Reminders", str(file))


@pytest.fixture
def leads(tmp_path: Path, database: Path) -> Path:
    file = tmp_path / "leads.csv"
    file.write_text(LIST, "utf-8")
    add = ("do-not-call", "add", "--database", str(database), "--country", "31", "--reason", "asked", "06 12345602")
    assert run(*add).stdout == "1 added, 1 on the list\n"
    return file


def results_of(database: Path, tmp_path: Path) -> list[dict[str, str]]:
    target = tmp_path / "results.csv"
    done = run("campaigns", "results", "--database", str(database), "--csv", str(target), "Reminders")
    assert done.exit_code == 0, done.stderr
    with target.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_good_lines_are_taken_and_bad_ones_told(database: Path, leads: Path, tmp_path: Path) -> None:
    done = imported(database, leads, "--country", "NL")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "line 5, phone: 'x' is no telephone number",
        "5 lines: 2 leads taken, 1 duplicates, 1 on a do-not-call list, 1 bad",
    ]
    new = results_of(database, tmp_path)[4:]
    assert [(one["phone_number"], one["name"], one["status"]) for one in new] == [
        ("+31612345600", "Jan", "pending"),
        ("+31612345601", "Piet", "pending"),
    ]
    again = json.loads(imported(database, leads, "--country", "NL", "--json").stdout)
    assert (again["taken"], again["duplicates"], again["do_not_call_numbers"]) == (0, 3, ["+31612345602"])


@pytest.mark.parametrize("option", ["--strict", "--dry-run"])
def test_nothing_is_taken_where_that_is_asked_for(database: Path, leads: Path, tmp_path: Path, option: str) -> None:
    done = imported(database, leads, "--country", "31", option)
    assert (done.exit_code, "nothing taken; 2 leads could be" in done.stdout) == (1, True)
    assert len(results_of(database, tmp_path)) == 4


def test_a_strict_import_of_a_good_file_takes_it(database: Path, tmp_path: Path) -> None:
    file = tmp_path / "good.csv"
    file.write_text("phone\n" + "".join(f"+3161{number:07}\n" for number in range(1200)), "utf-8")
    done = imported(database, file, "--strict")
    assert (done.exit_code, done.stdout.split(":")[1].split(",")[0]) == (0, " 1200 leads taken")


def test_a_file_that_is_none_of_leads_and_a_country_that_is_none_are_refused(database: Path, leads: Path) -> None:
    leads.write_text("a,b\n1,2\n", "utf-8")
    assert (imported(database, leads).exit_code, "its columns are: a, b" in imported(database, leads).stderr) == (
        2,
        True,
    )
    assert imported(database, leads, "--delimiter", ";;").exit_code == 2


def test_results_hold_what_became_of_every_lead(database: Path, tmp_path: Path) -> None:
    found = results_of(database, tmp_path)
    assert [(one["status"], one["reason"], one["attempts"], one["call_id"]) for one in found] == [
        ("completed", "user_hangup", "1", "call-0"),
        ("failed", "busy", "1", "call-1"),
        ("calling", "", "1", "call-2"),
        ("pending", "", "0", ""),
    ]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("@cmd", "'@cmd"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("+31612345678", None),
    ],
)
def test_what_a_spreadsheet_would_work_out_is_marked(text: str, safe: str | None) -> None:
    assert _safe(text) == (safe or text)


def test_the_do_not_call_list_is_imported_listed_checked_and_taken_from(database: Path, tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("number\n0612345670;Jan\n+31612345671 # why\n\nnobody\n", "latin-1")
    options = ("--database", str(database), "--country", "31")
    done = run("do-not-call", "import", *options, str(file))
    assert (done.exit_code, done.stdout) == (1, "2 numbers read, 2 new on the list, 1 bad lines\n")
    assert "line 5: 'nobody' is no telephone number" in done.stderr
    listed = json.loads(run("do-not-call", "list", "--database", str(database), "--json").stdout)
    assert [one["number"] for one in listed] == ["+31612345670", "+31612345671"]
    assert run("do-not-call", "check", *options, "06-12345671").exit_code == 1
    removed = run("do-not-call", "remove", *options, "0612345671", "0612345672")
    assert (removed.exit_code, removed.stdout, removed.stderr) == (
        1,
        "1 removed\n",
        "+31612345672 is not on the list\n",
    )
    assert run("do-not-call", "check", *options, "06-12345671").exit_code == 0
    assert run("do-not-call", "add", *options, "Jan").exit_code == 2


def test_a_campaign_can_not_be_steered_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOVEREIGN_PBX_KEY", raising=False)
    config = tmp_path / "config.toml"
    config.touch(mode=0o600)
    config.write_text(f'[daemon]\nstate_dir = "{tmp_path}"\n', "utf-8")
    done = run("-c", str(config), "campaigns", "start", "Reminders")
    assert (done.exit_code, "no API key" in done.stderr) == (2, True)
