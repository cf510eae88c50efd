"""Tool calls in a small model's text are made and not spoken; everything else is spoken unchanged."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.speech.llm.lenient_tools import MOST_HELD, Call, ToolCallFilter

OFFERED = ("lookup_order", "end_call")
ARGUMENTS = '{"number": "4711", "note": "a {brace} and \\"quote\\""}'
CALL: Call = ("lookup_order", json.dumps(json.loads(ARGUMENTS)))
BARE = f'{{"name": "lookup_order", "arguments": {ARGUMENTS}}}'
FORMS = {
    "bare": BARE,
    "doubled braces": "{" + BARE + "}",
    "all braces doubled": '{{"name": "lookup_order", "arguments": {{"number": "4711"}}}}',
    "fence": f"```json\n{BARE}\n```",
    "fence without a language": f"```\n{BARE}\n```",
    "tag": f"<tool_call>\n{BARE}\n</tool_call>",
    "tag in a fence": f"```xml\n<tool_call>{BARE}</tool_call>\n```",
    "array": f"[{BARE}]",
    "parameters": BARE.replace('"arguments"', '"parameters"'),
    "arguments first": f'{{"arguments": {ARGUMENTS}, "name": "lookup_order"}}',
    "arguments as text": json.dumps({"name": "lookup_order", "arguments": ARGUMENTS}),
    "function": f'{{"type": "function", "function": {BARE}}}',
    "single quotes": "{'name': 'lookup_order', 'arguments': {'number': '4711'}}",
    "last brace forgotten": BARE[:-1],
    "doubled braces, one forgotten": "{" + BARE,
}
SHORT: Call = ("lookup_order", '{"number": "4711"}')


def run(text: str, cuts: list[int], offered: tuple[str, ...] = OFFERED) -> tuple[str, list[Call]]:
    """The spoken text and the calls made of `text` fed in pieces."""
    tool_calls = ToolCallFilter(offered)
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    out: list[str | Call] = []
    for start, end in pairwise(places):
        out += tool_calls.feed(text[start:end])
    out += tool_calls.rest()
    return "".join(part for part in out if isinstance(part, str)), [part for part in out if not isinstance(part, str)]


@pytest.mark.parametrize("form", FORMS)
@given(cuts=st.lists(st.integers(0, 500), max_size=12))
def test_every_form_is_a_call_and_nothing_of_it_is_spoken_however_it_arrives(form: str, cuts: list[int]) -> None:
    spoken, calls = run(FORMS[form], cuts)
    assert spoken.strip() == ""
    assert calls in ([CALL], [SHORT])


@pytest.mark.parametrize("form", [form for form in FORMS if "forgotten" not in form])
def test_text_around_a_call_is_spoken(form: str) -> None:
    spoken, calls = run(f"One moment. {FORMS[form]} I am looking.", list(range(200)))
    assert spoken.split() == ["One", "moment.", "I", "am", "looking."]
    assert len(calls) == 1


def test_two_calls_in_a_row_are_both_made() -> None:
    assert run(f'{BARE}\n{{"name": "end_call", "arguments": {{}}}}', [3, 40])[1] == [CALL, ("end_call", "{}")]
    assert len(run(f"[{BARE}, {BARE}]", [10])[1]) == 2


def test_a_call_without_arguments_has_empty_ones() -> None:
    assert run('{"name": "end_call"}', [])[1] == [("end_call", "{}")]


@pytest.mark.parametrize(
    "text",
    [
        BARE.replace("lookup_order", "format_disk"),
        '{"order": 4711}',
        "Use {braces} and [brackets] and ``` fences.",
        "```python\nprint(1)\n```",
        '{"name": 3, "arguments": {}}',
        '{"name": "lookup_order", "arguments": [1]}',
        "<tool_call> is a tag",
        "a < b and {",
        "[1] see the note",
        '{"name": "lookup_order", "argu',
    ],
)
@given(cuts=st.lists(st.integers(0, 100), max_size=8))
def test_what_is_no_call_of_an_offered_tool_is_spoken_unchanged(text: str, cuts: list[int]) -> None:
    assert run(text, cuts) == (text, [])


@given(
    st.text(st.sampled_from("{}[]<>`\"'tool_calname:, \n\\é"), max_size=120), st.lists(st.integers(0, 120), max_size=8)
)
def test_no_character_is_lost_or_turned_round(text: str, cuts: list[int]) -> None:
    assert run(text, cuts) == (text, [])


@given(st.text(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_any_text_is_spoken_unchanged(text: str, cuts: list[int]) -> None:
    assert run(text, cuts) == (text, [])


def test_ordinary_text_is_never_held_back() -> None:
    tool_calls = ToolCallFilter(OFFERED)
    assert tool_calls.feed("We are open ") == ["We are open "]
    assert tool_calls.feed("from {9} to 5") == ["from {9} to 5"]


def test_without_tools_nothing_is_held_back() -> None:
    assert ToolCallFilter(()).feed(BARE) == [BARE]


def test_a_call_without_end_is_released_at_the_limit() -> None:
    tool_calls = ToolCallFilter(OFFERED)
    text = '{"name": "' + "x" * MOST_HELD
    assert "".join(str(part) for part in tool_calls.feed(text)) == text


def test_deep_nesting_is_text() -> None:
    text = '{"name": "lookup_order", "arguments": ' + "[" * 3000
    spoken, calls = run(text, [])
    assert (spoken, calls) == (text, [])
