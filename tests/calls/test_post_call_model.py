"""Which model works after the call."""

from typing import Any

import pytest

from sovereign_pbx.calls.post_call_model import post_call_block

NOBODY = {"provider": "", "model": ""}
OWN_SERVER = {"openai": {"base_url": "http://127.0.0.1:8000/v1"}}


def chosen(llm: dict[str, Any], section: dict[str, str] = NOBODY, accounts: Any = None) -> tuple[Any, Any]:
    block = post_call_block(llm, section, accounts or {}, 20.0)
    assert block is not None
    return block["provider"], block.get("model")


@pytest.mark.parametrize("model", [{}, {"model": "gpt-5.4"}])
def test_openai_itself_is_asked_for_its_smaller_model(model: dict[str, str]) -> None:
    assert chosen({"provider": "openai", **model}) == ("openai", "gpt-5.4-mini")
    given = {"openai": {"base_url": "https://api.openai.com/v1"}}
    assert chosen({"provider": "openai", **model}, accounts=given) == ("openai", "gpt-5.4-mini")


def test_another_model_and_another_server_keep_theirs() -> None:
    assert chosen({"provider": "openai", "model": "gpt-5.6"}) == ("openai", "gpt-5.6")
    assert chosen({"provider": "openai", "model": "gpt-5.4"}, accounts=OWN_SERVER) == ("openai", "gpt-5.4")
    hostile = {"openai": {"base_url": "https://api.openai.com.example.com/v1"}}
    assert chosen({"provider": "openai", "model": "gpt-5.4"}, accounts=hostile) == ("openai", "gpt-5.4")
    assert chosen({"provider": "mistral", "model": "mistral-medium-latest"}) == ("mistral", "mistral-medium-latest")


def test_the_administrators_choice_wins_over_the_assistants_model() -> None:
    assert chosen({"provider": "openai"}, {"provider": "ollama", "model": "qwen3"}) == ("ollama", "qwen3")
    assert chosen({"provider": "mistral"}, {"provider": "", "model": "small"}) == ("mistral", "small")


def test_the_assistants_own_post_call_model_wins_over_everything() -> None:
    section = {"provider": "ollama", "model": "qwen3"}
    assert chosen({"provider": "openai", "post_call_model": "gpt-5.4-nano"}, section) == ("openai", "gpt-5.4-nano")
    other = {"provider": "xai", "model": "grok-4.3"}
    assert chosen({"provider": "openai", "post_call_model": other}, section) == ("xai", "grok-4.3")


def test_what_is_made_for_live_replies_is_left_behind() -> None:
    live = {
        "provider": "openai",
        "model": "m",
        "messages": [{"role": "system", "content": "S"}],
        "tools": [{"name": "t"}],
        "max_completion_tokens": 40,
        "temperature": 1.5,
        "first_s": 1.0,
        "reasoning_effort": "none",
    }
    block = post_call_block(live, NOBODY, {}, 20.0)
    assert block == {
        "provider": "openai",
        "model": "m",
        "reasoning_effort": "none",
        "temperature": 0.2,
        "max_completion_tokens": 4000,
        "first_s": 20.0,
        "gap_s": 20.0,
        "priority": "low",
    }


def test_spares_stay_and_are_asked_when_half_of_the_time_is_gone() -> None:
    spares = ({"provider": "mistral"}, {"provider": "receptionist"})
    block = post_call_block({"provider": "openai", "fallbacks": spares, "switch_after_s": 1.0}, NOBODY, {}, 20.0)
    assert block is not None
    assert [one["provider"] for one in block["fallbacks"]] == ["mistral"]
    assert block["switch_after_s"] == 10.0


def test_who_only_answers_from_facts_is_not_asked_to_sum_up() -> None:
    assert post_call_block({"provider": "receptionist"}, NOBODY, {}, 20.0) is None
    block = post_call_block({"provider": "local", "fallbacks": ({"provider": "receptionist"},)}, NOBODY, {}, 20.0)
    assert block is not None
    assert "fallbacks" not in block
