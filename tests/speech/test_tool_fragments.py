"""Tool calls put together from fragments."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.speech.llm.tool_fragments import CALLS_LIMIT, ToolFragments


@given(
    st.lists(st.tuples(st.text("abc", min_size=1), st.dictionaries(st.text(), st.text())), min_size=1, max_size=5),
    st.sampled_from(["index", "no index", "no index, no id"]),
    st.data(),
)
def test_calls_cut_anywhere_come_back_whole(
    calls: list[tuple[str, dict[str, str]]], style: str, data: st.DataObject
) -> None:
    fragments = ToolFragments()
    for number, (name, fields) in enumerate(calls):
        index = number if style == "index" else None
        fragments.add(index, None if style == "no index, no id" else f"id{number}", name, "")
        rest = json.dumps(fields)
        while rest:
            cut = data.draw(st.integers(1, len(rest)))
            fragments.add(index, None, None, rest[:cut])
            rest = rest[cut:]
    assert [(call.name, json.loads(call.arguments)) for call in fragments.complete()] == calls


def test_interleaved_calls_are_kept_apart_by_index() -> None:
    fragments = ToolFragments()
    fragments.add(0, "a", "first", '{"x"')
    fragments.add(1, "b", "second", '{"y"')
    fragments.add(0, None, None, ": 1}")
    fragments.add(1, None, None, ": 2}")
    assert [call.arguments for call in fragments.complete()] == ['{"x": 1}', '{"y": 2}']


def test_an_id_repeated_with_each_fragment_is_the_same_call() -> None:
    fragments = ToolFragments()
    fragments.add(None, "a", "first", "{")
    fragments.add(None, "a", None, "}")
    assert [call.arguments for call in fragments.complete()] == ["{}"]


def test_arguments_sent_as_an_object_become_text_and_missing_ones_an_empty_object() -> None:
    fragments = ToolFragments()
    fragments.add(0, "a", "first", {"x": 1})
    fragments.add(1, "b", "second", None)
    assert [call.arguments for call in fragments.complete()] == ['{"x": 1}', "{}"]


def test_a_model_that_runs_away_is_stopped() -> None:
    fragments = ToolFragments()
    with pytest.raises(ValueError, match="without end"):
        for _ in range(100):
            fragments.add(0, "a", None, "x" * 1000)
    with pytest.raises(ValueError, match="too many"):
        for number in range(CALLS_LIMIT + 1):
            fragments.add(number, f"id{number}", "tool", "{}")
