"""`[limits]`, and limits of numbers and trunks: what is doubtful about them is said."""

from pathlib import Path

import pytest

from sovereign_pbx.config import load

BASE = '[assistants.anna]\nname = "Anna"\n'


def findings(folder: Path, text: str) -> str:
    file = folder / "config.toml"
    file.write_text(BASE + text)
    file.chmod(0o600)
    return "\n".join(str(finding) for finding in load(file).warnings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nmax_calls = 600\n", "is more than [asterisk] max_connections (512)"),
        ("[limits]\nmax_calls = 10\nmax_calls_per_number = 11\n", "is more than [limits] max_calls (10)"),
        ('[limits]\nmax_calls = 10\n[limits.per_provider]\n"openai" = 11\n', "is more than [limits] max_calls (10)"),
        ('[[numbers]]\nnumber = "1"\nassistant = "anna"\nmax_calls = 101\n', "is more than [limits] max_calls (100)"),
        ("[trunks.carrier]\nmax_calls = 101\n", "is more than [limits] max_calls (100)"),
        ('[limits]\nover_limit = "message"\nmax_messages = 0\n', "nobody hears over_limit_message"),
        (
            '[limits]\nmax_messages = 0\n[[numbers]]\nnumber = "1"\nassistant = "anna"\nover_limit = "message"\n',
            "nobody hears over_limit_message",
        ),
        ("[limits.per_provider]\nopenia = 4\n", 'there is no provider "openia"'),
        ('[limits.per_provider]\n"11labs" = 4\n', 'is another name of "elevenlabs"'),
    ],
)
def test_a_limit_that_does_not_do_what_was_meant_is_warned_of(tmp_path: Path, text: str, said: str) -> None:
    assert said in findings(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[limits]\nmax_calls = 10\nmax_calls_per_number = 10\n",
        "[limits]\nmax_messages = 0\n",
        '[limits.per_provider]\n"openai/gpt-5.4" = 4\nwhisper = 2\nours = 3\n[providers.ours]\nbase_url = "http://a/"\n',
    ],
)
def test_sound_limits_are_not_mentioned(tmp_path: Path, text: str) -> None:
    assert "warning: limits" not in findings(tmp_path, text)


def test_limits_by_provider_and_model_are_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(BASE + '[limits]\nper_provider = { whisper = 2, "openai/gpt-5.4" = 50 }\n')
    file.chmod(0o600)
    assert load(file).limits.per_provider == {"whisper": 2, "openai/gpt-5.4": 50}
