"""`[workflows.NAME]` in the administrator's file: read, placed, and checked against the rest of it."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sovereign_pbx.cli import cli
from sovereign_pbx.config import examine

ROOT = Path(__file__).parents[1]

OTHERS = ("manager secret", "public_url", "nobody answers")
"""What is said of every file so short."""

SHOP = """
[workflows.shop.definition]
version = 1
entry_node = "intake"
[[workflows.shop.definition.nodes]]
id = "intake"
type = "conversation"
instructions = "Ask what it is."
[[workflows.shop.definition.nodes]]
id = "person"
type = "transfer"
destination = "+31201234567"
[[workflows.shop.definition.edges]]
from = "intake"
to = "person"
description = "He wants a person."
"""
LOOK_UP = """
[[workflows.shop.definition.nodes]]
id = "look_up"
type = "tool"
tool_name = "find"
[[workflows.shop.definition.edges]]
from = "intake"
to = "look_up"
description = "An order."
[[workflows.shop.definition.edges]]
from = "look_up"
to = "person"
"""
NUMBER = '[[numbers]]\nnumber = "100"\nworkflow = "shop"\n'
DIALLING = '[dialling]\nallow = ["+3120*"]\n'


def findings(folder: Path, text: str) -> list[str]:
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    found = examine(file, environ={}).findings
    told = [f"{one.line} {one.severity} {one.message}" for one in found]
    return [each for each in told if not any(other in each for other in OTHERS)]


def test_a_workflow_of_the_file_has_the_name_of_its_table_and_a_lasting_id(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(SHOP, "utf-8")
    config = examine(tmp_path / "config.toml", environ={}).config
    assert config is not None
    shop = config.directory.workflow("shop")
    assert shop is not None
    assert (shop.name, shop.is_active, shop is config.directory.workflow(shop.id)) == ("shop", True, True)


def test_a_number_with_a_workflow_needs_no_assistant(tmp_path: Path) -> None:
    assert findings(tmp_path, NUMBER + DIALLING + SHOP) == []


def test_the_command_says_who_conducts_a_call(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(NUMBER + DIALLING + SHOP, "utf-8")
    file.chmod(0o600)
    told = CliRunner().invoke(cli, ["-c", str(file), "assistants", "try", "100"])
    assert told.exit_code == 0
    assert told.output.splitlines()[-2:] == ["taken by: shop (saved)", "conducted by: the workflow shop"]


def test_a_fault_of_the_graph_stands_at_its_line(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, NUMBER + DIALLING + SHOP.replace('"He wants a person."', '""'))
    assert re.fullmatch(r'\d+ error workflows.shop.definition.edges\[0\]: "description" is missing', found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            NUMBER.replace("shop", "shopp") + DIALLING + SHOP,
            '3 error numbers[0].workflow: there is no workflow "shopp"',
        ),
        (NUMBER + SHOP, "'+31201234567' is not allowed by [dialling] allow"),
        (NUMBER + DIALLING + SHOP + LOOK_UP, 'tool "find" has nowhere to be asked'),
        (
            NUMBER
            + DIALLING
            + SHOP.replace(
                '"Ask what it is."', '"x"\ntools = [{ type = "mcp", mcp_server_id = "m", allowed_tools = ["a"] }]'
            ),
            'there is no MCP server "m"',
        ),
        (NUMBER + DIALLING + SHOP.replace("instructions =", "instructons ="), 'unknown key "instructons"'),
    ],
)
def test_what_can_not_work_is_found(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in found for found in findings(tmp_path, text)), findings(tmp_path, text)


def test_a_tool_node_is_asked_by_the_webhook_of_the_assistant(tmp_path: Path) -> None:
    number = NUMBER + 'assistant = "desk"\n'
    desk = '[assistants.desk]\nwebhook_url = "https://example.com/"\nwebhook_secret = "${env:X}"\n'
    text = number + DIALLING + SHOP + LOOK_UP + desk
    assert not any("nowhere" in found for found in findings(tmp_path, text))


def test_the_example_of_the_page_on_workflows_is_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "workflows.md").read_text("utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert findings(tmp_path, example + '\n[assistants.reception]\nfirst_message = "Good day."\n') == []


def test_the_examples_on_consent_and_mailboxes_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "consent-and-voicemail.md").read_text("utf-8")
    for example in re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        assert findings(tmp_path, example) == []
