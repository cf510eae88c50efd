"""What a call with a realtime model used, and what that costs."""

from typing import Any

import pytest

from sovereign_pbx.calls.post_call_model import post_call_block
from sovereign_pbx.calls.prices import Price, Prices
from sovereign_pbx.calls.usage import Tokens, cost, live_usage, totals
from sovereign_pbx.commands.call_usage import usage_rows

MODEL = "openai_live/gpt-realtime-2.1"
TOLD = {
    "input_tokens": 1000,
    "cached_tokens": 200,
    "output_tokens": 500,
    "audio_input_tokens": 600,
    "audio_output_tokens": 400,
}


def used(seconds: float = 90.0) -> dict[str, Any]:
    tokens = Tokens()
    tokens.add(MODEL, TOLD)
    tokens.add(MODEL, {})
    return live_usage(seconds=120.0, heard_s={MODEL: seconds}, tokens=tokens, characters={})


def test_tokens_of_sound_and_seconds_stand_with_the_model() -> None:
    (row,) = used()["llm"]
    assert (row["provider"], row["model"], row["replies"], row["untold"]) == ("openai_live", "gpt-realtime-2.1", 2, 1)
    assert (row["audio_input_tokens"], row["audio_output_tokens"], row["seconds"]) == (600, 400, 90.0)
    assert totals(used())["input_tokens"] == 1000
    assert any("90.0 s heard" in amount for _, _, amount, _ in usage_rows(used()))


def test_a_model_that_never_answered_has_heard_all_the_same() -> None:
    usage = live_usage(seconds=5.0, heard_s={MODEL: 4.0}, tokens=Tokens(), characters={})
    (row,) = usage["llm"]
    assert (row["replies"], row["seconds"]) == (0, 4.0)


def test_sound_has_a_price_of_its_own_where_one_is_written_down() -> None:
    price = Price(
        input_per_million_tokens=4.0,
        cached_per_million_tokens=0.5,
        output_per_million_tokens=16.0,
        audio_input_per_million_tokens=32.0,
        audio_output_per_million_tokens=64.0,
    )
    whole = cost(used(), Prices(providers={"openai_live": price}))
    expected = (200 * 4 + 200 * 0.5 + 600 * 32 + 100 * 16 + 400 * 64) / 1e6
    assert whole["parts"]["llm"] == pytest.approx(expected)
    plain = cost(used(), Prices(providers={"openai_live": Price(input_per_million_tokens=10.0)}))
    assert plain["parts"]["llm"] == pytest.approx((800 * 10 + 200 * 10) / 1e6)


def test_what_is_billed_by_the_minute_is_priced_by_what_was_heard() -> None:
    prices = Prices(providers={"openai_live": Price(per_minute=0.05)})
    assert cost(used(), prices)["parts"]["llm"] == pytest.approx(0.075)


@pytest.mark.parametrize(("provider", "sums_up"), [("openai_realtime", "openai"), ("xai_realtime", "xai")])
def test_the_same_vendors_model_for_text_sums_up(provider: str, sums_up: str) -> None:
    block = {"provider": provider, "model": "speaking", "voice": "x", "fallbacks": [{"provider": "xai_realtime"}]}
    chosen = post_call_block(block, {}, {}, 10.0)
    assert chosen is not None
    assert chosen["provider"] == sums_up
    assert chosen.get("model") in (None, "gpt-5.4-mini")
    assert "fallbacks" not in chosen
    own = post_call_block({**block, "post_call_model": {"provider": "mistral"}}, {}, {}, 10.0)
    assert own is not None
    assert own["provider"] == "mistral"
