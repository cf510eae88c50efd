"""The dialplan of a FreeSWITCH whose calls come without SIP."""

import math
import re
from importlib.resources import files
from typing import Final, Literal

from sovereign_pbx.core.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_FALLBACK: Final = re.compile(r"[A-Za-z0-9_+*#.-]{1,64} XML [A-Za-z0-9_.-]{1,64}")
_BEYOND_S: Final = 4  # than the daemon's own limit: only one that is gone, or hangs, meets this


# What a channel needs before it is parked, and why.
_SOUND: Final = {
    "unicast": (
        "absolute_codec_string=PCMU,PCMA",
        "Of the codecs only those that can't fail: a packet that FreeSWITCH can't decode ends unicast.",
    ),
    "audio_fork": (
        "send_silence_when_idle=-1",
        "mod_audio_fork plays only while something else writes to the channel.",
    ),
}


def render(
    *,
    context: str = "sovereign",
    fallback: str = "",
    decide_s: float = 8.0,
    media: Literal["unicast", "audio_fork"] = "unicast",
) -> str:
    """The text of sovereign_parked.xml.

    `context` is where calls are sent; the others begin with it. `fallback` is `extension XML context`; empty: the
    context `<context>-fallback`. `decide_s` is how long the daemon may take for its decision, `media` what brings the
    sound.

    Raises:
        ConfigError: a value that does not belong into a dialplan; names the parameter.
    """
    fallback = fallback or f"fallback XML {context}-fallback"
    if not _NAME.fullmatch(context):
        raise _wrong("context", context, "Use letters, digits, - _ and .")
    if not _FALLBACK.fullmatch(fallback):
        raise _wrong("fallback", fallback, "Write extension XML context, as in 600 XML default.")
    if not 1 <= decide_s <= 60:
        raise ConfigError(f"{decide_s:g} s is no time for a decision", key="decide_s")
    text = files(__package__).joinpath("sovereign_parked.xml").read_text("utf-8")
    sound, why = _SOUND[media]
    values = {
        "@CONTEXT@": context,
        "@FALLBACK@": fallback,
        "@DECIDE@": str(math.ceil(decide_s) + _BEYOND_S),
        "@SOUND@": sound,
        "@WHY@": why,
    }
    return re.sub("|".join(values), lambda match: values[match[0]], text)


def _wrong(key: str, value: str, remedy: str) -> ConfigError:
    return ConfigError(f"{key} = {value[:80]!r} does not belong into a dialplan", key=key, remedy=remedy)
