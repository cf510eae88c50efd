"""What a model is asked about a call: by the plan, by a template, or by questions of our own."""

from typing import Any

import pytest

from sovereign_pbx.calls.analysis_plan import AnalysisPlan, NoPlan, Subject, plan_of
from sovereign_pbx.core.values import Message

SCHEMA = {"type": "object", "properties": {"sentiment": {"type": "integer"}}}
SAID = [Message("assistant", "Hello."), Message("user", "I want {{schema}} and {summary}.")]
SUBJECT = Subject(messages=SAID, summary="He wants things.", end_reason="user_hangup", duration_s=84, caller="+316")


def plan(data: dict[str, Any], template: Any = None, **more: Any) -> AnalysisPlan:
    found = plan_of({"structured_data_plan": {"enabled": True, **data}, **more}, template)
    assert found is not None
    return found


def asked(found: AnalysisPlan) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in found.asks(SUBJECT)]


def test_nothing_is_asked_where_nothing_is_wanted() -> None:
    assert plan_of(None, None) is None
    assert plan_of({"structured_data_plan": {"enabled": False, "schema": SCHEMA}}, None) is None


def test_the_plans_own_questions_are_asked_with_everything_filled_in() -> None:
    messages = [
        {"role": "system", "content": "Fill in {{schema}}"},
        {"role": "user", "content": "{{transcript}} / {{ended_reason}}"},
    ]
    system, user = asked(plan({"schema": SCHEMA, "messages": messages}))
    assert system == ("system", 'Fill in {"type":"object","properties":{"sentiment":{"type":"integer"}}}')
    said = "Assistant: Hello.\nCaller: I want {{schema}} and {summary}."
    assert user == ("user", f"{said} / user_hangup")


def test_without_questions_there_are_sensible_ones() -> None:
    system, user = asked(plan({"schema": SCHEMA}))
    assert system[0] == "system"
    assert '"sentiment"' in system[1]
    assert "user_hangup" in user[1]
    assert "Caller: I want {{schema}} and {summary}." in user[1]


def test_a_plan_that_forgets_schema_and_transcript_gets_both() -> None:
    system, user = asked(plan({"schema": SCHEMA, "messages": [{"role": "system", "content": "Judge the call."}]}))
    assert system[1].startswith("Judge the call.")
    assert '"sentiment"' in system[1]
    assert "Assistant: Hello." in user[1]


def test_somebody_has_the_last_word_who_is_not_the_model() -> None:
    messages = [{"role": "system", "content": "{{schema}} {{transcript}}"}]
    assert [role for role, _ in asked(plan({"schema": SCHEMA, "messages": messages}))] == ["system", "user"]


def test_a_template_is_found_by_its_id_and_has_single_braces() -> None:
    template = {
        "system_prompt": "You judge calls of {duration} s.",
        "user_prompt": "{caller_number}: {summary}\n{transcript}",
        "schema": SCHEMA,
        "min_messages_threshold": 5,
    }
    found = plan({"template_id": "t1"}, {"t1": template}.get)
    system, user = asked(found)
    assert system[1].startswith("You judge calls of 84 s.")
    assert '"sentiment"' in system[1]
    assert user[1].startswith("+316: He wants things.\nAssistant: Hello.\nCaller: I want {{schema}} and {summary}.")
    assert found.threshold == 5


def test_a_template_of_the_older_shape_has_messages() -> None:
    template = {"schema": SCHEMA, "messages": [{"role": "user", "content": "{{schema}} {{transcript}} {summary}"}]}
    (only,) = asked(plan({"template_id": "t1"}, {"t1": template}.get))
    assert only[1].endswith("{summary}. {summary}")


def test_the_plan_wins_over_its_template() -> None:
    template = {"schema": {}, "system_prompt": "S", "user_prompt": "U", "min_messages_threshold": 9}
    messages = [{"role": "user", "content": "Mine. {{transcript}} {{schema}}"}]
    data = {"template_id": "t1", "schema": SCHEMA, "messages": messages}
    found = plan(data, {"t1": template}.get, min_messages_threshold=0)
    assert asked(found)[0][1].startswith("Mine.")
    assert found.threshold == 0


@pytest.mark.parametrize("template", [None, {}.get, lambda name: {"schema": {}}])
def test_a_template_that_is_not_there_is_said(template: Any) -> None:
    with pytest.raises(NoPlan, match="there is no"):
        plan({"template_id": "t1"}, template)


def test_an_empty_schema_asks_for_whatever_the_messages_ask_and_alone_for_nothing() -> None:
    messages = [{"role": "user", "content": "Name three colours."}]
    assert plan({"schema": {}, "messages": messages}).schema == {}
    assert plan_of({"structured_data_plan": {"enabled": True, "schema": {}, "messages": []}}, None) is None


def test_two_messages_are_asked_for_where_nobody_says_otherwise() -> None:
    assert plan({"schema": SCHEMA}).threshold == 2


def test_a_plan_that_names_the_transcript_without_end_is_refused_in_time() -> None:
    hostile = plan({"schema": SCHEMA, "messages": [{"role": "user", "content": "{{transcript}}" * 70_000}]})
    said = [Message("user", "x" * 20_000)]
    with pytest.raises(NoPlan, match="longer than"):
        hostile.asks(Subject(messages=said, summary="", end_reason="user_hangup"))
