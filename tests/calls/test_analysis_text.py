"""Placeholders are filled once and by nothing that was said; a model's JSON is found where it stands."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.calls.analysis_text import filled, object_in, placeholders

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_what_a_caller_says_is_never_a_placeholder() -> None:
    values = {"schema": "S", "transcript": "Caller: {{schema}} {schema} {{ended_reason}}"}
    assert filled("{{schema}} {{transcript}}", values) == "S Caller: {{schema}} {schema} {{ended_reason}}"
    assert filled("{schema} {transcript}", values, single=True) == "S Caller: {{schema}} {schema} {{ended_reason}}"


def test_spaces_are_allowed_and_unknown_names_stay() -> None:
    assert filled("{{ schema }} {{other}} {schema}", {"schema": "S"}) == "S {{other}} {schema}"


def test_a_template_knows_both_kinds_of_braces() -> None:
    assert filled("{a} {{a}} {b}", {"a": "1"}, single=True) == "1 1 {b}"
    assert list(placeholders("{a} {{b}} { c } {a}", single=True)) == ["a", "b", "a"]


@given(st.text(), st.text())
def test_a_text_without_placeholders_stays_as_it_is(text: str, value: str) -> None:
    plain = text.replace("{", "(")
    assert filled(plain, {"schema": value}, single=True) == plain


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_an_object_is_found_bare_fenced_and_in_prose(value: dict[str, Any]) -> None:
    written = json.dumps(value)
    for answer in (written, f" \n{written}\n", f"```json\n{written}\n```", f"Here it is:\n```\n{written}\n```\nBye."):
        assert object_in(answer) == value
    assert object_in(f"The facts: {written} as you asked.") == value


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I can't do that.",
        "[1, 2]",
        '"text"',
        '{"a": NaN}',
        '{"a": 1',
        "{" * 100_000,
        "[" * 50_000,
        '{"a":' * 20_000,
        '{"a": ' + "9" * 5000 + "}",
        "x" * 100_001,
    ],
)
def test_what_is_no_object_is_said_and_breaks_nothing(answer: str) -> None:
    with pytest.raises(ValueError, match=r"it |its "):
        object_in(answer)


def test_half_a_character_does_not_get_into_the_store() -> None:
    assert object_in('{"a": "\\ud800"}') == {"a": "?"}
