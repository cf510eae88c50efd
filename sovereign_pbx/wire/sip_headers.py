"""The headers of a SIP message, in their order, found by whichever of their names is used."""

from collections.abc import Iterable, Iterator
from typing import Final, Self

from sovereign_pbx.wire.sip_text import is_token, safe, split

# RFC 3261 §7.3.3 and the registry of IANA
_LONG: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
# Their values may stand on one line between commas, or on several; it means the same (§7.3.1).
_LISTS: Final = frozenset(
    [
        "contact",
        "diversion",
        "history-info",
        "p-asserted-identity",
        "p-preferred-identity",
        "path",
        "reason",
        "record-route",
        "route",
        "service-route",
        "via",
    ]
)


def _folded(name: str) -> str:
    return _LONG.get(name.lower(), name).lower()


class Headers:
    """Names compare without case, and a short form is its long one. Values never hold line breaks or NUL: what is put
    in here and does raises ValueError."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: list[tuple[str, str, str]] = []  # folded, as written, value
        for name, value in items:
            self.add(name, value)

    def get(self, name: str) -> str:
        """The first of `all`, "" if there is none."""
        key = _folded(name)
        for folded, _, value in self._items:
            if folded == key:
                return split(value, ",")[0] if key in _LISTS else value
        return ""

    def all(self, name: str) -> list[str]:
        """Every value, in order; several on one line apart where the header is a list of addresses or stations."""
        key = _folded(name)
        lines = [value for folded, _, value in self._items if folded == key]
        return [value for line in lines for value in split(line, ",")] if key in _LISTS else lines

    def tokens(self, name: str) -> list[str]:
        """The words of a list such as Supported or Allow, in small letters."""
        key = _folded(name)
        lines = (value for folded, _, value in self._items if folded == key)
        return [word.lower() for line in lines for word in split(line, ",") if word]

    def add(self, name: str, value: str) -> None:
        """Behind all others."""
        self._items.append(_item(name, value))

    def set(self, name: str, value: str) -> None:
        """In place of every value there was."""
        key = _folded(name)
        place = next((at for at, item in enumerate(self._items) if item[0] == key), len(self._items))
        before, after = self._items[:place], self._items[place:]
        self._items = [*before, _item(name, value), *(item for item in after if item[0] != key)]

    def put_first(self, name: str, value: str) -> None:
        """Before all others, as a Via is."""
        self._items.insert(0, _item(name, value))

    def replace_first(self, name: str, value: str) -> None:
        """Another value for the first of a list; the rest stays as it is, on its line or on others."""
        key = _folded(name)
        for at, (folded, written, line) in enumerate(self._items):
            if folded == key:
                rest = split(line, ",")[1:] if key in _LISTS else []
                self._items[at] = (folded, written, safe(", ".join([value, *rest]), written))
                return
        self.add(name, value)

    def remove(self, name: str) -> None:
        key = _folded(name)
        self._items = [item for item in self._items if item[0] != key]

    def copy(self) -> Self:
        other = type(self)()
        other._items = list(self._items)
        return other

    def __contains__(self, name: str) -> bool:
        key = _folded(name)
        return any(item[0] == key for item in self._items)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Every line: its name (long), its value."""
        return iter([(written, value) for _, written, value in self._items])

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and [(i[0], i[2]) for i in self._items] == [
            (i[0], i[2]) for i in other._items
        ]

    __hash__ = None  # type: ignore[assignment]  # mutable, as a list is

    def __repr__(self) -> str:
        """The names alone: values hold numbers, and credentials."""
        return f"Headers({', '.join(item[1] for item in self._items)})"


def _item(name: str, value: str) -> tuple[str, str, str]:
    if not is_token(name):
        raise ValueError("a header's name must be a token")
    written = _LONG.get(name.lower(), name)
    return written.lower(), written, safe(value, written)
