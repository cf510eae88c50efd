"""Reading settings out of an assistant's block."""

from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech.settings import Settings


@pytest.mark.parametrize(
    ("method", "arguments", "value"),
    [
        ("text", ("x",), 5),
        ("number", (None, 0, 1), 1.5),
        ("number", (None, 0, 1), True),
        ("number", (None, 0, 1), float("nan")),
        ("whole", (None, 0, 10), 2.5),
        ("flag", (None,), "true"),
        ("choice", ("a", ("a", "b")), "c"),
        ("texts", (), "one"),
        ("texts", (), [1]),
        ("required", ("remedy",), None),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_key_and_not_the_value(
    method: str, arguments: tuple[Any, ...], value: Any
) -> None:
    with pytest.raises(ConfigError, match="stt_config: speed ") as caught:
        getattr(Settings({"speed": value}, "stt_config"), method)("speed", *arguments)
    assert caught.value.key == "speed"


def test_absent_null_and_empty_mean_the_default() -> None:
    settings = Settings({"null": None, "empty": ""}, "stt_config")
    assert settings.text("null", "d") == settings.text("empty", "d") == settings.text("absent", "d") == "d"
    assert settings.number("null", 0.5, 0, 1) == 0.5
    assert settings.flag("null", True) is True
    assert settings.texts("null") == ()
    assert settings.seconds("null", 2.0) == 2.0
    assert settings.whole("ten", 10, 0, 20) == 10
