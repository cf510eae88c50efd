"""Arguments against their schema: what the model is told, and that no schema costs more than it may."""

import asyncio
import time
from typing import Any

import pytest

from sovereign_pbx.calls.argument_check import ArgumentCheck
from sovereign_pbx.calls.arguments import MOST_ARGUMENTS, faults, schema_fault
from sovereign_pbx.core.values import ToolCall

SCHEMA = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        "persons": {"type": "integer", "minimum": 1},
        "room": {"enum": ["garden", "cellar"]},
        "who": {"type": "object", "properties": {"name": {"type": ["string", "null"]}}},
    },
    "required": ["day"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"day": "2026-11-20", "persons": 2, "room": "garden", "who": {"name": None}}, []),
        ({}, ['the arguments: missing "day"']),
        ({"day": 5}, ['"day" must be of type string']),
        ({"day": "tomorrow"}, [r'"day" must fit {"pattern": "^\\d{4}-\\d\\d-\\d\\d$"}']),
        ({"day": "2026-11-20", "persons": "2"}, ['"persons" must be of type integer']),
        ({"day": "2026-11-20", "persons": 0}, ['"persons" must fit {"minimum": 1}']),
        ({"day": "2026-11-20", "room": "roof"}, ['"room" must be one of "garden", "cellar"']),
        ({"day": "2026-11-20", "who": {"name": 5}}, ['"who.name" must be of type string or null']),
        (
            {"day": "2026-11-20", "hour": 8},
            ['the arguments: unknown "hour"; known are "day", "persons", "room", "who"'],
        ),
    ],
)
def test_the_model_is_told_which_argument_is_wrong_and_what_is_expected(
    arguments: dict[str, Any], told: list[str]
) -> None:
    assert faults(SCHEMA, arguments) == told


def test_several_missing_arguments_are_told_once_and_no_more_than_three_faults() -> None:
    schema = {"properties": {name: {"type": "integer"} for name in "abcdef"}, "required": ["x", "y"]}
    told = faults(schema, dict.fromkeys("abcdef", "1"))
    assert len(told) == 3
    assert faults({"required": ["x", "y"]}, {}) == ['the arguments: missing "x", "y"']


def test_an_older_draft_is_understood() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"n": {"$ref": "#/definitions/n"}},
        "definitions": {"n": {"type": "integer"}},
    }
    assert faults(schema, {"n": "x"}) == ['"n" must be of type integer']


def doubling(last: dict[str, Any]) -> dict[str, Any]:
    """References that ask for 2^40 steps."""
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}
    return {"$defs": {**parts, "d40": last}, "properties": {"a": {"$ref": "#/$defs/d0"}}}


HOSTILE: list[tuple[dict[str, Any], Any]] = [
    (doubling({"type": "string"}), "x"),
    ({**doubling({"type": "string"}), "$ref": "#/$defs/d0", "unevaluatedProperties": False}, "x"),
    ({"properties": {"a": {"$ref": "#/properties/a"}}}, "x"),
    ({"properties": {"a": {"pattern": "^(a+)+$"}}}, "a" * 60 + "b"),
    ({"properties": {"a": {"patternProperties": {"^(a+)+$": False}}}}, {"a" * 60 + "b": 1}),
    ({"properties": {"a": {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}}}, {"a" * 60 + "b": 1}),
    ({"properties": {"a": {"uniqueItems": True}}}, [[] for _ in range(15_000)]),
    (
        {"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "(a+)+$"}}},
        "a" * 60 + "b",
    ),
    ({"properties": {"a": {"$ref": "http://127.0.0.1:1/never"}}}, "x"),
    ({"properties": {"a": {"type": "nonsense"}}}, "x"),
    ({"properties": {"a": {"anyOf": [{"not": {"enum": list(range(9000))}}] * 50}}}, "x"),
    ({"properties": {"a": {"pattern": r"\p{L}"}}}, "x"),
]


@pytest.mark.parametrize(("schema", "value"), HOSTILE)
def test_a_hostile_schema_costs_little_and_lets_the_arguments_pass(schema: dict[str, Any], value: Any) -> None:
    began = time.perf_counter()
    assert faults(schema, {"a": value}) == []
    assert time.perf_counter() - began < 2.0


def test_the_steps_are_given_anew_for_every_call() -> None:
    for _ in range(3):
        faults(doubling({"type": "string"}), {"a": "x"})
    assert faults(SCHEMA, {}) != []


def test_a_schema_is_judged_by_its_own_drafts_schema() -> None:
    assert schema_fault(SCHEMA) == ""
    assert "properties.a.type" in schema_fault({"properties": {"a": {"type": "date"}}})


def test_the_second_bad_call_of_an_exchange_is_told_to_go_on_without_the_tool() -> None:
    async def scene() -> None:
        exchange = [1.0]
        check = ArgumentCheck(lambda: exchange[0])

        async def told(name: str, arguments: str) -> str:
            return await check.refusal(ToolCall("c", name, arguments), SCHEMA)

        first = await told("book", "{}")
        assert first.startswith('Not used: the arguments: missing "day". Call the tool again')
        assert "Call the tool again" in await told("other", "[]")
        assert "go on without it" in await told("book", '{"day": 1}')
        assert "go on without it" in await told("book", "not json")
        assert await told("book", '{"day": "2026-11-20"}') == ""
        exchange[0] = 2.0
        assert "Call the tool again" in await told("book", "{}")

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("[1]", "must be a JSON object"),
        ('{"day": ', "not valid JSON"),
        ('{"day": "' + "x" * MOST_ARGUMENTS + '"}', "longer than"),
    ],
)
def test_arguments_that_are_no_object_are_told_as_such(arguments: str, words: str) -> None:
    async def scene() -> None:
        assert words in await ArgumentCheck(lambda: 0).refusal(ToolCall("c", "book", arguments), SCHEMA)

    asyncio.run(scene())
