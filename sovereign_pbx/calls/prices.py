"""`[prices]`: what the administrator pays, so that a call's usage can say what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.assistants.shape import Real, Text
from sovereign_pbx.assistants.table import MapOf, Record, setting

_AMOUNT: Final = Real(0, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one provider, or one model of it ("openai/gpt-5.4-mini"), asks for."""

    per_minute: float = setting(0.0, _AMOUNT, "Price of a minute of recognised audio.")
    per_thousand_characters: float = setting(0.0, _AMOUNT, "Price of a thousand spoken characters.")
    input_per_million_tokens: float = setting(0.0, _AMOUNT, "Price of a million tokens that the model reads.")
    cached_per_million_tokens: float | None = setting(
        None, _AMOUNT, "The same for tokens from the provider's cache; without it as any other.", example=0.25
    )
    output_per_million_tokens: float = setting(0.0, _AMOUNT, "Price of a million tokens that the model writes.")
    audio_input_per_million_tokens: float | None = setting(
        None, _AMOUNT, "Of a realtime model: the same for tokens that it hears; without it as any other.", example=32.0
    )
    audio_output_per_million_tokens: float | None = setting(
        None, _AMOUNT, "Of a realtime model: the same for tokens that it speaks; without it as any other.", example=64.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices, for the cost of each call in its usage; without any, usage has no cost."""

    currency: str = setting("EUR", Text(1, 8, pattern=r"[A-Za-z]{1,8}", what="a currency's letters"), "The currency.")
    per_minute: float = setting(0.0, _AMOUNT, "Price of a minute of conversation: the line, the machine.")
    providers: Mapping[str, Price] = setting(
        {},
        MapOf(Record(Price)),
        'Prices by provider, or by provider and model ("openai/gpt-5.4-mini"), which wins.',
        example={"openai": {"input_per_million_tokens": 1.25, "output_per_million_tokens": 10.0}},
    )

    @property
    def any(self) -> bool:
        """Is there any price at all?"""
        return bool(self.per_minute or self.providers)

    def of(self, provider: str, model: str | None) -> Price | None:
        """The price of who served; None when nobody wrote one down. What runs on this machine costs what the line
        costs, unless it has a price of its own."""
        own = self.providers.get(f"{provider}/{model}") or self.providers.get(provider)
        return own or (_FREE if provider in _HERE else None)


_FREE: Final = Price()
_HERE: Final = frozenset({"whisper", "local", "receptionist", "hibari", "pico", "espeak"})
