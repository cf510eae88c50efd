"""Doctor on an installation whose assistant is a realtime model."""

from pathlib import Path

import pytest

from sovereign_pbx.testing.providers.realtime import RealtimeDialect
from tests.calls.house import play
from tests.calls.realtime_house import DIALECTS, PROVIDERS, live_assistant, live_house
from tests.commands.clinic import examined


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_realtime_model_is_asked_for_a_word_and_nobody_else_is_asked(
    tmp_path: Path, dialect: RealtimeDialect
) -> None:
    async def scene() -> None:
        assistant = live_assistant(dialect, llm={"model": "speaking"})
        async with live_house(tmp_path, dialect, assistant) as place:
            found = await examined(tmp_path / "config.toml")
            name = f"llm {PROVIDERS[dialect]} speaking"
            assert found.of(name) == "ok", found.says(name)
            assert found.checks[name]["facts"]["first_ms"] > 0
            assert not [each for each in found.checks if each.startswith(("stt ", "tts "))]
            assert place.session.errors == []

    play(scene())


def test_a_key_that_is_turned_down_is_looked_for_in_the_vendors_own_table(tmp_path: Path) -> None:
    async def scene() -> None:
        assistant = live_assistant(llm={"model": "speaking"})
        async with live_house(tmp_path, "openai", assistant) as place:
            place.vendor.faults.arm("deny")
            found = await examined(tmp_path / "config.toml")
            assert "api_key in [providers.openai]" in found.says("llm openai_live speaking")

    play(scene())
