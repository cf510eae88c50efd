"""What is found in a text: patterns for addresses, numbers, dates and abbreviations, put together for each language.

Every alternative begins at the border of a token, has bounded repeats, and separators where groups repeat, so that the
time is linear in the text, whatever stands in it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from sovereign_pbx.core.spoken.figures import FIGURE
from sovereign_pbx.core.spoken.lexicon import Lexicon

# Top-level domains by which a bare "example.nl" is known for an address; the common ones of our four languages.
_TOP: Final = (
    "com|org|net|info|biz|app|dev|shop|online|nl|be|de|fr|eu|uk|at|ch|lu|ie|es|it|pt|pl|dk|se|no|fi|us|ca|au|io|ai|tv"
    "|amsterdam|frl|gent|vlaanderen|brussels|berlin|paris|koeln|hamburg|gov|edu|cloud|tech|store|care"
)
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_HOST: Final = rf"(?:{_LABEL}\.){{1,5}}"
_NOT_URL: Final = r"\s<>\"'“”„()\[\]{}"
_PATH: Final = rf"(?:[/?#][^{_NOT_URL}]{{0,300}}(?<![.,;:!?…]))?"
_GAP: Final = r"(?: ?[-/] ?|[ .\u00a0])"
_DAY: Final = r"(?:3[01]|[12]\d|0?[1-9])"
_ALONE: Final = r"(?![\w]|[.,]\d)"
_SPACE: Final = r"[ \u00a0\u202f]?"
_START: Final = r"(?<!\w)(?<!\d[.,])"
_MINUS: Final = r"(?:(?<![^\s(])[-−](?=[\d€£$]))?"

EMAIL: Final = rf"(?<![\w.+@-])[\w.+-]{{0,63}}[\w+-]@{_HOST}[^\W\d_]{{2,18}}(?![\w@-])"
URL: Final = (
    rf"(?<![\w.@/-])(?:(?:https?|ftp|wss?)://[^{_NOT_URL}]{{1,400}}(?<![.,;:!?…])"
    rf"|www\.{_HOST}[^\W\d_]{{2,18}}{_PATH}"
    rf"|(?i:{_HOST}(?:{_TOP}))(?![\w@-])(?!\.\w){_PATH})"
)
ADDRESS: Final = re.compile(f"{EMAIL}|{URL}")

_ALWAYS: Final = (
    ("email", EMAIL),
    ("url", URL),
    ("iban", r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
    ("iso", rf"(?<![\w.,/-])(?P<iso_y>[12]\d{{3}})-(?P<iso_m>1[0-2]|0[1-9])-(?P<iso_d>{_DAY})(?![\w-])"),
    (
        "date",
        rf"(?<![\w.,/-])(?P<d>{_DAY})(?P<sep>[-/.])(?P<m>{_DAY})(?P=sep)(?P<y>[12]\d{{3}}|\d{{2}})(?![\w-]|[.,/]\d)",
    ),
    (
        "phone",  # with eight digits at least
        r"(?<![\w.,+-])(?=[+(]{0,2}(?:\d[ .()/\u00a0-]{0,3}){8})"
        rf"(?:\+\d{{1,14}}(?:(?:{_GAP}|[ ]?\(\d{{1,4}}\) ?)\d{{1,10}}){{0,7}}"
        rf"|(?:0\d{{1,14}}|\(0\d{{1,5}}\) ?\d{{1,8}})(?:{_GAP}\d{{1,8}}){{0,6}}"
        rf"|(?:1[-. ])?(?:\(\d{{3}}\) ?|\d{{3}}[-.])\d{{3}}[-. ]\d{{4}})(?!\w)(?![.,]\d)",
    ),
    ("code", r"(?<![\w.,+-])\d{9,40}(?![\w]|[.,]\d)"),
)


def rules(lexicon: Lexicon, *, full: bool) -> Iterator[tuple[str, str]]:
    """Names and patterns in the order in which they are tried. Dates are found in any case, so that none of them is
    taken for a telephone number."""
    yield from _ALWAYS
    if full:
        yield from _dates(lexicon)
        yield from _times(lexicon)
        yield from _amounts(lexicon)
        yield from _words(lexicon)


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _dates(lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    names = {*lexicon.months, *(name.lower() for name in lexicon.months)}
    short = {form for word in lexicon.month_forms for form in (word, word.capitalize())}
    month = rf"(?:(?:{_either(names)})(?!\w)|(?:{_either(short)})(?:\.|(?!\w)))"
    year = r"(?:,? (?P<{}>[12]\d{{3}})(?![\w]|[.,]\d))?"
    if lexicon.code == "en":
        yield "month", rf"(?<!\w)(?P<mm>{month}) (?P<md>{_DAY})(?:st|nd|rd|th)?(?![\w:]|[.,]\d){year.format('my')}"
        yield "dated", rf"{_START}(?P<dd>{_DAY})(?:st|nd|rd|th)? (?:of )?(?P<dm>{month}){year.format('dy')}"
    elif lexicon.code == "de":
        yield "dated", rf"{_START}(?P<dd>{_DAY})\. ?(?P<dm>{month}){year.format('dy')}"
        yield "short", rf"(?<![\w.,/-])(?P<sd>{_DAY})\.(?P<sm>1[0-2]|0?[1-9])\.(?![\w.])"
        dative = r"(?i:(?:in|mit|von|bei|nach|seit|aus|an|auf) der|zur|im|am|vom|zum|beim)"
        before = rf"(?P<art>{dative}|[Dd](?:er|ie|as|em|en))"
        yield "nth", rf"(?<!\w){before} (?P<rank>\d{{1,3}})\.(?= [^\W\d])(?! {month})"
    else:
        first = "(?:er)?" if lexicon.code == "fr" else ""
        yield "dated", rf"{_START}(?P<dd>{_DAY}){first} (?P<dm>{month}){year.format('dy')}"


def _times(lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    hour = r"(?:2[0-4]|1\d|0?\d)"
    if lexicon.code == "en":
        half = r"(?:[ap]\.m\.|[ap]m(?!\w)|[AP]M(?!\w))"
        yield "hour", rf"{_START}(?P<h3>1[0-2]|0?[1-9])(?:[:.](?P<min3>[0-5]\d))? ?(?P<half>{half})"
    letter = {"fr": "h", "nl": "u"}.get(lexicon.code, "")
    of_day = rf"{hour}(?::[0-5]\d{f'|{letter}(?:[0-5]{chr(92)}d)?' if letter else ''})"
    dash = "(?: ?[-–—] ?)"
    behind = rf"(?:{_SPACE}{lexicon.oclock})"
    yield (
        "span",
        rf"{_START}(?:{of_day}{dash}{of_day}{behind}?|{hour}\.[0-5]\d{dash}{hour}\.[0-5]\d{behind})(?![\w:]|[.,]\d)",
    )
    if letter:
        yield "heure", rf"{_START}(?P<h4>{hour}) ?{letter}(?P<min4>[0-5]\d)(?!\w)"
    yield "clock", rf"{_START}(?P<h>{hour})(?:[:.](?P<min>[0-5]\d))?{_SPACE}{lexicon.oclock}(?!\w)"
    yield "time", rf"{_START}(?P<h2>{hour}):(?P<min2>[0-5]\d)(?![\w:]|[.,]\d)"


def _amounts(lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    # French groups with spaces
    number = FIGURE.replace("[.,'", "[ .,'", 1) if lexicon.code == "fr" else FIGURE
    signs = _either(name for name in lexicon.currencies if name[-1] in "€£$" or name.isupper())
    units = _either(lexicon.units)
    scale = rf"(?: (?P<{{}}>{_either(lexicon.scales)})(?: d[e'])?(?!\w))?"
    yield (
        "price",
        rf"{_START}{_MINUS}(?P<cur>{signs}){_SPACE}(?P<amount>{number})(?:,--?|,–)?{scale.format('scale')}{_ALONE}",
    )
    yield (
        "paid",
        rf"{_START}{_MINUS}(?P<amount2>{number})(?:,--?|,–)?{scale.format('scale2')}{_SPACE}"
        rf"(?P<cur2>{_either(lexicon.currencies)})(?!\w)",
    )
    yield (
        "measure",
        rf"{_START}{_MINUS}(?P<amount3>{number}){_SPACE}(?:(?P<percent>%)|(?P<unit>{units}))(?![\w/²³])",
    )
    yield (
        "range",
        rf"{_START}(?P<from>\d{{1,4}})(?: ?[–—] ?|-)(?P<to>\d{{1,4}})"
        rf"(?:{_SPACE}(?:(?P<of>%)|(?P<unit2>{units})(?!\w)))?(?![.,:/-]\d|\w)",
    )
    yield "dotted", rf"{_START}\d{{1,4}}(?:\.\d{{1,4}}){{2,8}}(?!\w)"
    if lexicon.ordinal_marks:
        yield "nth", rf"{_START}(?P<rank>\d{{1,6}}){lexicon.ordinal_marks}(?!\w)"
    if lexicon.code == "nl":
        yield "postcode", r"(?<!\w)(?P<place>[1-9]\d{3}) ?(?P<street>[A-Z]{2})(?!\w)"
    yield "number", rf"{_START}{_MINUS}(?P<amount4>{number}){_ALONE}"


def _words(lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    forms = {form for word in lexicon.abbreviations for form in (word, word[0].upper() + word[1:])}
    counting = {form for word in lexicon.before_figures for form in (word, word[0].upper() + word[1:])} & forms
    yield "abbr", rf"(?<![\w.])(?:(?:{_either(forms - counting)})(?!\w|\.\w)|(?:{_either(counting)})(?= ?\d))"
    yield "sign", rf"(?<=\s)(?:{_either(lexicon.symbols)})(?=\s)|(?<=[^\W\d_])&(?=[^\W\d_])|(?<![^\s(])[+~±#§](?= ?\d)"
    yield "slash", r"(?<=[^\W\d_])/(?=[^\W\d_])"
