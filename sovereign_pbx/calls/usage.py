"""What a call used, counted under who really served it, and what that costs.

A call keeps its usage in `statistics["usage"]`; docs/after-the-call.md shows one. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sovereign_pbx.calls.prices import Price, Prices

_TOKENS: Final = ("input_tokens", "cached_tokens", "output_tokens")
_AUDIO: Final = ("audio_input_tokens", "audio_output_tokens")
"""Of realtime models, among their other tokens; left out where a vendor does not tell them apart."""


@dataclass(slots=True)
class Tokens:
    """Tokens by the model that answered. `untold`: answers cut short or without figures, whatever they cost."""

    _by_model: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, model: str, told: Mapping[str, Any]) -> None:
        """One answer. `told` is what its vendor says of it; vendors may say anything."""
        counts = self._by_model.setdefault(model, {"replies": 0, "untold": 0, **dict.fromkeys(_TOKENS, 0)})
        counts["replies"] += 1
        known = {name: told[name] for name in _TOKENS if is_count(told.get(name))}
        counts["untold"] += not known
        for name, value in known.items():
            counts[name] += value
        for name in _AUDIO:
            if is_count(told.get(name)):
                counts[name] = counts.get(name, 0) + told[name]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each model: provider, model, replies, untold, tokens."""
        return [{**_named(model), **counts} for model, counts in self._by_model.items()]


def is_count(value: Any) -> bool:
    """Whether a vendor's figure can be one."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _named(name: str) -> dict[str, Any]:
    provider, _, model = name.partition("/")
    return {"provider": provider, "model": model or None}


def served_by(stream: object) -> str:
    """The name of who serves a stream or a session at the moment: where several could, it knows."""
    return str(getattr(stream, "served_by", "unknown"))


def talk_usage(
    *,
    seconds: float,
    heard_s: Mapping[str, float],
    tokens: Tokens | None,
    characters: Mapping[str, int],
    speculation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The usage of the conversation itself: seconds of audio and characters by who served them, and apart from that
    what was spent on answers that were begun too early (`Speculated.usage`)."""
    return {
        "seconds": round(seconds, 1),
        "stt": [{**_named(name), "seconds": round(amount, 1)} for name, amount in heard_s.items()],
        "llm": tokens.rows() if tokens is not None else [],
        "tts": named_rows(characters, "characters"),
        **({"speculation": dict(speculation)} if speculation else {}),
    }


def live_usage(
    *, seconds: float, heard_s: Mapping[str, float], tokens: Tokens, characters: Mapping[str, int]
) -> dict[str, Any]:
    """The usage of a conversation with a realtime model: what it heard stands with its tokens."""
    usage = talk_usage(seconds=seconds, heard_s={}, tokens=tokens, characters=characters)
    known = {(row["provider"], row["model"]): row for row in usage["llm"]}
    for name, amount in heard_s.items():
        named = _named(name)
        row = known.get((named["provider"], named["model"]))
        if row is None:
            row = {**named, "replies": 0, "untold": 0, **dict.fromkeys(_TOKENS, 0)}
            usage["llm"].append(row)
        row["seconds"] = round(amount, 1)
    return usage


def named_rows(amounts: Mapping[str, int], unit: str) -> list[dict[str, Any]]:
    """A row for each who served: provider, model, and the amount under the name of its unit."""
    return [{**_named(name), unit: amount} for name, amount in amounts.items()]


def whole_usage(talk: Mapping[str, Any], summary: Tokens, analysis: Tokens, prices: Prices | None) -> dict[str, Any]:
    """With what came after the call, the totals, and the cost by the prices of today."""
    usage = {**talk, "summary": summary.rows(), "analysis": analysis.rows()}
    usage["totals"] = totals(usage)
    if prices is not None and prices.any:
        usage["cost"] = cost(usage, prices)
    return usage


def totals(usage: Mapping[str, Any]) -> dict[str, Any]:
    """All tokens, characters and seconds of recognition together, whoever served them and whether they were needed."""
    vain = usage.get("speculation", {})
    asked = [row for part in ("llm", "summary", "analysis") for row in usage.get(part, ())] + vain.get("llm", [])
    sums: dict[str, Any] = {name: sum(row.get(name, 0) for row in asked) for name in _TOKENS}
    sums["characters"] = sum(row["characters"] for row in (*usage.get("tts", ()), *vain.get("tts", ())))
    sums["stt_seconds"] = round(sum(row["seconds"] for row in usage.get("stt", ())), 1)
    return sums


def cost(usage: Mapping[str, Any], prices: Prices) -> dict[str, Any]:
    """`{"currency", "total", "parts", "unpriced"}`, rounded to a millionth; `parts` by line, stt, llm, tts, summary,
    analysis and speculation, `unpriced` the providers that served and have no price."""
    parts = {"line": usage.get("seconds", 0) / 60 * prices.per_minute}
    unpriced: set[str] = set()
    for part in ("stt", "llm", "tts", "summary", "analysis"):
        parts[part] = _sum(usage.get(part, ()), prices, unpriced)
    if vain := usage.get("speculation"):
        parts["speculation"] = _sum((*vain["llm"], *vain["tts"]), prices, unpriced)
    return {
        "currency": prices.currency,
        "total": round(sum(parts.values()), 6),
        "parts": {name: round(value, 6) for name, value in parts.items()},
        "unpriced": sorted(unpriced),
    }


def _sum(rows: Iterable[Mapping[str, Any]], prices: Prices, unpriced: set[str]) -> float:
    total = 0.0
    for row in rows:
        price = prices.of(row["provider"], row.get("model"))
        if price is None:
            unpriced.add("/".join(part for part in (row["provider"], row.get("model")) if part))
        else:
            total += _amount(row, price)
    return total


def _amount(row: Mapping[str, Any], price: Price) -> float:
    """Cached tokens are among the input tokens (as OpenAI counts them)."""
    cached = min(row.get("cached_tokens", 0), row.get("input_tokens", 0))
    fresh = row.get("input_tokens", 0) - cached
    cached_price = (
        price.input_per_million_tokens if price.cached_per_million_tokens is None else (price.cached_per_million_tokens)
    )
    heard = min(row.get("audio_input_tokens", 0), fresh)
    spoken = min(row.get("audio_output_tokens", 0), row.get("output_tokens", 0))
    tokens = (fresh - heard) * price.input_per_million_tokens + cached * cached_price
    tokens += heard * _audio(price.audio_input_per_million_tokens, price.input_per_million_tokens)
    tokens += (row.get("output_tokens", 0) - spoken) * price.output_per_million_tokens
    tokens += spoken * _audio(price.audio_output_per_million_tokens, price.output_per_million_tokens)
    minutes = row.get("seconds", 0) / 60 * price.per_minute
    return float(tokens / 1e6 + minutes + row.get("characters", 0) / 1e3 * price.per_thousand_characters)


def _audio(price: float | None, of_text: float) -> float:
    return of_text if price is None else price
