"""What is read of a streamed chunk, and what is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.speech.llm.chat_chunks import Chunk, chunk_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("choices", "delta", "content", "tool_calls", "usage")), inner, max_size=3)
    ),
    max_leaves=12,
)


def test_fields_that_are_not_read_may_hold_anything() -> None:
    chunk = chunk_of({"id": 7, "created": "now", "choices": [{"index": [], "delta": {"role": 1, "content": "Hi"}}]})
    assert chunk.choices is not None and chunk.choices[0].delta is not None
    assert chunk.choices[0].delta.content == "Hi"


def test_what_a_server_leaves_out_or_sends_as_null_is_nothing() -> None:
    for message in ({}, {"choices": None, "usage": None}, {"choices": [{"delta": None}]}):
        assert not chunk_of(message).told_usage()


def test_cached_tokens_are_told_where_the_server_counts_them() -> None:
    usage: dict[str, Any] = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    assert chunk_of({"usage": usage}).told_usage() == {"input_tokens": 9, "output_tokens": 2, "cached_tokens": 4}
    assert "cached_tokens" not in chunk_of({"usage": {**usage, "prompt_tokens_details": {}}}).told_usage()


@pytest.mark.parametrize("message", ["text", 3, [], {"choices": {}}, {"choices": [{"delta": {"content": ["a"]}}]}])
def test_a_message_of_another_shape_is_refused(message: object) -> None:
    with pytest.raises(ValueError):
        chunk_of(message)


@given(JSON)
def test_any_json_is_a_chunk_or_a_value_error(message: object) -> None:
    try:
        assert isinstance(chunk_of(message), Chunk)
    except ValueError:
        pass
