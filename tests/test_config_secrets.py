"""References are replaced where the administrator wrote them, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.config import ROOT
from sovereign_pbx.config_secrets import Expander, References
from sovereign_pbx.core.errors import ConfigError


@pytest.fixture
def references(tmp_path: Path) -> References:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/x.txt").write_text("Be kind.\nAlways.\n")
    (tmp_path / "ami").write_text("from-systemd\n")
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(b"x" * (1 << 20) + b"y")
    return References(tmp_path, {"KEY": "from-env", "EMPTY": "", "CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${env:KEY}", "from-env"),
        ("Bearer ${env:KEY}!", "Bearer from-env!"),
        ("${file:prompts/x.txt}", "Be kind.\nAlways."),
        ("${credential:ami}", "from-systemd"),
        ("$${env:KEY}", "${env:KEY}"),
        ("costs $5 {x} ${other:y}", "costs $5 {x} ${other:y}"),
    ],
)
def test_a_reference_is_replaced(references: References, text: str, expanded: str) -> None:
    assert references.expand(text) == expanded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${env:NOPE}", "NOPE is not set"),
        ("${env:EMPTY}", "EMPTY is empty"),
        ("${file:nope.txt}", "can't be read: No such file"),
        ("${file:prompts}", "can't be read: Is a directory"),
        ("${file:}", "can't be read: Is a directory"),
        ("${file:a\x00b}", "can't be read"),
        ("${file:latin}", "not UTF-8"),
        ("${file:huge}", "larger than 1 MiB"),
        ("${credential:nope}", "credential nope can't be read"),
        ("${credential:../ami}", "is not a name"),
    ],
)
def test_a_reference_that_leads_nowhere_says_so(references: References, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        references.expand(text)


def test_a_credential_without_systemd_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not started by systemd") as caught:
        References(tmp_path, {}).expand("${credential:ami}")
    assert "LoadCredential=ami" in caught.value.remedy


def expanded(references: References, data: dict[str, Any]) -> tuple[Any, Expander, Report]:
    report = Report(strict=True)
    expander = Expander(references, report)
    return expander.expand(ROOT, data), expander, report


def test_texts_of_every_section_may_refer_but_user_data_is_left_alone(references: References) -> None:
    reference = "${env:KEY}"
    data = {
        "asterisk": {"ami": {"secret": reference, "port": 5038}},
        "providers": {"x": {"api_key": reference, "headers": {"a": [reference]}}},
        "assistants": {
            "front": {
                "firstMessage": reference,
                "metadata": {"a": reference},
                "llm_config": {"tools": [{"parameters": {"a": reference}, "server": {"secret": reference}}]},
                "stt_config": {"vendor": reference},
                "unknown": reference,
            }
        },
        "numbers": [{"name": reference}],
    }
    found, expander, report = expanded(references, data)
    front = found["assistants"]["front"]
    assert found["asterisk"]["ami"] == {"secret": "from-env", "port": 5038}
    assert found["providers"]["x"] == {"api_key": "from-env", "headers": {"a": ["from-env"]}}
    assert found["numbers"] == [{"name": "from-env"}]
    assert front["firstMessage"] == "from-env"
    assert front["stt_config"] == {"vendor": "from-env"}
    assert front["metadata"] == {"a": reference}
    assert front["unknown"] == reference
    assert front["llm_config"]["tools"] == [{"parameters": {"a": reference}, "server": {"secret": "from-env"}}]
    assert not report.problems and not expander.plain
    assert expander.redactor.redact("it is from-env") == "it is ***"


def test_a_secret_in_the_file_itself_is_noticed(references: References) -> None:
    _, expander, _ = expanded(
        references, {"webhook": {"secret": "hunter22"}, "providers": {"x": {"api_token": "t0ken-t0"}}}
    )
    assert expander.plain == [("webhook", "secret"), ("providers", "x", "api_token")]
    assert expander.redactor.redact("hunter22 t0ken-t0") == "*** ***"


@pytest.mark.parametrize("text", ["${KEY}", "${ENV:KEY}", "${secret:KEY}"])
def test_a_secret_that_only_looks_like_a_reference_is_an_error(references: References, text: str) -> None:
    _, _, report = expanded(references, {"webhook": {"secret": text}})
    assert report.errors[0].remedy == "write ${env:KEY}"


def test_a_broken_reference_is_one_error_not_two(references: References) -> None:
    broken = "${env:NOPE}"
    message = {"role": "system", "content": broken}
    data = {"assistants": {"front": {"webhook_url": broken, "llm_config": {"messages": [message]}}}}
    found, _, report = expanded(references, data)
    ROOT.check(found, (), report)
    assert [str(problem.path[-1]) for problem in report.errors] == ["webhook_url", "content"]
