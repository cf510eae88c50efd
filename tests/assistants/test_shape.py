"""Single values: what is taken, what is refused, and in which words."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.assistants.problem import Report, dotted, nearest
from sovereign_pbx.assistants.secret import Redactor, Secret, looks_secret
from sovereign_pbx.assistants.shape import NOTHING, Choice, Flag, Nullable, Opaque, Real, Shape, Text, Url, Whole

GOOD: list[tuple[Shape, Any, Any]] = [
    (Flag(), True, True),
    (Whole(1, 10), 10, 10),
    (Whole(1, 500), 300.0, 300),
    (Real(0, 2), 1, 1),
    (Real(0, 1, clamp=True), 7, 1),
    (Real(0, 1, clamp=True), -7.5, 0),
    (Text(1, 5), "abcde", "abcde"),
    (Text(aliases={"11labs": "elevenlabs"}), "11labs", "elevenlabs"),
    (Url(), "https://example.com:8443/x?y=z", "https://example.com:8443/x?y=z"),
    (Url(), "http://[::1]/", "http://[::1]/"),
    (Url(empty=True), "", ""),
    (Choice(("end_call",), {"end_call": "endCall"}), "endCall", "end_call"),
    (Nullable(Real(0.2, 5)), None, None),
    (Opaque(), {"a": [1, None, {"b": "c"}]}, {"a": [1, None, {"b": "c"}]}),
]

BAD: list[tuple[Shape, Any, str]] = [
    (Flag(), 1, "must be true or false, not 1"),
    (Flag(), "yes", 'must be true or false, not "yes"'),
    (Whole(1, 10), True, "must be a whole number from 1 to 10, not true"),
    (Whole(1, 10), 0, "must be a whole number from 1 to 10, not 0"),
    (Whole(1, 10), 1.5, "must be a whole number from 1 to 10, not 1.5"),
    (Whole(1, 10), "3", 'must be a whole number from 1 to 10, not "3"'),
    (Whole(1, 10), 10**30, "must be a whole number from 1 to 10, not a number that large"),
    (Real(0, 1), math.nan, "must be a number from 0 to 1, not nan"),
    (Real(0, 1), math.inf, "must be a number from 0 to 1, not a number that large"),
    (Text(1, 5), "", 'must be text of 1 to 5 characters, not ""'),
    (Text(1, 5), None, "must be text of 1 to 5 characters, not null"),
    (Text(), "\ud800", 'must be text, not "?"'),
    (Text(), "a\x00b", 'must be text, not "a?b"'),
    (Text(most=9, secret=True), "hunter2hunter2", "must be text of 0 to 9 characters"),
    (Url(), "ftp://example.com", 'must be an address that begins with http:// or https://, not "ftp://example.com"'),
    (Url(), "https://", 'must be an address that begins with http:// or https://, not "https://"'),
    (
        Url(),
        "https://e.com:99999/",
        'must be an address that begins with http:// or https://, not "https://e.com:99999/"',
    ),
    (Url(), "https://e.com/\r\nX: y", "must be an address that begins with http:// or https://, not"),
    (Choice(("a", "b")), "c", 'must be one of "a", "b", not "c"'),
    (Choice(("a", "b")), ["a"], 'must be one of "a", "b", not a list'),
    (Opaque(), [], "must be a table, not a list"),
    (Opaque(), {"x": math.inf}, "holds a number that JSON can't carry (NaN or infinite)"),
    (Opaque(), {"x": "\udc00"}, "holds text that is not valid Unicode"),
    (Opaque(), {"\udc00": 1}, "has a key that is not valid text"),
    (Opaque(), {"x": {1, 2}}, "holds a set, which JSON can't carry; write it as text"),
]


@pytest.mark.parametrize(("shape", "value", "canonical"), GOOD)
def test_a_good_value_comes_back_canonical(shape: Shape, value: Any, canonical: Any) -> None:
    report = Report()
    assert shape.check(value, (), report) == canonical
    assert not report.problems


@pytest.mark.parametrize(("shape", "value", "message"), BAD)
def test_a_bad_value_is_refused_in_words_that_name_the_range(shape: Shape, value: Any, message: str) -> None:
    report = Report()
    assert shape.check(value, ("key",), report) is NOTHING
    assert str(report.problems[0]).startswith(f"key: {message}")


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_value_makes_a_shape_raise(value: Any) -> None:
    for shape, _, _ in GOOD:
        shape.check(value, (), Report())
        assert shape.words()
        assert isinstance(shape.json_schema(), dict)


def test_deeply_nested_data_is_refused_without_recursion() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    report = Report()
    assert Opaque().check(deep, (), report) is NOTHING
    assert "nested deeper than 64" in report.problems[0].message
    while deep:  # unwound by hand: dropping it at once recurses in the interpreter
        deep = deep["x"]


def test_a_misspelt_choice_names_the_nearest() -> None:
    report = Report()
    Choice(("status-update", "tool-calls")).check("status_updates", ("webhook_events", 0), report)
    assert report.problems[0].remedy == "did you mean 'status-update'?"


def test_the_list_of_problems_is_bounded() -> None:
    report = Report()
    for index in range(10_000):
        report.error(("x", index), "wrong")
        report.guess("wrnog", ["wrong"])
    assert len(report.problems) == 200


def test_data_from_outside_is_bounded_in_all() -> None:
    report = Report(entries=100)
    assert Opaque().check({"a": [0] * 50}, ("first",), report) is not NOTHING
    assert Opaque().check({"a": [0] * 50}, ("second",), report) is NOTHING
    assert Opaque().check({}, ("third",), report) is NOTHING
    assert [str(problem) for problem in report.problems] == ["second: is too large: there are too many keys and values"]


def test_nearest_ignores_case_and_dashes() -> None:
    assert nearest("Webhook-URL", ["webhook_url", "name"]) == "webhook_url"
    assert nearest("first_mesage", ["first_message", "name"]) == "first_message"
    assert nearest("zzz", ["first_message", "name"]) is None
    assert nearest("n" * 5000, ["name"]) is None


def test_a_path_is_shown_without_control_characters() -> None:
    assert dotted(("numbers", 0, "na\x1b[2Jme")) == "numbers[0].na?[2Jme"
    assert len(dotted(("x" * 5000,))) == 65


def test_a_secret_works_as_text_but_does_not_show() -> None:
    secret = Secret("hunter2!")
    assert "Bearer " + secret == "Bearer hunter2!"
    assert "hunter2" not in repr({"secret": secret})


def test_a_redactor_masks_every_known_secret_the_longest_first() -> None:
    redactor = Redactor()
    for value in ("hunter2!", "hunter2!extra", "abc"):
        redactor.add(value)
    assert redactor.redact("hunter2!extra and hunter2! and abc") == "*** and *** and abc"
    assert "hunter2" not in repr(redactor)


@pytest.mark.parametrize(("name", "secret"), [("api_key", True), ("authToken", True), ("max_completion_tokens", False)])
def test_secret_names_are_known(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret
