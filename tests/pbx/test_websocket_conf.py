"""What websocket_client.conf is told."""

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.asterisk.websocket_conf import client_section


def test_the_section_names_address_subprotocol_and_credentials() -> None:
    text = client_section(connection="sovereign", address="[::1]:9093", username="asterisk", password="a:b")
    assert text.startswith("[sovereign]\ntype = websocket_client\n")
    for line in (
        "uri = ws://[::1]:9093/media",
        "protocols = media",
        "username = asterisk",
        "password = a:b",
        "connection_type = per_call_config",
    ):
        assert line in text.splitlines()


def test_without_a_password_none_is_told() -> None:
    assert "password" not in client_section(connection="sovereign", address="127.0.0.1:9093")


@pytest.mark.parametrize(
    "wrong",
    [
        {"connection": "a]b"},
        {"address": "localhost"},
        {"address": "a:1\nuri=x"},
        {"username": "a:b"},
        {"password": "a;b"},
        {"password": "a\nb"},
    ],
)
def test_what_would_end_its_line_is_refused_without_being_quoted_where_it_is_secret(wrong: dict[str, str]) -> None:
    ((key, value),) = wrong.items()
    with pytest.raises(ConfigError) as caught:
        client_section(**{"connection": "sovereign", "address": "127.0.0.1:9093", **wrong})
    assert caught.value.key == f"asterisk.websocket.{key}"
    assert key != "password" or value not in str(caught.value)
