"""Pages of the documentation that can be carried out: every ```http block is sent, the ```json block behind it is what
has to come back.

In an answer `"…"` stands for any value, a key `"…"` for more keys, a last list item `"…"` for more items, and a text
that ends in `…` for one that begins so. A WORD_IN_CAPITALS (with an underscore) that is a whole text is a name: bound
where an answer shows it first, put in wherever it stands afterwards. `HTTP 409` before the JSON is the status; without
it any 2xx will do.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```(http|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OWN = re.compile(r"^```toml\n# The configuration of this page\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_STATUS = re.compile(r"HTTP (\d{3})\s*\n?")


@dataclass(frozen=True, slots=True)
class Step:
    """One request and what is to come back; `line` is where it stands."""

    line: int
    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int | None
    answer: Any


@dataclass
class Names:
    """What the answers have told so far."""

    bound: dict[str, str] = field(default_factory=dict)

    def put_in(self, text: str) -> str:
        return _NAME.sub(lambda found: self.bound.get(found[0], found[0]), text)


def steps(page: Path) -> Iterator[Step]:
    """The requests of a page, in order."""
    text = page.read_text("utf-8")
    blocks = list(_BLOCK.finditer(text))
    for request, answer in zip(blocks, [*blocks[1:], None], strict=True):
        if request[1] != "http":
            continue
        line = text.count("\n", 0, request.start()) + 1
        assert answer is not None and answer[1] == "json", f"{page.name}:{line}: a request without its answer"
        yield _step(line, request[2], answer[2])


def configuration(page: Path) -> dict[str, Any]:
    """The configuration that a page's requests are sent to: its ```toml block that says so in its first line."""
    found = _OWN.search(page.read_text("utf-8"))
    return tomllib.loads(found[1]) if found else {}


def _step(line: int, request: str, answer: str) -> Step:
    head, _, body = request.partition("\n\n")
    first, *headers = head.splitlines()
    method, path = first.split()[:2]
    status = _STATUS.match(answer)
    rest = answer[status.end() :] if status else answer
    pairs = dict(header.split(": ", 1) for header in headers)
    return Step(line, method, path, pairs, body, int(status[1]) if status else None, json.loads(rest))


def difference(shown: Any, got: Any, names: Names, path: str = "") -> str:
    """Where the answer is not what the page shows; "" when it is."""
    if shown == "…":
        return ""
    if isinstance(shown, str):
        return _text(shown, got, names, path)
    if isinstance(shown, dict) and isinstance(got, dict):
        return _object(shown, got, names, path)
    if isinstance(shown, list) and isinstance(got, list):
        return _list(shown, got, names, path)
    return "" if shown == got and type(shown) is type(got) else f"{path}: {got!r} instead of {shown!r}"


def _text(shown: str, got: Any, names: Names, path: str) -> str:
    if _NAME.fullmatch(shown) and isinstance(got, str):
        names.bound.setdefault(shown, got)
    wanted = names.put_in(shown)
    same = isinstance(got, str) and (got.startswith(wanted[:-1]) if wanted.endswith("…") else got == wanted)
    return "" if same else f"{path}: {got!r} instead of {wanted!r}"


def _object(shown: dict[str, Any], got: dict[str, Any], names: Names, path: str) -> str:
    for key, value in shown.items():
        if key == "…":
            continue
        if key not in got:
            return f"{path}.{key} is missing"
        if found := difference(value, got[key], names, f"{path}.{key}"):
            return found
    more = set(got) - set(shown)
    return "" if "…" in shown or not more else f"{path} has more: {', '.join(sorted(more))}"


def _list(shown: list[Any], got: list[Any], names: Names, path: str) -> str:
    wanted = shown[:-1] if shown and shown[-1] == "…" else shown
    if len(got) < len(wanted) or (wanted is shown and len(got) != len(wanted)):
        return f"{path}: {len(got)} items instead of {len(wanted)}"
    found = (difference(one, other, names, f"{path}[{index}]") for index, (one, other) in enumerate(zip(wanted, got)))  # noqa: B905 - more may follow
    return next((text for text in found if text), "")
