"""Usage is counted under who served, and priced by what the administrator wrote down."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.calls.prices import Price, Prices
from sovereign_pbx.calls.usage import Tokens, cost, served_by, talk_usage, totals, whole_usage


def tokens(*told: tuple[str, dict[str, Any]]) -> Tokens:
    made = Tokens()
    for model, usage in told:
        made.add(model, usage)
    return made


def usage(**changes: Any) -> dict[str, Any]:
    talk = talk_usage(
        seconds=120.04,
        heard_s={"deepgram/nova-3": 90.0, "whisper": 30.0},
        tokens=tokens(("openai/gpt-5.4", {"input_tokens": 1000, "cached_tokens": 400, "output_tokens": 50})),
        characters={"elevenlabs/eleven_flash_v2_5": 500},
    )
    summary = tokens(("openai/gpt-5.4-mini", {"input_tokens": 200, "output_tokens": 20}))
    return {**whole_usage(talk, summary, Tokens(), None), **changes}


def test_replies_add_up_under_the_model_that_gave_them() -> None:
    made = tokens(
        ("openai/gpt-5.4", {"input_tokens": 10, "output_tokens": 2}),
        ("openai/gpt-5.4", {"input_tokens": 20, "output_tokens": 3, "cached_tokens": 8}),
        ("local/qwen", {}),
    )
    first, second = made.rows()
    assert first == {
        "provider": "openai",
        "model": "gpt-5.4",
        "replies": 2,
        "untold": 0,
        "input_tokens": 30,
        "cached_tokens": 8,
        "output_tokens": 5,
    }
    assert (second["provider"], second["model"], second["untold"]) == ("local", "qwen", 1)


@given(
    st.dictionaries(
        st.sampled_from(("input_tokens", "output_tokens", "cached_tokens", "x")),
        st.integers() | st.text() | st.booleans(),
    )
)
def test_whatever_a_vendor_says_counts_stay_counts(told: dict[str, Any]) -> None:
    (row,) = tokens(("a/b", told)).rows()
    assert all(
        isinstance(row[name], int) and row[name] >= 0 for name in ("input_tokens", "cached_tokens", "output_tokens")
    )


def test_summary_and_analysis_are_counted_apart_and_summed_with_the_rest() -> None:
    found = usage()
    assert [row["model"] for row in found["summary"]] == ["gpt-5.4-mini"]
    assert found["analysis"] == []
    assert found["totals"] == {
        "input_tokens": 1200,
        "cached_tokens": 400,
        "output_tokens": 70,
        "characters": 500,
        "stt_seconds": 120.0,
    }
    assert found["seconds"] == 120.0


PRICES = Prices(
    per_minute=0.01,
    providers={
        "deepgram": Price(per_minute=0.006),
        "openai": Price(input_per_million_tokens=2.0, cached_per_million_tokens=0.5, output_per_million_tokens=10.0),
        "openai/gpt-5.4-mini": Price(input_per_million_tokens=1.0),
        "elevenlabs": Price(per_thousand_characters=0.1),
    },
)


def test_a_call_costs_what_was_written_down() -> None:
    found = cost(usage(), PRICES)
    assert found["parts"] == {
        "line": 0.02,
        "stt": 0.009,
        "llm": pytest.approx((600 * 2.0 + 400 * 0.5 + 50 * 10.0) / 1e6),
        "tts": 0.05,
        "summary": 0.0002,
        "analysis": 0.0,
    }
    assert found["total"] == pytest.approx(sum(found["parts"].values()))
    assert found["currency"] == "EUR"


def test_who_has_no_price_is_named_and_what_runs_here_needs_none() -> None:
    found = cost(usage(), Prices(per_minute=1.0))
    assert found["unpriced"] == [
        "deepgram/nova-3",
        "elevenlabs/eleven_flash_v2_5",
        "openai/gpt-5.4",
        "openai/gpt-5.4-mini",
    ]
    assert found["total"] == 2.0


def test_cached_tokens_without_a_price_cost_what_others_do() -> None:
    found = cost(usage(), Prices(providers={"openai": Price(input_per_million_tokens=2.0)}))
    assert found["parts"]["llm"] == pytest.approx(1000 * 2.0 / 1e6)


def test_without_prices_there_is_no_cost() -> None:
    assert "cost" not in whole_usage({}, Tokens(), Tokens(), Prices())
    assert "cost" in whole_usage({"seconds": 60}, Tokens(), Tokens(), PRICES)


def test_a_call_that_used_nothing_costs_nothing() -> None:
    assert totals({})["input_tokens"] == 0
    assert cost({}, PRICES)["total"] == 0


def test_who_serves_is_asked_of_who_knows() -> None:
    class Several:
        served_by = "whisper"

    assert served_by(Several()) == "whisper"
    assert served_by(object()) == "unknown"
