"""`/workflows` (contract §21)."""

import asyncio
from pathlib import Path
from typing import Any

from tests.api.rest import serving_rest

DEFINITION: dict[str, Any] = {
    "version": 1,
    "entry_node": "intake",
    "global_prompt": "You answer the telephone.",
    "nodes": [
        {"id": "intake", "type": "conversation", "instructions": "Ask what it is about."},
        {"id": "bye", "type": "end", "first_line": "Goodbye."},
    ],
    "edges": [{"from": "intake", "to": "bye", "description": "The caller is done."}],
}


def test_a_list_holds_items_and_one_is_answered_whole(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = await api.post("/workflows", {"name": "Intake", "definition": DEFINITION})
            assert made.status == 201
            workflow = made.body["workflow"]
            assert workflow["definition"] == DEFINITION and workflow["is_active"] is True
            path = f"/workflows/{workflow['id']}"
            assert (await api.get(path)).body == {"workflow": workflow}
            assert (await api.get("/workflows")).body == {
                "workflows": [
                    {
                        "id": workflow["id"],
                        "name": "Intake",
                        "is_active": True,
                        "entry_node": "intake",
                        "node_count": 2,
                        "edge_count": 1,
                        "created_at": workflow["created_at"],
                        "updated_at": workflow["updated_at"],
                    }
                ]
            }
            only = {**DEFINITION, "nodes": DEFINITION["nodes"][:1], "edges": []}
            changed = (await api.patch(path, {"definition": only, "is_active": False})).body["workflow"]
            assert (changed["definition"], changed["is_active"], changed["name"]) == (only, False, "Intake")
            assert (await api.patch(path, {"definition": None})).status == 400
            assert (await api.delete(path)).body == {"success": True}

    asyncio.run(run())


def test_a_workflow_is_there_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = (await api.post("/workflows", {"name": "Intake", "definition": DEFINITION})).body
        async with serving_rest(tmp_path) as api:
            assert (await api.get(f"/workflows/{made['workflow']['id']}")).body == made

    asyncio.run(run())


def test_every_fault_of_a_graph_is_told_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            edges = [{"from": "intake", "to": "nowhere", "description": "?"}, {"from": "intake", "to": "bye"}]
            wrong = {**DEFINITION, "entry_node": "bye", "edges": edges}
            refused = await api.post("/workflows", {"name": "Intake", "definition": wrong})
            assert (refused.status, len(refused.body["details"])) == (400, 3)
            assert any("definition.edges[0].to" in line for line in refused.body["details"])

    asyncio.run(run())


def test_a_realtime_model_of_one_node_has_a_code_of_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            node = {**DEFINITION["nodes"][0], "llm_config": {"provider": "openai_live", "model": "gpt-live-1"}}
            wrong = {**DEFINITION, "nodes": [node, DEFINITION["nodes"][1]]}
            refused = await api.post("/workflows", {"name": "Intake", "definition": wrong})
            assert (refused.status, refused.body["code"]) == (400, "realtime_provider_not_allowed_per_node")
            assert "definition.nodes[0].llm_config.provider" in refused.body["details"][0]

    asyncio.run(run())


def test_a_workflow_that_numbers_use_stays_and_says_which(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = (await api.post("/workflows", {"name": "Intake", "definition": DEFINITION})).body["workflow"]
            number = (await api.post("/numbers", {"phone_number": "200", "workflow_id": made["id"]})).body["number"]
            assert (number["workflow_id"], number["workflow_name"]) == (made["id"], "Intake")
            refused = await api.delete(f"/workflows/{made['id']}")
            assert (refused.status, refused.body["code"]) == (409, "in_use")
            assert "'200'" in refused.body["message"]
            await api.delete(f"/numbers/{number['id']}")
            assert (await api.delete(f"/workflows/{made['id']}")).status == 200

    asyncio.run(run())


def test_secrets_of_tools_are_for_those_who_could_change_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            tool = {
                "name": "look_up",
                "description": "Looks up.",
                "server": {"url": "https://e.com/", "secret": "hush"},
            }
            node = {**DEFINITION["nodes"][0], "tools": [tool]}
            definition = {**DEFINITION, "nodes": [node, DEFINITION["nodes"][1]]}
            made = (await api.post("/workflows", {"name": "Intake", "definition": definition})).body["workflow"]
            path = f"/workflows/{made['id']}"
            assert (await api.get(path)).body["workflow"]["definition"] == definition
            shown = await (await api.with_scopes("read")).get(path)
            assert shown.status == 200 and "hush" not in str(shown.body)

    asyncio.run(run())
