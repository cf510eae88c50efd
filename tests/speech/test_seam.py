"""Where one model's reply broke off and another goes on: nothing is heard twice, nothing is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm.seam import Seam, asked_to_go_on

WORDS = st.lists(
    st.sampled_from(["we", "open", "at", "nine", "and", "close", "six,", "today."]), min_size=1, max_size=9
)


def sewn(told: str, more: str, size: int = 0) -> str:
    """What the caller hears in all, the second part coming in pieces of `size` characters (0: word by word)."""
    seam = Seam(told)
    pieces = [more[at : at + size] for at in range(0, len(more), size)] if size else re.findall(r"\S+\s*|\s+", more)
    return told + "".join(map(seam.feed, pieces)) + seam.rest()


@pytest.mark.parametrize("size", [0, 1, 4, 100])
@pytest.mark.parametrize(
    ("told", "more", "whole"),
    [
        ("We open at nine and", " close at six.", "We open at nine and close at six."),
        ("We open at nine and", "We open at nine and close at six.", "We open at nine and close at six."),
        ("We open at", "at nine.", "We open at nine."),
        ("nineteen hun", "hundred and twelve.", "nineteen hundred and twelve."),
        ("We open at nine.", ".", "We open at nine."),
        ("We open at nine. ", "On Saturday at ten.", "We open at nine. On Saturday at ten."),
        ("We open at nine", ", and close at six.", "We open at nine, and close at six."),
        ("I am at the", "the end", "I am at the end"),
        ("", "Hello there.", "Hello there."),
    ],
)
def test_the_second_part_is_joined_to_the_first(told: str, more: str, whole: str, size: int) -> None:
    assert sewn(told, more, size) == whole


@given(WORDS, WORDS, st.integers(0, 5))
def test_a_model_that_begins_anew_is_heard_once(before: list[str], after: list[str], size: int) -> None:
    told = " ".join(before)
    whole = sewn(told, " ".join([*before, *after]), size)
    assert whole.split() in ([*before, *after], before + after[_overlap(before, after) :])


@given(WORDS, st.lists(st.sampled_from(["x", "y", "z"]), max_size=9), st.integers(0, 5))
def test_words_that_are_new_are_all_heard(before: list[str], after: list[str], size: int) -> None:
    assert sewn(" ".join(before), " ".join(after), size).split() == [*before, *after]


def _overlap(before: list[str], after: list[str]) -> int:
    longest = min(len(before), len(after))
    return next((count for count in range(longest, 0, -1) if before[-count:] == after[:count]), 0)


def test_the_model_is_asked_to_go_on_behind_what_was_told() -> None:
    asked = asked_to_go_on([Message("user", "Hi")], "Hello and ")
    assert [message.role for message in asked] == ["user", "assistant", "user"]
    assert asked[1].content == "Hello and"
