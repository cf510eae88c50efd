"""Reading one provider's settings out of an assistant's block, with errors an administrator can act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sovereign_pbx.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """A `stt_config`, `llm_config`, `tts_config` or `[providers.NAME]` table and the name it goes by in messages."""

    values: Mapping[str, Any]
    where: str

    def text(self, key: str, default: str = "") -> str:
        """A string; absent, null and empty all mean `default`."""
        value = self.values.get(key)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            raise self.wrong(key, "must be text")
        return value

    def required(self, key: str, remedy: str) -> str:
        """A string that has to be there."""
        value = self.text(key)
        if not value:
            raise ConfigError(f"{self.where}: {key} is missing", key=key, remedy=remedy)
        return value

    def number(self, key: str, default: float | None, low: float, high: float) -> float | None:
        """A number from `low` to `high`."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(key, f"must be a number from {low:g} to {high:g}")
        return float(value)

    def seconds(self, key: str, default: float, low: float = 0.05, high: float = 60.0) -> float:
        """A deadline."""
        value = self.number(key, default, low, high)
        return default if value is None else value

    def whole(self, key: str, default: int | None, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`."""
        value = self.number(key, default, low, high)
        if value is None:
            return None
        if value != int(value):
            raise self.wrong(key, "must be a whole number")
        return int(value)

    def flag(self, key: str, default: bool | None) -> bool | None:
        """true or false."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def choice(self, key: str, default: str, options: Sequence[str]) -> str:
        """One of `options`."""
        value = self.text(key, default)
        if value not in options:
            raise self.wrong(key, f"must be one of {', '.join(options)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "must be a list of texts")
        return tuple(value)

    def wrong(self, key: str, message: str) -> ConfigError:
        """The error for a bad value; the value itself is left out, it might be a secret in the wrong place."""
        return ConfigError(f"{self.where}: {key} {message}", key=key)
