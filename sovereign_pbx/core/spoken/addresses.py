"""Web and e-mail addresses, telephone numbers, account numbers: what every voice reads badly."""

import re
from typing import Final

from sovereign_pbx.core.spoken.lexicon import Lexicon

_RUNS: Final = re.compile(r"[^\W\d_]+|\d+|[._/@+-]")
_LONGEST_PATH: Final = 40  # characters; nobody writes more than that down while he listens
_LONGEST_RUN: Final = 4  # figures in an address that are still read as a number
_GROUP: Final = re.compile(r"\d+")


def url(written: str, lexicon: Lexicon) -> str:
    """Without scheme and "www", which nobody needs; without query and long paths, which nobody can remember."""
    bare = re.sub(r"^(?:[a-z]+://)?(?:www\.)?", "", written, count=1, flags=re.IGNORECASE)
    bare = re.split(r"[?#]", bare, maxsplit=1)[0]
    host, slash, path = bare.partition("/")
    host = re.sub(r"^[^@/]*@|:\d+$", "", host)
    path = path.strip("/")
    if not slash or not path or len(path) > _LONGEST_PATH or "%" in path:
        return _host(host, lexicon)
    return f"{_host(host, lexicon)} {lexicon.signs.slash} {_said(path, lexicon)}"


def email(written: str, lexicon: Lexicon) -> str:
    local, _, host = written.rpartition("@")
    return f"{_said(local, lexicon)} {lexicon.signs.at} {_host(host, lexicon)}"


def _host(host: str, lexicon: Lexicon) -> str:
    """Country codes are spelt: "nl" is no syllable."""
    labels = host.strip(".").split(".")
    said = [_said(label, lexicon) for label in labels[:-1]]
    top = labels[-1]
    said.append(" ".join(top.upper()) if len(top) == 2 else top)
    return f" {lexicon.signs.dot} ".join(part for part in said if part)


def _said(text: str, lexicon: Lexicon) -> str:
    signs = lexicon.signs
    names = {".": signs.dot, "/": signs.slash, "@": signs.at, "-": signs.dash, "_": signs.underscore, "+": signs.plus}
    return " ".join(_run(run, names, lexicon) for run in _RUNS.findall(text))


def _run(run: str, names: dict[str, str], lexicon: Lexicon) -> str:
    if not run.isdecimal():
        return names.get(run, run)
    return lexicon.number(int(run)) if len(run) <= _LONGEST_RUN and run[0] != "0" else lexicon.spell(run)


def phone(written: str, lexicon: Lexicon) -> str:
    """Group by group, with a pause between: as written, long groups in twos (an odd one begins with three)."""
    words = f"{lexicon.signs.plus} " if written.lstrip("( ").startswith("+") else ""
    # "+31 (0)20": the nought is not dialled from abroad
    groups = [part for group in _GROUP.findall(re.sub(r"(?<=\d)[ ]?\(0\)", " ", written)) for part in _split(group)]
    return words + ", ".join(_group(group, lexicon) for group in groups)


def _split(group: str) -> list[str]:
    if len(group) <= 4:
        return [group]
    head = 3 if len(group) % 2 else 2
    return [group[:head], *(group[at : at + 2] for at in range(head, len(group), 2))]


def _group(group: str, lexicon: Lexicon) -> str:
    if lexicon.pairs and len(group) == 2 and group[0] != "0":
        return lexicon.cardinal(int(group))
    return lexicon.spell(group)


def account(written: str, lexicon: Lexicon) -> str:
    """An IBAN: four characters at a time, letters by name."""
    bare = written.replace(" ", "")
    groups = [bare[at : at + 4] for at in range(0, len(bare), 4)]
    return ", ".join(
        " ".join(lexicon.digits[int(each)] if each.isdecimal() else each for each in group) for group in groups
    )


def code(written: str, lexicon: Lexicon) -> str:
    """A long number without groups: three figures at a time, as people dictate them."""
    groups = [written[at : at + 3] for at in range(0, len(written), 3)]
    return ", ".join(lexicon.spell(group) for group in groups)
