"""The dialplan for an administrator's addresses."""

import re
from importlib.resources import files
from typing import Final

from sovereign_pbx.core.errors import ConfigError

DEFAULT_SIP: Final = "127.0.0.1:5090"
DEFAULT_CONTEXT: Final = "sovereign"
DEFAULT_PROFILE: Final = "internal"
DEFAULT_CODECS: Final = ("L16", "G722", "PCMU", "PCMA")

# As FreeSWITCH's absolute_codec_string names them; L16 without a rate would be offered at 8 kHz.
_NAMES: Final = {"L16": "L16@16000h@20i", "G722": "G722", "PCMU": "PCMU", "PCMA": "PCMA"}
_TRANSPORTS: Final = ("udp", "tcp", "tls")

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_FALLBACK: Final = re.compile(r"[A-Za-z0-9_+*#.-]{1,64} XML [A-Za-z0-9_.-]{1,64}")

_PROGRESS_S: Final = 5  # for the first sign of life: more than a stalled machine, less than a caller's patience
_MEDIA_MS: Final = (
    2_000  # measured on 1.10.12: the bridge ends 2.0 s after the last packet, and the caller is still there
)
_BEYOND_S: Final = 12  # than the daemon's own limit: words of refusal are heard before the answer, and must fit


def render(
    *,
    sip: str = DEFAULT_SIP,
    context: str = DEFAULT_CONTEXT,
    profile: str = DEFAULT_PROFILE,
    fallback: str = "",
    decide_s: float = 8.0,
    codecs: tuple[str, ...] = DEFAULT_CODECS,
    transport: str = "udp",
) -> str:
    """The text of sovereign.xml.

    `sip` is host:port as FreeSWITCH reaches the daemon's SIP endpoint. `context` is where calls are sent; the others
    begin with it. `profile` is the Sofia profile that the daemon is called on. `fallback` is `extension XML context`;
    empty: the context `<context>-fallback`. `decide_s` is how long the daemon may take for its decision.

    Raises:
        ConfigError: a value that does not belong into a dialplan; names the parameter.
    """
    fallback = fallback or f"fallback XML {context}-fallback"
    _check("sip", sip, _ADDRESS, "Write host:port, as in 127.0.0.1:5090.")
    _check("context", context, _NAME, "Use letters, digits, - _ and .")
    _check("profile", profile, _NAME, "Use letters, digits, - _ and .")
    _check("fallback", fallback, _FALLBACK, "Write extension XML context, as in 600 XML default.")
    if not codecs or not set(codecs) <= set(_NAMES):
        raise ConfigError("no codec of FreeSWITCH's", key="codecs", remedy=f"Known are {', '.join(_NAMES)}.")
    if transport not in _TRANSPORTS:
        raise ConfigError(f"{transport!r} is no transport", key="transport", remedy="Use udp, tcp or tls.")
    if not 1 <= decide_s <= 60:
        raise ConfigError(f"{decide_s:g} s is no time for a decision", key="decide_s")
    # The separator of a list within a list of variables is what follows ^^
    codec_list = "^^:" + ":".join(_NAMES[name] for name in codecs)
    values = {
        "@SIP@": sip if transport == "udp" else f"{sip};transport={transport}",
        "@CONTEXT@": context,
        "@PROFILE@": profile,
        "@FALLBACK@": fallback,
        "@ALL@": f"media_timeout={_MEDIA_MS},absolute_codec_string={codec_list}",
        # Only in square brackets: FreeSWITCH takes no leg_timeout for a whole dial string
        "@LEG@": f"leg_progress_timeout={_PROGRESS_S},leg_timeout={round(decide_s) + _BEYOND_S}",
    }
    text = files(__package__).joinpath("sovereign.xml").read_text("utf-8")
    return re.sub("|".join(values), lambda match: values[match[0]], text)


def _check(key: str, value: str, allowed: re.Pattern[str], remedy: str) -> None:
    if not allowed.fullmatch(value):
        raise ConfigError(f"{key} = {value[:80]!r} does not belong into a dialplan", key=key, remedy=remedy)
