"""What a pattern may cost is known before it is matched."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.assistants.pattern_cost import LONGEST_PATTERN, is_affordable, matches


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^\d{4}-\d\d-\d\d$", "2026-11-20", True),
        (r"^\d{4}-\d\d-\d\d$", "tomorrow", False),
        (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "desk@example.com", True),
        (r"^\+?[0-9]{6,15}$", "+31612345678", True),
        (r"^(NL|BE)\d+$", "DE1", False),
        (r"^(?:\d{3}){2,4}$", "123456", True),
        (r"ab?c", "xxac", True),
        (r"\S", "x" * 50_000, True),
    ],
)
def test_usual_patterns_are_matched(pattern: str, text: str, found: bool) -> None:
    assert matches(pattern, text) is found


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(a+)+$", "a" * 40 + "b"),
        (r"^(a|a)*$", "a" * 40 + "b"),
        (r"^(a*)*$", "a" * 40 + "b"),
        (r"^(?:a?){40}a{40}$", "a" * 40),
        (r"^(.*?,){11}P", "1,2,3,4,5,6,7,8,9,10,11,12,13"),
        (r"a*a*a*a*a*$", "a" * 300 + "b"),
        (r"a*b", "a" * 5000),
        (r"(?m)^a*a*a*$", "\n".join(["a" * 98 + "b"] * 90)),
        (r"^(\w)\1$", "aa"),
        (r"^(?=a)a", "a"),
        (r"^\p{L}+$", "a"),
        (r"(", "a"),
        ("a" * (LONGEST_PATTERN + 1), "a"),
    ],
)
def test_a_dear_or_unknown_pattern_is_not_matched(pattern: str, text: str) -> None:
    began = time.perf_counter()
    assert matches(pattern, text) is None
    assert time.perf_counter() - began < 1.0  # matched, the first ones would take longer than the test may


def test_what_is_affordable_depends_on_the_length_of_the_text() -> None:
    pattern = r"^a*a*a*$"
    assert matches(pattern, "a" * 50 + "b") is False
    assert matches(pattern, "a" * 5000 + "b") is None
    assert is_affordable(pattern) and not is_affordable(pattern, 5000)


PIECES = st.sampled_from(
    ["a", "b", ".", "[ab]", "a*", "b+", "a?", "(a|b)", "(ab)*", "(a+)+", "a{2,3}", "(?:a*b*)*", "^"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=7), st.text("ab", max_size=60))
def test_what_is_matched_is_matched_quickly_and_as_re_does(pieces: list[str], text: str) -> None:
    pattern = "".join(pieces)
    began = time.perf_counter()
    found = matches(pattern, text)
    assert time.perf_counter() - began < 5
    if found is not None:
        assert found == (re.search(pattern, text) is not None)
