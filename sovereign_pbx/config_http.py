"""Whether strangers could use the API: TLS and keys, where it listens beyond this machine."""

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sovereign_pbx.api.keys import Key, read_keys
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.core.errors import ConfigError

if TYPE_CHECKING:
    from sovereign_pbx.config import Config


def check_beyond(config: "Config", report: Report) -> None:
    """Warn of what an API that others can reach lacks."""
    if not config.http.tls_certificate:
        remedy = "set tls_certificate, or listen on 127.0.0.1 behind a proxy with TLS"
        report.warn(
            ("http", "host"), "[http] listens beyond this machine without TLS: keys can be read on the way", remedy
        )
    try:
        keys = read_keys(config.keys)
    except ConfigError:
        return  # `check` says so itself; the daemon does when it is asked
    if not any(_state(key) == "active" for key in keys):
        remedy = "make one with `sovereign-pbx keys create NAME`"
        report.warn(
            ("http", "host"), "[http] listens beyond this machine, and there is no API key to use it with", remedy
        )


def keys_line(config: "Config") -> str:
    """How many keys there are, for people: `API keys: 2 active, 1 revoked`."""
    try:
        states = Counter(_state(key) for key in read_keys(config.keys))
    except ConfigError as error:
        return f"API keys: {error}"
    told = ", ".join(f"{states[state]} {state}" for state in ("active", "expired", "revoked") if states[state])
    return f"API keys: {told or 'none; make one with `sovereign-pbx keys create NAME`'}"


def _state(key: Key) -> str:
    return key.state(datetime.now(UTC))
