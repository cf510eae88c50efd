"""Thoughts of a model are not read aloud."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.speech.llm.thinking import ThoughtFilter


def spoken(text: str, cuts: list[int]) -> str:
    thoughts = ThoughtFilter()
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    parts = [thoughts.feed(text[start:end]) for start, end in pairwise(edges)]
    return "".join(parts) + thoughts.rest()


@given(st.text("ab <>/think\n"), st.text("ab c", min_size=1), st.lists(st.integers(0, 200), max_size=12))
def test_thoughts_before_the_answer_go_wherever_the_stream_is_cut(thought: str, answer: str, cuts: list[int]) -> None:
    thought = thought.replace("</think>", "")
    assert spoken(f"\n<think>{thought}</think>\n{answer}", cuts) == answer.lstrip()


@given(st.text("ab <>/think\n"), st.lists(st.integers(0, 200), max_size=12))
def test_text_that_does_not_begin_with_thoughts_is_left_as_it_is(text: str, cuts: list[int]) -> None:
    text = text if not text.lstrip().startswith("<think>") else f"x{text}"
    assert spoken(text, cuts) == text


@pytest.mark.parametrize("text", ["<think>and never an answer", "<think></think>", "<think>a</think> \n"])
def test_thoughts_alone_are_nothing_to_say(text: str) -> None:
    assert spoken(text, [3, 9]) == ""
