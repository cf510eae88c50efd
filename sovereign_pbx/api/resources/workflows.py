"""`/workflows` (contract §21): graphs that conduct a call."""

import dataclasses
from typing import Any

from sovereign_pbx.api.errors import invalid
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.crud import SERVER_OWNED, Resource, in_use, may_see_secrets, plain
from sovereign_pbx.api.resources.references import missing_mcp_servers, numbers_with, told_numbers
from sovereign_pbx.api.schema import COUNT, FLAG, MAYBE_TIME, OBJECT, STRING, TEXT, object_schema
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.kinds import WORKFLOWS
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.assistants.table import Table
from sovereign_pbx.assistants.workflow import WORKFLOW, Workflow, error_code, workflow_item, workflow_object

BODY = Table(
    *(
        dataclasses.replace(key, required=key.name in ("name", "definition"))
        for key in WORKFLOW.keys.values()
        if key.name not in SERVER_OWNED
    )
)
"""What a client may send; a definition replaces the whole one, and calls that have begun keep the old."""

_STAMPS: dict[str, Any] = {"created_at": MAYBE_TIME, "updated_at": MAYBE_TIME}

SCHEMA = object_schema({"id": STRING, "name": STRING, "is_active": FLAG, "definition": OBJECT, **_STAMPS})
"""A workflow, as it is answered."""

ITEM = object_schema(
    {
        "id": STRING,
        "name": STRING,
        "is_active": FLAG,
        "entry_node": TEXT,
        "node_count": COUNT,
        "edge_count": COUNT,
        **_STAMPS,
    }
)
"""A workflow in the list."""


def operations(estate: Estate) -> list[Operation]:
    """List, make, get, change and delete workflows."""

    async def check(entry: Entry[Workflow], before: Entry[Workflow] | None, asked: Asked) -> None:
        report = Report()
        for index, node in enumerate(asked.body.get("definition", {}).get("nodes", ())):
            missing_mcp_servers(estate, node.get("tools"), ("definition", "nodes", index, "tools"), report)
        if report.errors:
            raise invalid(report.errors)

    async def unused(entry: Entry[Workflow]) -> None:
        users = numbers_with(estate, lambda number: number.workflow, estate.directory.workflow, entry.id)
        in_use("workflow", told_numbers(users))

    return Resource(
        path="/workflows",
        one="workflow",
        many="workflows",
        title="workflow",
        operation="Workflow",
        shelf=estate.workflows,
        body=BODY,
        read=WORKFLOWS.read,
        show=show,
        schema=SCHEMA,
        item=item,
        item_schema=ITEM,
        check=check,
        removing=unused,
        code_of=error_code,
    ).operations()


def show(entry: Entry[Workflow], asked: Asked) -> dict[str, Any]:
    """The REST object; the secrets of its tools for keys that could change them."""
    shown = workflow_object(entry.thing)
    if may_see_secrets(entry, asked):
        shown["definition"] = plain(entry.thing.definition)
    return shown | _stamps(entry)


def item(entry: Entry[Workflow], asked: Asked) -> dict[str, Any]:
    """As it stands in the list."""
    return workflow_item(entry.thing) | _stamps(entry)


def _stamps(entry: Entry[Workflow]) -> dict[str, Any]:
    return {"id": entry.id, "created_at": entry.created_at or None, "updated_at": entry.updated_at or None}
