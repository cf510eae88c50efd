"""`/tool-templates` and `/analysis-templates` as clients of every generation use them (contract §11.4, §12.2)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.rest import serving_rest

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}}
TOOL = {"name": "look_up", "description": "Looks up.", "parameters": SCHEMA, "url": "https://example.com/t"}


@pytest.mark.parametrize(
    ("body", "config"),
    [
        ({"name": "look_up", "description": "Looks up.", "tool_type": "function", "tool_config": TOOL}, TOOL),
        (
            {**TOOL, "type": "function", "async": True},
            {**TOOL, "async": True},
        ),
        (
            {
                **{"name": "look_up", "description": "Looks up.", "async": False},
                **{"function_definition": {"name": "look_up", "description": "Looks up.", "parameters": SCHEMA}},
                **{"server_url": "https://example.com/t", "server_secret": "a secret"},
            },
            {**TOOL, "async": False, "server": {"secret": "a secret"}},
        ),
        ({"name": "Look it up", "tool_config": {}}, {}),
    ],
)
def test_every_generation_of_a_tool_is_taken_and_the_newest_answered(
    tmp_path: Path, body: dict[str, Any], config: dict[str, Any]
) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/tool-templates", body)
            assert made.status == 201, made.body
            template = made.body["tool_template"]
            assert (template["tool_type"], template["tool_config"]) == ("function", config)
            assert (template["name"], template["description"]) == (body["name"], body.get("description"))
            assert (await api.get("/tool-templates")).body == {"tool_templates": [template]}
            reader = await api.with_scopes("read")
            assert "a secret" not in str((await reader.get("/tool-templates")).body)

    asyncio.run(run())


def test_built_in_tools_are_templates_too(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/tool-templates", {"name": "Bye", "tool_type": "endCall", "tool_config": {}})
            assert made.body["tool_template"]["tool_type"] == "end_call"
            to = {"type": "number", "number": "+31201234567", "description": "Sales"}
            body = {"name": "On", "tool_type": "transfer_call", "tool_config": {"destinations": [to]}}
            assert (await api.post("/tool-templates", body)).body["tool_template"]["tool_config"] == {
                "destinations": [to]
            }
            refused = await api.post("/tool-templates", {**body, "tool_config": {}})
            assert refused.status == 400 and "destinations" in refused.body["message"]

    asyncio.run(run())


def test_a_patch_replaces_the_tool_as_a_whole_and_an_older_place_changes_what_stands_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            path = f"/tool-templates/{(await api.post('/tool-templates', TOOL)).body['tool_template']['id']}"
            flat = (await api.patch(path, {"url": "https://example.com/new", "parameters": None})).body["tool_template"]
            wanted = {name: value for name, value in TOOL.items() if name != "parameters"}
            assert flat["tool_config"] == {**wanted, "url": "https://example.com/new"}
            whole = await api.patch(path, {"tool_config": {"description": "Other."}, "description": None})
            assert whole.body["tool_template"]["tool_config"] == {"description": "Other."}
            assert (whole.body["tool_template"]["description"], whole.body["tool_template"]["name"]) == (
                None,
                "look_up",
            )
            ended = await api.patch(path, {"tool_type": "end_call"})
            assert ended.body["tool_template"]["tool_config"] == {}
            assert (await api.delete(path)).body == {"success": True}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "look up"}, "tool_config.name"),
        ({"parameters": {"type": "array"}}, "tool_config.parameters"),
        ({"parameters": {"type": "object", "properties": {"a": {"type": "strnig"}}}}, "properties.a.type"),
        ({"url": "ftp://example.com"}, "tool_config.url"),
    ],
)
def test_a_tool_no_model_would_take_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            refused = await api.post("/tool-templates", {"name": "x", "tool_config": config})
            assert refused.status == 400 and words in refused.body["details"][0], refused.body

    asyncio.run(run())


def test_an_analysis_template_of_the_newest_form_is_made_changed_and_removed(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            body = {"name": "Mood", "system_prompt": "Judge.", "user_prompt": "{transcript}", "schema": SCHEMA}
            template = (await api.post("/analysis-templates", body)).body["analysis_template"]
            assert body.items() <= template.items()
            assert template["description"] is None and "messages" not in template
            path = f"/analysis-templates/{template['id']}"
            changed = (await api.patch(path, {"system_prompt": None, "description": "How?"})).body["analysis_template"]
            assert (changed["system_prompt"], changed["user_prompt"]) == (None, "{transcript}")
            assert (await api.patch(path, {"schema": None})).body["details"] == ["schema: must be a table, not null"]
            assert (await api.delete(path)).body == {"success": True}

    asyncio.run(run())


def test_prompts_and_messages_are_the_same_and_the_last_sent_counts(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            messages = [{"role": "system", "content": "S {{schema}}"}, {"role": "user", "content": "U"}]
            older = {"name": "Mood", "schema": SCHEMA, "messages": messages, "min_messages_threshold": 5}
            made = (await api.post("/analysis-templates", older)).body["analysis_template"]
            assert (made["messages"], made["min_messages_threshold"]) == (messages, 5)
            assert (made["system_prompt"], made["user_prompt"]) == ("S {{schema}}", "U")
            path = f"/analysis-templates/{made['id']}"
            newer = (await api.patch(path, {"system_prompt": "New"})).body["analysis_template"]
            assert (newer["system_prompt"], newer["user_prompt"], "messages" in newer) == ("New", "U", False)
            again = (await api.patch(path, {"messages": messages})).body["analysis_template"]
            assert (again["system_prompt"], again["messages"]) == ("S {{schema}}", messages)

    asyncio.run(run())


def test_an_analysis_template_that_an_assistant_uses_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            body = {"name": "Mood", "schema": SCHEMA}
            template = (await api.post("/analysis-templates", body)).body["analysis_template"]["id"]
            plan = {"structured_data_plan": {"enabled": True, "template_id": template}}
            assistant = await api.post("/assistants", {"name": "Desk", "analysis_plan": plan})
            assert assistant.status == 201
            refused = await api.delete(f"/analysis-templates/{template}")
            assert (refused.status, refused.body["code"]) == (409, "in_use")
            assert "Desk" in refused.body["message"]
            path = f"/assistants/{assistant.body['assistant']['id']}"
            plan["structured_data_plan"]["template_id"] = "gone"
            wrong = await api.patch(path, {"analysis_plan": plan})
            assert wrong.body["details"] == [
                'analysis_plan.structured_data_plan.template_id: there is no analysis template "gone"'
            ]
            assert (await api.patch(path, {"analysis_plan": None})).status == 200
            assert (await api.delete(f"/analysis-templates/{template}")).status == 200

    asyncio.run(run())
