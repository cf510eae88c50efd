"""The document that is served and checked in: complete, valid, and drawn from the operations themselves."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import schemathesis

from sovereign_pbx.rest import described
from tests.api.rest import serving_rest
from tests.imports import ROOT

DOCUMENT = described()


def operations() -> list[dict[str, Any]]:
    return [operation for path in DOCUMENT["paths"].values() for operation in path.values()]


def test_the_document_in_docs_is_what_the_operations_say() -> None:
    kept = json.loads((ROOT / "docs/openapi.json").read_text("utf-8"))
    assert kept == DOCUMENT, "run: scripts/draw-openapi.py"


def test_the_document_is_valid() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_schema_in_it_is_valid() -> None:
    def schemas(part: Any) -> list[Any]:
        if isinstance(part, list):
            return [found for item in part for found in schemas(item)]
        if not isinstance(part, dict):
            return []
        own = [part["schema"]] if isinstance(part.get("schema"), dict) else []
        return own + [found for item in part.values() for found in schemas(item)]

    for schema in schemas(DOCUMENT["paths"]):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_tag() -> None:
    names = [operation["operationId"] for operation in operations()]
    assert len(set(names)) == len(names)
    for operation in operations():
        assert operation["summary"].endswith("."), operation["operationId"]
        assert operation["tags"]


def test_the_document_is_served_without_a_key(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.as_key("").get("/api/openapi.json")
            assert (got.status, got.body) == (200, DOCUMENT)

    asyncio.run(run())
