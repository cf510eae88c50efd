"""An assistant's `digits`: what becomes of keys, and which tools it makes."""

from typing import Any

import pytest

from sovereign_pbx.assistants.digits import places
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import plan_for
from sovereign_pbx.assistants.problem import InvalidSettings
from sovereign_pbx.calls.toolbox import specs
from sovereign_pbx.core.plan import Collector

CARD: dict[str, Any] = {
    "name": "card",
    "description": "The number of the card.",
    "prompt": "Please key in your card number.",
    "min_digits": 12,
    "max_digits": 19,
    "finish_key": "*",
    "first_digit_seconds": 20,
    "between_digits_seconds": 6,
    "mask": True,
    "interrupt": False,
}
CHARGE = {
    "name": "charge",
    "description": "Charge it.",
    "parameters": {"type": "object", "properties": {"number": {"const": "{{digits.card}}"}, "euros": {}}},
}


def parsed(digits: dict[str, Any] | None = None, tools: tuple[dict[str, Any], ...] = (), **more: Any) -> Assistant:
    data = {"name": "a", "digits": digits or {}, "llm_config": {"tools": list(tools)}, **more}
    return Assistant.parse(data, where="it", strict=True)


def problems(digits: dict[str, Any], *tools: dict[str, Any]) -> str:
    with pytest.raises(InvalidSettings) as refused:
        parsed(digits, tools)
    return str(refused.value)


def test_a_collector_is_a_tool_of_its_name() -> None:
    assistant = parsed({"collectors": [CARD]})
    (spec,) = specs(assistant.tools)
    assert (spec.name, spec.description, spec.parameters["properties"]) == ("card", "The number of the card.", {})
    (collector,) = plan_for(assistant).collectors
    assert collector == Collector(
        name="card",
        prompt="Please key in your card number.",
        least=12,
        most=19,
        finish="*",
        first_within=20.0,
        between=6.0,
        mask=True,
        interrupt=False,
    )


def test_without_a_prompt_the_model_may_find_the_words() -> None:
    (spec,) = specs(parsed({"collectors": [{"name": "pin", "description": "The PIN."}]}).tools)
    assert list(spec.parameters["properties"]) == ["prompt"]


def test_nobody_sends_tones_who_is_not_allowed_to() -> None:
    assert plan_for(parsed()).tone_tools == ()
    assistant = parsed({"send": True})
    assert plan_for(assistant).tone_tools == ("send_digits",)
    assert [spec.name for spec in specs(assistant.tools)] == ["send_digits"]


def test_keys_that_nobody_asked_for_are_as_ever_unless_it_is_said() -> None:
    assert plan_for(parsed()).keys == Collector(between=2.0)
    own = parsed({"finish_key": "", "max_digits": 4, "between_digits_seconds": 1, "interrupt": False, "mask": True})
    assert plan_for(own).keys == Collector(finish="", most=4, between=1.0, interrupt=False, mask=True)


def test_they_are_masked_where_a_collector_masks_and_nothing_else_is_said() -> None:
    assert plan_for(parsed({"collectors": [CARD]})).keys.mask
    assert not plan_for(parsed({"collectors": [CARD], "mask": False})).keys.mask
    assert not plan_for(parsed({"collectors": [{**CARD, "mask": False}]})).keys.mask


def test_a_tools_argument_may_be_an_entry() -> None:
    assistant = parsed({"collectors": [CARD]}, (CHARGE,))
    assert list(places(assistant.tools[0].parameters)) == [("number", "card")]


@pytest.mark.parametrize(
    ("digits", "tools", "named"),
    [
        ({"collectors": [{**CARD, "name": "two words"}]}, (), "not a name that language models accept"),
        ({"collectors": [CARD, CARD]}, (), 'a second tool is named "card"'),
        ({"collectors": [{**CARD, "name": "charge"}]}, (CHARGE,), 'a second tool is named "charge"'),
        ({"send": True, "collectors": [{**CARD, "name": "send_digits"}]}, (), 'a second tool is named "send_digits"'),
        ({"collectors": [{**CARD, "name": "entry"}]}, (), 'a second tool is named "entry"'),
        ({"collectors": [{**CARD, "min_digits": 20}]}, (), "must not be above max_digits"),
        ({"finish_key": "##"}, (), "finish_key"),
        ({"finish_key": "x"}, (), "finish_key"),
        ({"max_digits": 65}, (), "max_digits"),
        ({}, (CHARGE,), 'charge.number: nothing collects "card"'),
    ],
)
def test_what_is_wrong_is_named(digits: dict[str, Any], tools: tuple[dict[str, Any], ...], named: str) -> None:
    assert named in problems(digits, *tools)


def test_the_older_spelling_is_understood() -> None:
    assistant = Assistant.parse({"name": "a", "digits": {"finishKey": "*", "betweenDigitsSeconds": 3}}, where="it")
    assert (plan_for(assistant).keys.finish, plan_for(assistant).keys.between) == ("*", 3.0)


@pytest.mark.parametrize(
    ("fields", "introduction"),
    [
        ({"business_name": "The Bakery", "first_message": "Your order is ready."}, "This is The Bakery. Your order"),
        ({"business_name": "The Bakery", "first_message": "Good day, the bakery here."}, "Good day, the bakery here."),
        ({"first_message": "Your order is ready."}, "This is a. Your order is ready."),
        ({"first_message": "Hi.", "phrases": {"introduction": "The bakery, about bread."}}, "The bakery, about bread."),
        ({"business_name": "De Bakker", "stt_config": {"provider": "deepgram", "language": "nl"}}, "U spreekt met De"),
    ],
)
def test_a_screening_service_is_told_who_calls_and_why(fields: dict[str, Any], introduction: str) -> None:
    plan = plan_for(parsed(voicemail_detection=True, **fields), direction="outbound")
    assert plan.voicemail is not None
    assert plan.voicemail.introduction.startswith(introduction)
