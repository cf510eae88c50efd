"""mod_audio_fork's text messages, and samples that would be taken for marks."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import audio_fork as wire
from sovereign_pbx.wire.malformed import Malformed


@pytest.mark.parametrize("event", ["playout", "cleared"])
def test_a_mark_comes_back(event: str) -> None:
    order = json.loads(wire.mark("17"))
    answer = {**order, "data": {**order["data"], "event": event}}
    assert wire.marked(json.dumps(answer)) == ("17", event)


@pytest.mark.parametrize("text", ["sovereign", "", "{", "[]", '{"type":"json"}', "[" * 50000])
def test_other_messages_are_none_of_its_business(text: str) -> None:
    assert wire.marked(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"mark"}',
        '{"type":"mark","data":{"name":7}}',
        '{"type":"mark","data":{"name":"a","event":"lost"}}',
        "x" * 70000,
    ],
)
def test_a_mark_that_is_none_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        wire.marked(text)


@given(st.text(max_size=100))
def test_no_text_does_any_harm(text: str) -> None:
    try:
        wire.marked(text)
    except Malformed:
        return


@given(st.lists(st.integers(-3, 3) | st.integers(-32768, 32767), max_size=50))
def test_only_samples_of_minus_one_are_changed(samples: list[int]) -> None:
    pcm = struct.pack(f"<{len(samples)}h", *samples)
    wanted = [0 if sample == -1 else sample for sample in samples]
    assert struct.unpack(f"<{len(samples)}h", wire.without_marks(pcm)) == tuple(wanted)
