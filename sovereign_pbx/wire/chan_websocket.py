"""What Asterisk's chan_websocket and an application say to each other in text messages; the sound goes in binary ones.

Source: Asterisk 22.10 `chan_websocket.c`. Two forms exist, and a connection keeps the one that `MEDIA_START` came in:
plain text (`DTMF_END digit:1 channel_id:…`), and since 20.18 and 22.8 JSON, asked for by the dial string's `f(json)`,
which alone tells the channel's variables.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from sovereign_pbx.wire.malformed import Malformed

# What Asterisk itself accepts in a text message of ours; it logs a longer one and ignores it.
MAX_COMMAND: Final = 128
# Its own limit for a message (AST_WEBSOCKET_MAX_RX_PAYLOAD_SIZE); MEDIA_START with many variables is a long one.
MAX_MESSAGE: Final = 65535

RATE_OF_FORMAT: Final[Mapping[str, int]] = MappingProxyType({
    "slin": 8000,
    "slin12": 12000,
    "slin16": 16000,
    "slin24": 24000,
    "slin32": 32000,
    "slin44": 44100,
    "slin48": 48000,
    "slin96": 96000,
    "slin192": 192000,
})  # fmt: skip
FORMAT_OF_RATE: Final[Mapping[int, str]] = MappingProxyType({rate: name for name, rate in RATE_OF_FORMAT.items()})

DIGITS: Final = "0123456789*#ABCDabcd"

COMMANDS: Final = frozenset({
    "ANSWER",
    "HANGUP",
    "FLUSH_MEDIA",
    "GET_STATUS",
    "PAUSE_MEDIA",
    "CONTINUE_MEDIA",
    "MARK_MEDIA",
    "REPORT_QUEUE_DRAINED",
    "START_MEDIA_BUFFERING",
    "STOP_MEDIA_BUFFERING",
})  # fmt: skip

_CORRELATED: Final = ("MEDIA_MARK_PROCESSED", "MEDIA_BUFFERING_COMPLETED")
_FREE_TEXT: Final = " error_text:"


@dataclass(frozen=True, slots=True)
class Event:
    """One message of Asterisk. `values` are texts, whatever JSON had made of them; `variables` the channel's, which
    only MEDIA_START in JSON holds."""

    name: str
    values: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    is_json: bool = False

    def number(self, name: str) -> int:
        """Raises Malformed when `name` is missing or no whole number from 0 to 999999."""
        text = self.values.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 6):
            raise Malformed(f"{self.name} has no number {name}")
        return int(text)


@dataclass(frozen=True, slots=True)
class MediaStart:
    """What the first message says: the format's rate in Hz, and the bytes of its frame of 20 ms."""

    rate: int
    frame_bytes: int
    channel: str
    channel_id: str


def parse(text: str) -> Event:
    """One text message, in either form.

    Raises:
        Malformed: it is longer than a message can be, has no name, or is no JSON object though it begins as one.
    """
    if len(text) > MAX_MESSAGE:
        raise Malformed(f"a message of {len(text)} characters is over the limit of {MAX_MESSAGE}")
    return _parse_json(text) if text.lstrip().startswith("{") else _parse_plain(text)


def media_start(event: Event) -> MediaStart:
    """Raises Malformed for another event, and for a format other than signed linear or a frame other than 20 ms."""
    if event.name != "MEDIA_START":
        raise Malformed("the first message is not MEDIA_START")
    rate = RATE_OF_FORMAT.get(event.values.get("format", ""))
    if rate is None:
        raise Malformed("the format is none of slin, slin16, …: the dial string must say c(slin) or c(slin16)")
    if event.values.get("ptime", "20") != "20":  # told since 22.8; 20 for every signed linear format
        raise Malformed("the frames are not of 20 ms")
    size = event.number("optimal_frame_size")
    if size != rate // 50 * 2:
        raise Malformed(f"a frame of {size} bytes is not 20 ms at {rate} Hz")
    return MediaStart(rate, size, event.values.get("channel", ""), event.values.get("channel_id", ""))


def digit(event: Event) -> str:
    """The digit of DTMF_END, upper case."""
    text = event.values.get("digit", "")
    if len(text) != 1 or text not in DIGITS:
        raise Malformed("DTMF_END holds no digit")
    return text.upper()


def command(name: str, *, as_json: bool, correlation_id: str = "") -> str:
    """One command of ours, in the form that the connection speaks.

    Raises:
        Malformed: Asterisk knows no such command, or would not read one so long.
    """
    if name not in COMMANDS:
        raise Malformed("there is no such command")
    if as_json:
        values = {"command": name, "correlation_id": correlation_id} if correlation_id else {"command": name}
        text = json.dumps(values, separators=(",", ":"))
    else:
        text = f"{name} {correlation_id}" if correlation_id else name
    if len(text) > MAX_COMMAND or not text.isprintable():
        raise Malformed(f"a command has at most {MAX_COMMAND} printable characters")
    return text


def _parse_plain(text: str) -> Event:
    """`NAME key:value key:value`; of errors, the last value is a sentence; marks tell their id alone."""
    head, found, sentence = text.strip().partition(_FREE_TEXT)
    name, _, rest = head.partition(" ")
    _check_name(name)
    if name in _CORRELATED:
        return Event(name, {"correlation_id": rest.strip()})
    values = dict(pair.partition(":")[::2] for pair in rest.split() if ":" in pair)
    if found:
        values["error_text"] = sentence
    return Event(name, values)


def _parse_json(text: str) -> Event:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Malformed("a message that begins with { is no JSON") from exc
    if not isinstance(read, dict) or not isinstance(name := read.get("event"), str):
        raise Malformed("a JSON message without its event")
    _check_name(name)
    values = {key: _text(value) for key, value in read.items() if key not in ("event", "channel_variables")}
    variables = read.get("channel_variables")
    if not isinstance(variables, dict):
        variables = {}
    return Event(name, values, {key: _text(value) for key, value in variables.items()}, is_json=True)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool | int) else ""


def _check_name(name: str) -> None:
    if not (name and len(name) <= 64 and name.isascii() and name.replace("_", "").isalnum()):
        raise Malformed("a message without the name of an event")
