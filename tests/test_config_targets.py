"""Private addresses: what `check` says of them."""

from pathlib import Path

import pytest

from sovereign_pbx.config import examine


def warnings(tmp_path: Path, text: str) -> list[str]:
    """Those about private addresses; each begins with the place it is about."""
    file = tmp_path / "config.toml"
    file.write_text(text)
    found = examine(file).findings
    return [one.message for one in found if "allow_private" in f"{one.message} {one.remedy}"]


PRIVATE = """
[webhook]
url = "http://{}/hook"
secret = "s"
allow_private = false
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]:8080", "10.0.0.1", "192.168.1.5:8000"])
def test_an_address_that_will_be_refused_is_named(tmp_path: Path, host: str) -> None:
    (found,) = warnings(tmp_path, PRIVATE.format(host))
    assert found.startswith("webhook.url: is on a private address")


@pytest.mark.parametrize("host", ["example.com", "1.1.1.1", "[2606:4700::1111]"])
def test_one_that_will_not_is_not(tmp_path: Path, host: str) -> None:
    assert warnings(tmp_path, PRIVATE.format(host)) == []


def test_assistants_and_their_tools_are_looked_at_too(tmp_path: Path) -> None:
    text = """
[webhook]
allow_private = false
[assistants.a]
webhook_url = "http://10.0.0.1/"
llm_config.tools = [{ name = "t", description = "d", url = "http://10.0.0.2/" }]
"""
    assert [found.partition(":")[0] for found in warnings(tmp_path, text)] == [
        "assistants.a.webhook_url",
        "assistants.a.llm_config.tools",
    ]


ELSEWHERE = '[webhook]\nurl = "https://example.com/"\nsecret = "s"\n'


def test_that_others_may_choose_addresses_of_ones_own_network_is_said_once(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, ELSEWHERE)
    assert found.startswith("webhook: whoever answers assistant-request")


@pytest.mark.parametrize(
    "more", ["allow_private = true\n", "allow_private = false\n", 'events = ["end-of-call-report"]\n']
)
def test_it_is_not_said_to_whoever_has_decided(tmp_path: Path, more: str) -> None:
    assert warnings(tmp_path, ELSEWHERE + more) == []


def test_a_webhook_on_ones_own_network_is_nobody_else(tmp_path: Path) -> None:
    assert warnings(tmp_path, ELSEWHERE.replace("https://example.com/", "http://127.0.0.1:8000/")) == []
