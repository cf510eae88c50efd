"""`sovereign-pbx config` and `sovereign-pbx assistants`."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.config_example import example
from sovereign_pbx.config_reference import BEGIN, END

TEXT = """
[webhook]
url = "https://example.com/account"
secret = "${env:HOOK}"
[asterisk.ami]
secret = "plain-secret"
[providers.openai]
api_key = "${env:OPENAI}"
auth = { token = "t0ken-t0ken" }
[assistants.reception]
name = "Front desk"
webhook_events = ["assistant-request"]
webhook_secret = "${env:HOOK}"
metadata = { token = "not ours" }
[assistants.sales]
first_message = "Sales"
[[numbers]]
number = "100"
name = "Main"
assistant = "reception"
[[numbers]]
number = "200"
assistant = "sales"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOK", "hook-secret")
    monkeypatch.setenv("OPENAI", "sk-openai")
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def run(file: Path, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, [*arguments, "-c", str(file)], input=stdin)


def test_show_fills_in_defaults_and_masks_every_secret(file: Path) -> None:
    output = run(file, "config", "show").output
    shown = tomllib.loads(output)
    assert shown["asterisk"]["agi"]["port"] == 4573
    assert shown["asterisk"]["ami"]["secret"] == "***"
    assert shown["webhook"]["secret"] == "***"
    assert shown["providers"]["openai"] == {"api_key": "***", "auth": {"token": "***"}}
    assert shown["assistants"]["reception"]["metadata"] == {"token": "not ours"}
    for secret in ("hook-secret", "sk-openai", "plain-secret", "t0ken"):
        assert secret not in output


def test_show_can_say_where_secrets_come_from_but_not_what_they_are(file: Path) -> None:
    output = run(file, "config", "show", "--secrets", "source").output
    shown = tomllib.loads(output)
    assert shown["webhook"]["secret"] == "${env:HOOK}"
    assert shown["asterisk"]["ami"]["secret"] == "***"
    assert "hook-secret" not in output and "plain-secret" not in output


def test_example_and_schema_are_printed_without_any_file(tmp_path: Path) -> None:
    assert run(tmp_path / "nope", "config", "example").output == example()
    schema = json.loads(run(tmp_path / "nope", "config", "schema").output)
    assert schema["properties"]["http"]["properties"]["port"]["default"] == 8090


def test_the_reference_is_printed_or_put_into_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\noutdated-text\n{END}\nafter\n")
    assert CliRunner().invoke(cli, ["config", "reference", "--into", str(page)]).exit_code == 0
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "outdated-text" not in text
    assert CliRunner().invoke(cli, ["config", "reference"]).output in text
    assert CliRunner().invoke(cli, ["config", "reference", "--into", str(tmp_path / "no/page")]).exit_code == 2


def test_path_says_which_file_and_whether_it_is_there(file: Path) -> None:
    assert run(file, "config", "path").exit_code == 0
    missing = run(file.with_name("nope.toml"), "config", "path")
    assert missing.exit_code == 1 and missing.output.strip().endswith("nope.toml")


# --- assistants


def test_assistants_are_listed_with_their_numbers(file: Path) -> None:
    rows = json.loads(run(file, "assistants", "list", "--json").output)
    assert [(row["key"], row["name"], row["numbers"]) for row in rows] == [
        ("reception", "Front desk", ["100"]),
        ("sales", "sales", ["200"]),
    ]
    assert "reception: Front desk" in run(file, "assistants", "list").output


def test_an_assistant_is_shown_as_webhooks_see_it(file: Path) -> None:
    result = run(file, "assistants", "show", "Front desk")
    assert json.loads(result.output)["name"] == "Front desk"
    assert "hook-secret" not in result.output
    missing = run(file, "assistants", "show", "nobody")
    assert missing.exit_code == 1 and "known: reception, sales" in missing.output


def test_trying_a_number_says_who_takes_it_and_why(file: Path) -> None:
    result = run(file, "assistants", "try", "200")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "called: 200",
        "entry in [[numbers]]: 200",
        "saved assistant: sales",
        "webhook: not asked",
        "taken by: sales (saved)",
    ]


def test_trying_a_number_tells_which_webhook_would_be_asked(file: Path) -> None:
    output = run(file, "assistants", "try", "100").output
    assert "webhook: asked at https://example.com/account" in output
    assert "hook-secret" not in output


@pytest.mark.parametrize(
    ("called", "answer", "code", "words"),
    [
        ("100", '{"assistant": {"first_message": "Hi"}}', 0, "taken by: Front desk (transient)"),
        ("100", '{"assistant_id": "sales"}', 0, "taken by: sales (hybrid)"),
        ("100", '{"error": "Closed."}', 0, "rejected: the caller hears 'Closed.'"),
        ("100", '{"assistant": {"is_active": 3}}', 0, "note: the assistant in the webhook's answer"),
        ("999", "{}", 1, "nobody takes it"),
        ("100", "no json", 2, "is not JSON"),
    ],
)
def test_an_answer_of_the_webhook_can_be_tried(file: Path, called: str, answer: str, code: int, words: str) -> None:
    result = run(file, "assistants", "try", called, "--answer", "-", stdin=answer)
    assert (result.exit_code, words in result.output) == (code, True), result.output
