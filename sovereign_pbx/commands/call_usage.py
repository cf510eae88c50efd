"""What a call used and what that cost (`statistics["usage"]`), as rows for a person."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_PARTS: Final = ("stt", "llm", "tts", "summary", "analysis")


def usage_rows(usage: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(part, who served it, how much, cost of the part); the last one is the total where there are prices."""
    prices = usage.get("cost") or {}
    costs = prices.get("parts", {})
    if "seconds" in usage:
        yield "line", "", f"{usage['seconds']} s", _money(costs.get("line"))
    for part in _PARTS:
        for place, row in enumerate(usage.get(part, ())):
            yield part, _who(row), _amount(row), _money(costs.get(part)) if place == 0 else ""
    vain = usage.get("speculation") or {}
    for place, row in enumerate((*vain.get("llm", ()), *vain.get("tts", ()))):
        yield "in vain", _who(row), _amount(row), _money(costs.get("speculation")) if place == 0 else ""
    if prices:
        unpriced = ", ".join(prices.get("unpriced", ()))
        note = f"without a price: {unpriced}" if unpriced else ""
        yield "total", "", note, f"{_money(prices.get('total'))} {prices.get('currency', '')}"


def _who(row: Mapping[str, Any]) -> str:
    return "/".join(str(name) for name in (row.get("provider"), row.get("model")) if name)


def _amount(row: Mapping[str, Any]) -> str:
    if "replies" not in row:
        return f"{row['seconds']} s" if "seconds" in row else f"{row.get('characters', 0)} characters"
    said = [_counted(row["replies"], "reply", "replies")]
    if row.get("untold"):
        said.append(f"{row['untold']} without figures")
    cached = f" ({row['cached_tokens']} cached)" if row.get("cached_tokens") else ""
    said.append(f"{row.get('input_tokens', 0)} tokens in{cached}")
    said.append(f"{row.get('output_tokens', 0)} out")
    if "seconds" in row:  # of a realtime model, which hears by itself
        said.append(f"{row['seconds']} s heard")
    return ", ".join(said)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _money(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.6f}"
