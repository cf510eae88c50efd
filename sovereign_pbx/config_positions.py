"""Where each key of a TOML file stands: line and column, for errors that an administrator can click on.

tomllib gives values without places, so this walks over text that tomllib has already accepted. It knows tables,
arrays of tables, dotted and quoted keys, inline tables and arrays over several lines, and nothing of values.
"""

import re
from dataclasses import dataclass, field

from sovereign_pbx.assistants.problem import Path

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}

Keys = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Positions:
    """Places by path."""

    text: str
    offsets: dict[Path, int] = field(default_factory=dict)

    def place(self, path: Path) -> tuple[int, int] | None:
        """Line and column, from 1, of the key at `path`, else of the nearest table around it."""
        while path not in self.offsets:
            if not path:
                return None
            path = path[:-1]
        offset = self.offsets[path]
        line_start = self.text.rfind("\n", 0, offset) + 1
        return self.text.count("\n", 0, offset) + 1, offset - line_start + 1


def find_positions(text: str) -> Positions:
    """Places of every key, table and array element of valid TOML. Text that is not TOML gives what was found so far."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    try:
        scanner.scan()
    except (_NotToml, IndexError, RecursionError):
        pass  # a place less is no reason to fail: whether it is TOML is for tomllib to say
    return Positions(scanner.text, scanner.offsets)


class _NotToml(Exception):
    """What was to be scanned is not TOML after all."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets: dict[Path, int] = {}
        self._at = 0
        self._counts: dict[Path, int] = {}  # arrays of tables and how many elements they have so far

    def scan(self) -> None:
        table: Path = ()
        while self._blank() < len(self.text):
            if self.text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    # --- keys

    def _header(self) -> Path:
        array = self.text.startswith("[[", self._at)
        self._at += 2 if array else 1
        keys = self._key()
        self._at += 2 if array else 1
        path = self._record(self._inside((), keys[:-1]), keys[-1:])
        if not array:
            return self._last_element(path)
        index = self._counts.get(path, 0)
        self._counts[path] = index + 1
        self.offsets[(*path, index)] = keys[-1][1]
        return (*path, index)

    def _inside(self, path: Path, keys: Keys) -> Path:
        for key in keys:
            path = self._last_element(self._record(path, [key]))
        return path

    def _last_element(self, path: Path) -> Path:
        count = self._counts.get(path, 0)
        return (*path, count - 1) if count else path

    def _pair(self, table: Path) -> None:
        keys = self._key()
        self._at += 1  # the equals sign
        self._value(self._record(table, keys))

    def _record(self, path: Path, keys: Keys) -> Path:
        for name, offset in keys:
            path = (*path, name)
            self.offsets.setdefault(path, offset)
        return path

    def _key(self) -> Keys:
        """A dotted key; stops at the character behind it, which is `=` or `]`."""
        keys: Keys = []
        while True:
            start = self._blank()
            keys.append((self._key_part(), start))
            if self.text[self._blank()] != ".":
                return keys
            self._at += 1

    def _key_part(self) -> str:
        if self.text[self._at] in "\"'":
            return self._string()
        found = self._match(_BARE_KEY)
        self._at = found.end()
        return found[0]

    # --- values

    def _value(self, path: Path) -> None:
        start = self.text[self._blank()]
        if start == "[":
            self._array(path)
        elif start == "{":
            self._inline_table(path)
        elif start in "\"'":
            self._string()
        else:
            self._at = self._match(_BARE_VALUE).end()

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self.text[self._blank()] != "]":
            if self.text[self._at] == ",":
                self._at += 1
                continue
            self.offsets[(*path, index)] = self._at
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self.text[self._blank()] != "}":
            if self.text[self._at] == ",":
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _string(self) -> str:
        quote = self.text[self._at]
        if self.text.startswith(quote * 3, self._at):
            return self._long_string(quote)
        start = self._at = self._at + 1
        while self.text[self._at] != quote:
            self._at += 2 if self.text[self._at] == "\\" and quote == '"' else 1
        self._at += 1
        raw = self.text[start : self._at - 1]
        return _ESCAPE.sub(_unescape, raw) if quote == '"' else raw

    def _long_string(self, quote: str) -> str:
        self._at += 3
        while not self.text.startswith(quote * 3, self._at):
            self.text[self._at]  # the end of the text ends the scan
            self._at += 2 if self.text[self._at] == "\\" and quote == '"' else 1
        self._at += 3
        while self.text.startswith(quote, self._at):  # up to two quotes may stand before the closing three
            self._at += 1
        return ""  # a long string is never a key

    def _blank(self) -> int:
        found = _BLANK.match(self.text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self._at)
        if found is None:
            raise _NotToml
        return found


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if code[0] in "uU" and len(code) > 1 else _ESCAPED.get(code, code)
