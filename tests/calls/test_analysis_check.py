"""Somebody else's schema decides about a value and about nothing else: not time, nor network, nor the other calls."""

import time
from typing import Any

import pytest

from sovereign_pbx.calls.analysis_check import BadSchema, TooSlow, faults

SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"type": "integer", "minimum": 1, "maximum": 10}},
    "required": ["sentiment"],
}


def test_a_value_that_fits_has_no_faults() -> None:
    assert faults(SCHEMA, {"sentiment": 8}) == []


def test_each_fault_says_where_and_what() -> None:
    assert faults(SCHEMA, {"sentiment": "good"}) == ["sentiment: 'good' is not of type 'integer'"]
    assert faults(SCHEMA, {}) == ["the object: 'sentiment' is a required property"]


def test_a_value_full_of_faults_brings_a_few_short_lines() -> None:
    schema = {"additionalProperties": {"type": "string"}}
    lines = faults(schema, {f"key{n}": {"x": "y" * 10_000} for n in range(100)})
    assert len(lines) == 5
    assert max(map(len, lines)) < 600


def test_the_dialect_is_the_schemas_own() -> None:
    named = {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"word": {"type": "string"}}}
    schema = {**named, "properties": {"a": {"$ref": "#/definitions/word", "maxLength": 1}}}
    assert faults(schema, {"a": "long"}) == []  # draft 7 ignores what stands beside $ref
    assert faults({**schema, "$schema": "urn:unknown"}, {"a": "long"}) != []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$ref": "#/nowhere"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#"},
        {"minimum": "1"},
        {"properties": {"a": {"pattern": "("}}},
        {"description": "x" * 70_000},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="the schema"):
        faults(schema, {"a": "x"})


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *given, **more: asked.append(given))
    monkeypatch.setattr("socket.socket.connect", lambda *given: asked.append(given))
    with pytest.raises(BadSchema, match="refers to what is not in it"):
        faults({"$ref": "http://127.0.0.1:9/schema.json"}, {})
    assert asked == []


def test_references_that_double_at_every_step_are_given_up() -> None:
    defs: dict[str, Any] = {"a0": {"type": "object"}}
    for step in range(1, 40):
        defs[f"a{step}"] = {"allOf": [{"$ref": f"#/$defs/a{step - 1}"}, {"$ref": f"#/$defs/a{step - 1}"}]}
    began = time.monotonic()
    with pytest.raises(TooSlow):
        faults({"$defs": defs, "$ref": "#/$defs/a39"}, {}, within_s=0.2)
    assert time.monotonic() - began < 2


def test_a_regular_expression_is_matched() -> None:
    schema = {"properties": {"code": {"pattern": "^[A-Z]{2}$"}}}
    assert faults(schema, {"code": "NL"}) == []
    assert faults(schema, {"code": "nl"}) == ["code: 'nl' does not match '^[A-Z]{2}$'"]


def test_a_regular_expression_without_end_is_ended_and_holds_nobody_up() -> None:
    """In a process of its own: the interpreter of the calls goes on meanwhile."""
    import threading

    counted = 0
    over = threading.Event()

    def count() -> None:
        nonlocal counted
        while not over.wait(0.01):
            counted += 1

    counting = threading.Thread(target=count)
    counting.start()
    try:
        with pytest.raises(TooSlow):
            faults({"properties": {"a": {"pattern": "(a+)+$"}}}, {"a": "a" * 60 + "b"}, within_s=0.2)
    finally:
        over.set()
        counting.join()
    assert counted > 20
