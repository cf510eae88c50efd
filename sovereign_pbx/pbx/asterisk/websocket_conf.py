"""What Asterisk's websocket_client.conf says for the daemon to be reached, as a proposal."""

import re
from typing import Final

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.asterisk.websocket import PATH, SUBPROTOCOL

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A semicolon begins a comment in Asterisk's files, and the user's name ends at the first colon (RFC 7617).
_USERNAME: Final = re.compile(r"[!-9<-~]*")
_PASSWORD: Final = re.compile(r"[!-:<-~]*")


def client_section(*, connection: str, address: str, username: str = "", password: str = "") -> str:
    """The section for a daemon whose WebSockets listen at `address`, host:port as Asterisk reaches it.

    One attempt: a daemon that is down is up again later than any caller waits, and Asterisk up to 22.10 keeps an inner
    lock whenever a row of attempts fails (its issue 2121).

    Raises:
        ConfigError: a value that does not belong into such a file; names the key.
    """
    for key, value, allowed in (
        ("connection", connection, _NAME),
        ("address", address, _ADDRESS),
        ("username", username, _USERNAME),
        ("password", password, _PASSWORD),
    ):
        if not allowed.fullmatch(value):
            shown = "its value" if key == "password" else repr(value[:80])
            raise ConfigError(f"{shown} does not belong into websocket_client.conf", key=f"asterisk.websocket.{key}")
    lines = [
        f"[{connection}]",
        "type = websocket_client",
        "connection_type = per_call_config",
        f"uri = ws://{address}{PATH}",
        f"protocols = {SUBPROTOCOL}",
        *([f"username = {username}", f"password = {password}"] if username or password else []),
        "connection_timeout = 1000",
        "reconnect_attempts = 1",
        "reconnect_interval = 100",
    ]
    return "\n".join(lines) + "\n"
