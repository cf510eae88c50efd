"""What is no JSON Schema, or none that can be used on a live call, is said when it is written."""

import time
from typing import Any

import pytest

from sovereign_pbx.assistants.json_schema import check_schema
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.tools import parse_tools
from sovereign_pbx.core.errors import ConfigError


def problems(schema: dict[str, Any]) -> list[str]:
    report = Report()
    check_schema(schema, ("parameters",), report)
    return [str(problem) for problem in report.problems]


GOOD: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"day": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}}, "required": ["day"]},
    {"type": "object", "properties": {"who": {"type": ["string", "null"]}}, "additionalProperties": False},
    {"properties": {"type": {"type": "string"}, "enum": {"type": "integer"}, "required": {"type": "boolean"}}},
    {"$defs": {"place": {"type": "object"}}, "properties": {"to": {"$ref": "#/$defs/place"}}},
    {"definitions": {"a/b~c": True}, "properties": {"x": {"$ref": "#/definitions/a~1b~0c"}}},
    {"properties": {"node": {"$ref": "#"}}},
    {"properties": {"n": {"minimum": 1, "exclusiveMaximum": 10.5, "multipleOf": 0.5, "minLength": 0}}},
    {"properties": {"n": {"minimum": 1, "exclusiveMinimum": True}}},
    {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "not": {"required": ["c"]}},
    {"properties": {"list": {"type": "array", "items": {"enum": ["a", 1, None]}, "uniqueItems": True}}},
    {"properties": {"pair": {"type": "array", "items": [{"type": "string"}, {"type": "number"}]}}},
    {"x-of-the-vendor": 5, "title": "anything", "default": {"type": "nonsense"}, "examples": [{"type": 1}]},
]


@pytest.mark.parametrize("schema", GOOD)
def test_a_good_schema_is_not_complained_about(schema: dict[str, Any]) -> None:
    assert problems(schema) == []


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {"n": {"type": "int"}}}, "parameters.properties.n.type: must be one of array, boolean"),
        ({"properties": {"n": {"type": []}}}, "parameters.properties.n.type"),
        ({"properties": {"n": {"type": "string", "required": True}}}, "n.required: must be a list of names"),
        ({"properties": {"n": "string"}}, "parameters.properties.n: must be a JSON Schema"),
        ({"properties": [{"name": "n"}]}, "parameters.properties: must be a table of JSON Schemas"),
        ({"properties": {"n": {"enum": "a"}}}, "n.enum: must be a list that is not empty"),
        ({"properties": {"n": {"enum": []}}}, "n.enum"),
        ({"anyOf": {"type": "object"}}, "parameters.anyOf: must be a list of JSON Schemas"),
        ({"allOf": [{"type": "objekt"}]}, "parameters.allOf[0].type"),
        ({"properties": {"n": {"minimum": "1"}}}, "n.minimum: must be a number"),
        ({"properties": {"n": {"maxLength": -1}}}, "n.maxLength: must be a whole number from 0"),
        ({"properties": {"n": {"multipleOf": 0}}}, "n.multipleOf: must be a number above 0"),
        ({"properties": {"n": {"pattern": 5}}}, "n.pattern: must be a regular expression"),
        ({"properties": {"n": {"$ref": "https://example.com/s.json"}}}, "nothing is fetched from elsewhere"),
        ({"properties": {"n": {"$ref": "#/$defs/none"}}}, "leads nowhere"),
        ({"items": {"$ref": 5}}, "parameters.items.$ref"),
        ({"additionalProperties": "no"}, "parameters.additionalProperties: must be a JSON Schema"),
    ],
)
def test_a_bad_schema_is_told_with_its_place(schema: dict[str, Any], words: str) -> None:
    found = problems(schema)
    assert len(found) == 1 and words in found[0]


def test_a_pattern_that_can_not_be_checked_is_a_warning_and_no_error() -> None:
    report = Report()
    check_schema({"properties": {"n": {"pattern": "(a+)+$"}}, "patternProperties": {"^x": True}}, (), report)
    assert {problem.path[-1] for problem in report.warnings} == {"^x", "pattern"}
    assert not report.errors


def test_a_tool_with_a_bad_schema_is_refused_where_it_is_written() -> None:
    tool = {"name": "look", "description": "Look.", "parameters": {"properties": {"day": {"type": "date"}}}}
    with pytest.raises(ConfigError, match=r"\[0\].parameters.properties.day.type"):
        parse_tools([tool])


def test_a_large_schema_is_looked_through_quickly() -> None:
    schema = {"properties": {f"n{number}": {"type": "string", "enum": ["a"]} for number in range(3000)}}
    began = time.perf_counter()
    assert problems(schema) == []
    assert time.perf_counter() - began < 5
