"""What each thing that was found in a text is said as."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from sovereign_pbx.core.spoken import addresses, figures
from sovereign_pbx.core.spoken.form import Edit
from sovereign_pbx.core.spoken.lexicon import Lexicon
from sovereign_pbx.core.spoken.patterns import rules

Match = re.Match[str]
Reader = Callable[[Match, Lexicon], str | None]

_MOST_PHONE: Final = 15  # figures (E.164)
_LAST_WORD: Final = re.compile(r"([^\W\d_]{1,12})\s$")
_TEXT_ENDS: Final = re.compile(r"[\"'”’»)\]]{0,3}\s*$")
_NEW_SENTENCE: Final = re.compile(r"[\"'”’»)\]]{0,3}\s+[A-ZÀ-ÖØ-Þ]")
_NOT_WITHIN_A_WORD: Final = r"(?:(?![^\W\d_])|(?<![^\W\d_]))"  # where no rule begins: most of a text is passed quickly
_FIGURE: Final = re.compile(r"\d")
_DIGITS: Final = re.compile(r"\d+")
_DASH: Final = re.compile(r"[-–—]")
_NOUN: Final = re.compile(r" [A-ZÄÖÜ]")
_WITHOUT_FIGURES: Final = frozenset(("email", "url", "abbr", "sign", "slash"))


def edits(text: str, lexicon: Lexicon, *, full: bool) -> Iterator[Edit]:
    """What is said otherwise than it is written. `full`: numbers, dates and abbreviations, too."""
    figures_in_it = _FIGURE.search(text) is not None
    for match in _pattern(lexicon, full, figures_in_it).finditer(text):
        name = match.lastgroup or ""
        if full or name in _ALWAYS:
            said = _READERS[name](match, lexicon)
            if said is not None and said != match.group():
                yield Edit(match.start(), match.end(), said)


def compiled(lexicon: Lexicon, *, full: bool) -> None:
    """Have the patterns ready: the first use takes tens of milliseconds."""
    for figures_in_it in (False, True):
        _pattern(lexicon, full, figures_in_it)


@lru_cache(maxsize=32)
def _pattern(lexicon: Lexicon, full: bool, figures_in_it: bool) -> re.Pattern[str]:
    """The rules as one pattern; those for figures only where there are any, which most sentences have not."""
    wanted = (rule for rule in rules(lexicon, full=full) if figures_in_it or rule[0] in _WITHOUT_FIGURES)
    # the group that closes last names the match: each rule's own group encloses all others of it
    alternatives = "|".join(f"(?P<{name}>{pattern})" for name, pattern in wanted)
    return re.compile(f"{_NOT_WITHIN_A_WORD}(?:{alternatives})")


# addresses


def _phone(match: Match, lexicon: Lexicon) -> str | None:
    count = sum(each.isdecimal() for each in match.group())
    return addresses.phone(match.group(), lexicon) if count <= _MOST_PHONE else None


# dates and times


def _before(match: Match) -> str:
    word = _LAST_WORD.search(match.string, max(0, match.start() - 14), match.start())
    return word[1] if word else ""


def _iso(match: Match, lexicon: Lexicon) -> str:
    return lexicon.date(int(match["iso_d"]), int(match["iso_m"]), int(match["iso_y"]), _before(match))


def _date(match: Match, lexicon: Lexicon) -> str:
    day, month = int(match["d"]), int(match["m"])
    if lexicon.month_first:
        day, month = month, day
    if month > 12 >= day and lexicon.code == "en":  # there is but one way to read it
        day, month = month, day
    if month > 12:
        return " ".join(lexicon.number(int(match[name])) for name in ("d", "m", "y"))
    year = int(match["y"]) + (2000 if len(match["y"]) == 2 else 0)
    return lexicon.date(day, month, year, _before(match))


def _month_of(written: str, lexicon: Lexicon) -> int:
    bare = written.rstrip(".").lower()
    known = lexicon.month_forms.get(bare)
    return known or next(place for place, name in enumerate(lexicon.months, 1) if name.lower() == bare)


def _named(day: str, month: str, year: str | None, match: Match, lexicon: Lexicon) -> str:
    return lexicon.date(int(day), _month_of(month, lexicon), int(year) if year else None, _before(match))


def _dated(match: Match, lexicon: Lexicon) -> str:
    return _named(match["dd"], match["dm"], match["dy"], match, lexicon)


def _month(match: Match, lexicon: Lexicon) -> str:
    """November 20, 2026: the order is kept."""
    month = lexicon.months[_month_of(match["mm"], lexicon) - 1]
    year = f" {lexicon.year(int(match['my']))}" if match["my"] else ""
    return f"{month} {lexicon.ordinal(int(match['md']))}{year}"


def _short(match: Match, lexicon: Lexicon) -> str:
    return lexicon.date(int(match["sd"]), int(match["sm"]), None, _before(match))


def _hour(match: Match, lexicon: Lexicon) -> str:
    hour, minutes, half = lexicon.cardinal(int(match["h3"])), int(match["min3"] or 0), match["half"]
    past = f" {'oh ' if minutes < 10 else ''}{lexicon.cardinal(minutes)}" if minutes else ""
    return f"{hour}{past} {half[0].upper()}M{_stop(match) if half.endswith('.') else ''}"


def _clock(match: Match, lexicon: Lexicon) -> str:
    return lexicon.clock(int(match["h"]), int(match["min"] or 0))


def _span(match: Match, lexicon: Lexicon) -> str:
    """From one time of day to another."""
    ends = [_DIGITS.findall(end) for end in _DASH.split(match.group())]
    return f" {lexicon.until} ".join(lexicon.clock(int(end[0]), int(end[1]) if len(end) > 1 else 0) for end in ends)


def _heure(match: Match, lexicon: Lexicon) -> str:
    return lexicon.clock(int(match["h4"]), int(match["min4"]))


def _time(match: Match, lexicon: Lexicon) -> str:
    return lexicon.clock(int(match["h2"]), int(match["min2"]))


# amounts


def _signed(words: str, match: Match, lexicon: Lexicon) -> str:
    return f"{lexicon.minus} {words}" if match.group()[0] in "-−" else words


def _price(match: Match, lexicon: Lexicon) -> str:
    return _signed(figures.money(match["amount"], match["cur"], match["scale"] or "", lexicon), match, lexicon)


def _paid(match: Match, lexicon: Lexicon) -> str:
    return _signed(figures.money(match["amount2"], match["cur2"], match["scale2"] or "", lexicon), match, lexicon)


def _measure(match: Match, lexicon: Lexicon) -> str:
    if match["percent"]:
        words = f"{figures.read(figures.parse(match['amount3'], lexicon), lexicon)} {lexicon.percent}"
    else:
        words = figures.counted(match["amount3"], lexicon.units[match["unit"]], lexicon)
        words += _stop(match) if match["unit"].endswith(".") else ""
    return _signed(words, match, lexicon)


def _range(match: Match, lexicon: Lexicon) -> str:
    low, high = match["from"], match["to"]
    grows = int(low) < int(high) and not low.startswith("0")
    between = lexicon.until if grows else ""
    last = figures.plain(high, lexicon)
    if match["of"]:
        last = f"{last} {lexicon.percent}"
    elif match["unit2"]:
        last = figures.counted(high, lexicon.units[match["unit2"]], lexicon)
    return " ".join(filter(None, (figures.plain(low, lexicon), between, last)))


def _dotted(match: Match, lexicon: Lexicon) -> str:
    """A version or an address of a machine; where the language groups by dots, perhaps a number."""
    parts = match.group().split(".")
    if lexicon.decimal == "," and len(parts[0]) <= 3 and all(len(part) == 3 for part in parts[1:]):
        return lexicon.number(int("".join(parts)))
    return f" {lexicon.signs.dot} ".join(figures.plain(part, lexicon) for part in parts)


def _nth(match: Match, lexicon: Lexicon) -> str | None:
    value = int(match["rank"])
    if not value:
        return None
    if value == 1 and match.group().endswith("re"):  # 1re, 1ère
        return "première"
    words = lexicon.ordinal(value)
    article = match.groupdict().get("art")
    if article is None:
        return words
    weak = article.lower() not in ("der", "die", "das")
    return f"{article} {words}{'n' if weak else ''}"


def _postcode(match: Match, lexicon: Lexicon) -> str:
    """1234 AB: two numbers, two letters."""
    first, second = match["place"][:2], match["place"][2:]
    said = lexicon.spell(second) if second.startswith("0") else lexicon.cardinal(int(second))
    return f"{lexicon.cardinal(int(first))} {said} {' '.join(match['street'])}"


def _number(match: Match, lexicon: Lexicon) -> str:
    if lexicon.code == "de" and match.group() == "1" and _NOUN.match(match.string, match.end()):
        return "ein"  # "eins" counts nothing; the gender of what follows is not known
    return _signed(figures.plain(match["amount4"], lexicon), match, lexicon)


# words


def _stop(match: Match) -> str:
    """The full stop of an abbreviation that ends the text is the sentence's as well."""
    return "." if _TEXT_ENDS.match(match.string, match.end()) else ""


def _abbreviation(match: Match, lexicon: Lexicon) -> str:
    written = match.group()
    known = lexicon.abbreviations.get(written)
    if known is None:
        written = written[0].lower() + written[1:]
        known = lexicon.abbreviations[written]
        known = known[0].upper() + known[1:]
    if not written.endswith("."):
        return known
    ends = written in lexicon.keep_stop and _NEW_SENTENCE.match(match.string, match.end()) is not None
    return known + ("." if ends else _stop(match))


def _sign(match: Match, lexicon: Lexicon) -> str:
    sign = match.group()
    words = lexicon.symbols[sign]
    free_before = match.start() == 0 or match.string[match.start() - 1].isspace()
    free_behind = match.end() == len(match.string) or match.string[match.end()].isspace()
    return f"{'' if free_before else ' '}{words}{'' if free_behind else ' '}"


_READERS: Final[dict[str, Reader]] = {
    "email": lambda match, lexicon: addresses.email(match.group(), lexicon),
    "url": lambda match, lexicon: addresses.url(match.group(), lexicon),
    "iban": lambda match, lexicon: addresses.account(match.group(), lexicon),
    "phone": _phone,
    "code": lambda match, lexicon: addresses.code(match.group(), lexicon),
    "iso": _iso,
    "date": _date,
    "dated": _dated,
    "month": _month,
    "short": _short,
    "hour": _hour,
    "heure": _heure,
    "span": _span,
    "postcode": _postcode,
    "clock": _clock,
    "time": _time,
    "price": _price,
    "paid": _paid,
    "measure": _measure,
    "range": _range,
    "dotted": _dotted,
    "nth": _nth,
    "number": _number,
    "abbr": _abbreviation,
    "sign": _sign,
    "slash": lambda match, lexicon: " ",
}
_ALWAYS: Final = frozenset(("email", "url", "iban", "phone", "code"))
