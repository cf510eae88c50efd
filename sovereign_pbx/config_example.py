"""`config.example.toml`, drawn from the model: every key, its default, its range and one sentence.

What has a default stands there with it. What has none, and what only one provider knows, is commented out with
an example, so that the file as it is can be run.
"""

import json
import textwrap
from typing import Any

from sovereign_pbx.assistants.shape import NOTHING, Choice, Flag, Nullable, Real, Shape, Text, Url, Whole
from sovereign_pbx.assistants.table import Key, ListOf
from sovereign_pbx.config_layout import Section, has_default, sections

TITLE = """\
# The configuration of Sovereign PBX: every key with its default.
# Drawn from the program by `sovereign-pbx config example`; docs/configuration.md says more.
#
# Keys that are commented out have no default; an example stands in its place.
# Texts may refer to what does not belong in a file:
#   ${env:NAME}         an environment variable
#   ${file:PATH}        the content of a file (prompts, secrets), sought beside this one
#   ${credential:NAME}  a systemd credential (LoadCredential=)
"""

SHOWN = {
    ("assistants", "reception", "first_message"): "Good day, this is the reception. How can I help you?",
    ("assistants", "reception", "stt_config", "provider"): "whisper",
    ("assistants", "reception", "llm_config", "provider"): "local",
    ("assistants", "reception", "tts_config", "provider"): "hibari",
    ("assistants", "reception", "llm_config", "messages", "role"): "system",
    ("assistants", "reception", "llm_config", "messages", "content"): (
        "You are the receptionist of a bakery. Answer in one or two short sentences, as one does on the telephone."
    ),
    ("numbers", "number"): "+31850835037",
    ("numbers", "assistant"): "reception",
}
"""What makes the example an example, written out although it is no default: the embedded engines need no key."""

STARTS = {("assistants", "reception", "llm_config", "messages"), ("numbers",)}
"""Lists of tables with an element in the example; others are commented out whole."""

OPTIONAL = {"trunks", "registrations", "mcp_servers", "workflows"}
"""Named tables that most installations have none of."""


def example() -> str:
    """The text of `config.example.toml`."""
    blocks = [TITLE]
    silent: list[tuple[str, ...]] = []  # lists of tables that are commented out, with everything in them
    for section in sections():
        if (section.repeated and section.path not in STARTS) or (section.named and section.path[0] in OPTIONAL):
            silent.append(section.path)
        commented = any(section.path[: len(path)] == path for path in silent)
        blocks.append(_section(section, commented=commented))
    return "\n".join(blocks)


def _section(section: Section, *, commented: bool) -> str:
    keys = [line for key in section.keys for line in _key(section, key, commented=commented)]
    empty = section.table.open and not any(line.startswith(tuple("abcdefghijklmnopqrstuvwxyz")) for line in keys)
    header = f"{'#' if commented or empty else ''}{section.header}"
    return "\n".join([*_comment(section.doc), header, *keys]) + "\n"


def _key(section: Section, key: Key, *, commented: bool) -> list[str]:
    shown = SHOWN.get((*section.path, key.name))
    # a provider block shows what it may hold, not what every provider understands
    active = shown is not None or (has_default(key) and not section.table.open and not _empty_secret(key))
    value = shown if shown is not None else _value(key)
    mark = "" if active and not commented else "#"
    return [*_comment(described(key)), f"{mark}{toml_key(key.name)} = {toml(value)}"]


def described(key: Key) -> str:
    """The key's sentence, and what it may be where that is not plain."""
    words = key.shape.words()
    plain = isinstance(key.shape, (Flag, Text, Url)) and key.shape in (Flag(), Text(), Url())
    unbounded = isinstance(key.shape, Text) and not key.shape.pattern
    return key.doc if plain or unbounded else f"{key.doc} ({words[0].upper()}{words[1:]}.)"


def _empty_secret(key: Key) -> bool:
    return isinstance(key.shape, Text) and key.shape.secret


def _value(key: Key) -> Any:
    if has_default(key) and not (_empty_secret(key) and key.example is not NOTHING):
        return key.default
    return key.example if key.example is not NOTHING else sample(key.shape)


def sample(shape: Shape) -> Any:
    """Some value of a shape, for keys whose example nobody wrote."""
    if isinstance(shape, Nullable):
        return sample(shape.inner)
    if isinstance(shape, Choice):
        return shape.values[0]
    if isinstance(shape, ListOf):
        return [sample(shape.item)]
    if isinstance(shape, (Whole, Real)):
        return shape.least
    if isinstance(shape, Flag):
        return False
    if isinstance(shape, Url):
        return "https://example.com/"
    return "…" if isinstance(shape, Text) else {}


def toml_key(name: str) -> str:
    return name if all(letter.isalnum() or letter in "_-" for letter in name) else json.dumps(name)


def toml(value: Any) -> str:
    """A value as TOML, on one line. JSON's strings are TOML's basic strings."""
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{toml_key(name)} = {toml(item)}" for name, item in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(str(value) if isinstance(value, str) else value, ensure_ascii=False)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 110)]
