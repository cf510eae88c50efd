"""The dialplan for an administrator's addresses."""

import re
from importlib.resources import files
from typing import Final

from sovereign_pbx.core.errors import ConfigError

DEFAULT_AGI: Final = "127.0.0.1:4573"
DEFAULT_AUDIOSOCKET: Final = "127.0.0.1:9092"
DEFAULT_CONTEXT: Final = "sovereign"

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")
_CONTEXT: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")
_FALLBACK: Final = re.compile(r"[A-Za-z0-9_-]{1,79},[A-Za-z0-9_+*#-]{1,79},[A-Za-z0-9_-]{1,20}")


def render(
    *,
    agi: str = DEFAULT_AGI,
    audiosocket: str = DEFAULT_AUDIOSOCKET,
    context: str = DEFAULT_CONTEXT,
    fallback: str = "",
    dial_timeout_s: int = 30,
) -> str:
    """The text of extensions_sovereign.conf.

    `agi` and `audiosocket` are host:port as Asterisk reaches the daemon. `context` is where calls are sent; the others
    begin with it. `fallback` is context,extension,priority; empty: the context `<context>-fallback`, extension s.

    Raises:
        ConfigError: a value that does not belong into a dialplan; names the parameter.
    """
    fallback = fallback or f"{context}-fallback,s,1"
    _check("agi", agi, _ADDRESS, "Write host:port, as in 127.0.0.1:4573.")
    _check("audiosocket", audiosocket, _ADDRESS, "Write host:port, as in 127.0.0.1:9092.")
    _check("context", context, _CONTEXT, "Use letters, digits, - and _.")
    _check("fallback", fallback, _FALLBACK, "Write context,extension,priority, as in ext-queues,600,1.")
    if not 1 <= dial_timeout_s <= 600:
        raise ConfigError(f"{dial_timeout_s} s is no time to let a telephone ring", key="dial_timeout_s")
    text = files(__package__).joinpath("extensions_sovereign.conf").read_text("utf-8")
    values = {
        "@AGI@": agi,
        "@AUDIOSOCKET@": audiosocket,
        "@CONTEXT@": context,
        "@FALLBACK@": fallback,
        "@DIAL_TIMEOUT@": str(dial_timeout_s),
    }
    return re.sub("|".join(values), lambda match: values[match[0]], text)


def _check(key: str, value: str, allowed: re.Pattern[str], remedy: str) -> None:
    if not allowed.fullmatch(value):
        raise ConfigError(f"{key} = {value[:80]!r} does not belong into a dialplan", key=key, remedy=remedy)
