"""Tool calls that a small model writes into its text, found there and never spoken. Pure.

A model of 1.5 billion parameters picks the right tool but forgets the form: it writes `{"name": …, "arguments": …}`
bare, with doubled braces, in a ``` fence, in single quotes or without its last brace, where its template asks for
`<tool_call>`. Text that may be such a call is held back until it is one or can't be one any more.
"""

import ast
import json
import re
from collections.abc import Collection
from typing import Any, Final

MOST_HELD: Final = 8192  # characters; a call longer than that is released as text
_OPENERS: Final = ("{", "[", "<tool_call>", "```")
_WRAPPING: Final = re.compile(r"(?:\s|<tool_call>|```[a-zA-Z_]{0,12}(?=\s|[{\[<]))*")
_CLOSING: Final = re.compile(r"(?:\s*(?:</tool_call>|```)){0,2}")
_TAILS: Final = ("</tool_call>", "```")
_KEYS: Final = ("name", "arguments", "parameters", "type", "function", "id")

Call = tuple[str, str]
"""A tool's name and its arguments as JSON text."""


class ToolCallFilter:
    """Feed it the model's text; it gives back text to speak and calls to make, in order."""

    def __init__(self, offered: Collection[str]) -> None:
        self._offered = frozenset(offered)
        self._held = ""

    def feed(self, text: str) -> list[str | Call]:
        """What is certain after this much text."""
        if not self._offered:
            return [text] if text else []
        self._held += text
        return self._settle(ended=False)

    def rest(self) -> list[str | Call]:
        """At the end of the reply: a call without its last braces is still one, everything else is text."""
        return self._settle(ended=True)

    def _settle(self, *, ended: bool) -> list[str | Call]:
        out: list[str | Call] = []
        while self._held:
            at = _opener(self._held)
            if at > 0:
                out.append(self._held[:at])
                self._held = self._held[at:]
                continue
            calls, length = self._candidate(ended=ended)
            if length == 0:
                break
            out.extend(calls or [self._held[:length]])
            self._held = self._held[length:]
        return _joined(out)

    def _candidate(self, *, ended: bool) -> tuple[list[Call], int]:
        """The held text begins like a call: (calls, characters used), no calls for text, 0 to wait for more."""
        held = self._held
        wrapped = _WRAPPING.match(held)
        start = wrapped.end() if wrapped else 0
        if not _may_be_call(held, start):
            return [], _first_character(held)
        end = _closed_at(held, start)
        if end < 0 and not ended:
            return [], (_first_character(held) if len(held) > MOST_HELD else 0)
        calls = self._calls(held[start:] if end < 0 else held[start:end], ended=end < 0)
        if not calls:
            return [], _first_character(held)
        if end < 0:
            return calls, len(held)
        tail = _CLOSING.match(held, end)
        after = tail.end() if tail else end
        return (calls, after) if ended or not _tail_may_follow(held[after:]) else ([], 0)

    def _calls(self, text: str, *, ended: bool) -> list[Call]:
        """The calls in a balanced (or, at the end, unfinished) piece of text; none unless all are offered."""
        for variant in _variants(text, ended=ended):
            found = _read(variant)
            entries = found if isinstance(found, list) else [found]
            calls = [self._call(entry) for entry in entries]
            if calls and all(calls):
                return [call for call in calls if call]
        return []

    def _call(self, entry: Any) -> Call | None:
        if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
            entry = entry["function"]
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or entry["name"] not in self._offered:
            return None
        arguments = entry.get("arguments", entry.get("parameters", {}))
        if isinstance(arguments, str):
            arguments = _read(arguments) if arguments.strip() else {}
        return (entry["name"], json.dumps(arguments)) if isinstance(arguments, dict) else None


def _opener(text: str) -> int:
    """Where a call may begin: the first opener, or the beginning of one at the very end; else the text's length."""
    places = [at for opener in _OPENERS if (at := text.find(opener)) >= 0]
    for opener in _OPENERS:
        places.extend(len(text) - size for size in range(1, len(opener)) if text.endswith(opener[:size]))
    return min(places, default=len(text))


def _first_character(held: str) -> int:
    """How much of the held text is certainly text: the opener itself, so that the search goes on behind it."""
    return next((len(opener) for opener in _OPENERS if held.startswith(opener)), 1)


def _may_be_call(held: str, start: int) -> bool:
    """Whether what was received so far can become a call: brackets, then a quote, then a key that calls have."""
    body = held[start:]
    if not body:
        return True
    opening = re.match(r"[\[{\s]*", body)
    rest = body[opening.end() :] if opening else body
    if not rest:
        return True
    if body[0] not in "{[":
        return any(opener.startswith(rest) for opener in _OPENERS) or _fence_may_grow(held)
    if rest[0] not in "\"'":
        return False
    key = rest[1:20]
    return any(key.startswith(known) or known.startswith(key) for known in _KEYS)


def _fence_may_grow(held: str) -> bool:
    """A fence's language word that is still being written."""
    return re.fullmatch(r"```[a-zA-Z_]{0,12}", held) is not None


def _closed_at(text: str, start: int) -> int:
    """Position behind the bracket that closes the one at `start`, strings left out of account; -1 if it is open."""
    depth, quote, escaped = 0, "", False
    for at in range(start, len(text)):
        char = text[at]
        if quote:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == quote:
                quote = ""
        elif char == '"' or (char == "'" and _opens_string(text, at)):
            quote = char
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return at + 1
    return -1


def _opens_string(text: str, at: int) -> bool:
    return text[:at].rstrip()[-1:] in ("{", "[", ":", ",")


def _variants(text: str, *, ended: bool) -> list[str]:
    """The text, and what it may have been meant to be."""
    found = [text, text[1:-1].strip(), text.replace("{{", "{").replace("}}", "}")]
    if ended:
        found += [text + "}" * missing for missing in (1, 2, 3)]
        found += [text[1:] + "}" * missing for missing in (0, 1, 2)]
    return found


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    except RecursionError:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _tail_may_follow(rest: str) -> bool:
    """Whether a closing tag or fence may still come: white space alone does not tell yet."""
    return any(tail.startswith(rest.lstrip()) for tail in _TAILS)


def _joined(parts: list[str | Call]) -> list[str | Call]:
    """Neighbouring texts as one."""
    out: list[str | Call] = []
    for part in parts:
        if isinstance(part, str) and out and isinstance(out[-1], str):
            out[-1] += part
        else:
            out.append(part)
    return out
