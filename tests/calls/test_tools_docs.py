"""What docs/tools.md shows is what the program reads, sends and understands."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.table import Record
from sovereign_pbx.assistants.tools import parse_tools
from sovereign_pbx.calls import argument_check, tools
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.webhooks.ask import parse_tool_answer
from sovereign_pbx.webhooks.envelope import CallFacts, tool_calls

PAGE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text("utf-8")


def shown(kind: str) -> list[Any]:
    return [json.loads(text) for text in re.findall(rf"```json {kind}\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("tool", shown("tool"))
def test_every_tool_is_read_without_a_complaint(tool: dict[str, Any]) -> None:
    (read,) = parse_tools([tool])
    assert read.kind == {"end_call": "end_call", "transfer_call": "transfer_call", "mcp": "mcp"}.get(
        tool.get("type", ""), "webhook"
    )


def test_the_request_is_what_is_sent() -> None:
    (request,) = shown("request")
    message = request["message"]
    call = message["tool_call_list"][0]
    facts = CallFacts(
        call_id=message["call"]["id"],
        caller=message["customer"]["number"],
        called=message["phone_number"]["number"],
        number_id=message["phone_number"]["id"],
        number_name=message["phone_number"]["name"],
        assistant=message["assistant"],
    )
    made = ToolCall(call["id"], call["function"]["name"], json.dumps(call["function"]["arguments"]))
    assert json.loads(tool_calls(facts, [made], message["timestamp"])) == request


def test_every_answer_is_understood() -> None:
    told = [parse_tool_answer(answer, ["call_1"])["call_1"].text for answer in shown("answer")]
    assert told == [*['{"status":"on its way"}'] * 3, "Error: There is no such order."]


def test_the_servers_table_is_read_without_a_complaint() -> None:
    (text,) = [text for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "mcp_servers" in text]
    report = Report(strict=True)
    for fields in tomllib.loads(text)["mcp_servers"].values():
        assert Record(McpServer).check(fields, (), report).url
    assert not report.problems


def test_the_model_is_told_what_the_page_says() -> None:
    plain = " ".join(PAGE.split())
    assert tools.FAILED.format(why="timeout") in plain
    assert tools.FAILED.format(why="no answer within 20 s") in plain
    assert tools.NOWHERE in plain
    assert argument_check.AGAIN.format(why='"order" must be of type string') in plain
    assert argument_check.ENOUGH.format(why="…").replace("….", "…") in plain


def test_the_collectors_of_the_page_are_read_and_the_tool_that_takes_their_entry_too() -> None:
    (block,) = [text for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "collectors" in text]
    given = tomllib.loads(block)["assistants"]["payments"]
    charging = next(tool for tool in shown("tool") if tool.get("name") == "charge")
    assistant = Assistant.parse({**given, "llm_config": {"tools": [charging]}}, where="the page", strict=True)
    assert [tool.name for tool in assistant.tools] == ["charge", "card_number", "send_digits"]
