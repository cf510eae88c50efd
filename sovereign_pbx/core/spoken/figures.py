"""Numbers as people write them, read out: grouping and decimal signs, signs, ranges, money, units."""

import re
from typing import Final, NamedTuple

from sovereign_pbx.core.spoken.lexicon import MOST, Lexicon, Noun

# Grouped by threes, or plain; with decimals or without. Narrow and no-break spaces group everywhere, spaces nowhere:
# "kamer 12 345" is two numbers in three of our four languages.
FIGURE: Final = r"(?:\d{1,3}(?:[.,'’\u00a0\u202f]\d{3}){1,5}(?:[.,]\d{1,9})?|\d{1,18}(?:[.,]\d{1,9})?)(?![\d])"
_LONG: Final = 9  # figures without grouping: from here on it is a code, and read digit by digit
_CODE: Final = 5  # so many are an order, a customer, a postal code, unless they are round; amounts are grouped
_GROUPS: Final = re.compile(r"['’\u00a0\u202f ]")


class Figure(NamedTuple):
    """A written number: the digits before and behind the decimal sign."""

    whole: str
    fraction: str

    @property
    def value(self) -> int:
        return int(self.whole)


def parse(written: str, lexicon: Lexicon) -> Figure:
    """`written` matches FIGURE. A single sign with three digits behind it groups, unless it is the decimal sign of the
    language: "1.250" is a thousand in Dutch and one and a quarter in English."""
    plain = _GROUPS.sub("", written)
    last = max(plain.rfind("."), plain.rfind(","))
    if last < 0:
        return Figure(plain, "")
    sign, whole, behind = plain[last], plain[:last], plain[last + 1 :]
    other = "," if sign == "." else "."
    groups = plain.count(sign) > 1 or (len(behind) == 3 and sign != lexicon.decimal and other not in whole)
    if groups and whole not in ("0", "") and len(whole) > 0:
        return Figure(plain.replace(sign, "").replace(other, ""), "")
    return Figure(whole.replace(other, ""), behind)


def read(figure: Figure, lexicon: Lexicon) -> str:
    """The number in words."""
    whole, fraction = figure
    if len(whole) == 1 or whole[0] == "0" or len(whole) > len(str(MOST)):  # the digit "één", not the article
        words = lexicon.spell(whole)
    else:
        words = lexicon.number(int(whole))
    return f"{words} {lexicon.point} {_decimals(fraction, lexicon)}" if fraction else words


def _decimals(fraction: str, lexicon: Lexicon) -> str:
    """Two decimals are read as a number on the continent ("drie komma vijfentwintig"), digit by digit in English."""
    as_number = lexicon.decimal == "," and len(fraction) <= 2 and not fraction.startswith("0")
    return lexicon.number(int(fraction)) if as_number else lexicon.spell(fraction)


def plain(written: str, lexicon: Lexicon) -> str:
    """A bare number in running text: a code, a year, or an amount of something."""
    if written in lexicon.one_by_one:
        return lexicon.spell(written)
    figure = parse(written, lexicon)
    if not figure.fraction and written.isdecimal():
        if len(written) >= _LONG or (len(written) >= _CODE and not written.endswith("00")):
            return lexicon.spell(written)
        if len(written) == 4 and 1100 <= int(written) < 2100:
            return lexicon.year(int(written))
    return read(figure, lexicon)


def counted(written: str, noun: Noun, lexicon: Lexicon) -> str:
    """A number of something."""
    figure = parse(written, lexicon)
    leading_zero = len(figure.whole) > 1 and figure.whole[0] == "0"
    if figure.fraction or leading_zero or figure.value > MOST:
        return f"{read(figure, lexicon)} {noun.many}"
    return lexicon.counted(figure.value, noun)


def money(written: str, sign: str, scale: str, lexicon: Lexicon) -> str:
    """€12,50, $5 million, € 1.250,-."""
    currency = lexicon.currencies[sign]
    figure = parse(written, lexicon)
    if scale:
        scale = lexicon.abbreviations.get(scale, scale)
        of = "de " if lexicon.code == "fr" else ""
        return f"{read(figure, lexicon)} {scale} {of}{currency.whole.many}"
    if len(figure.fraction) not in (0, 2) or figure.value > MOST:
        return f"{read(figure, lexicon)} {currency.whole.many}"
    cents = int(figure.fraction or "0")
    if not cents:
        return lexicon.counted(figure.value, currency.whole)
    if not figure.value:
        return lexicon.counted(cents, currency.part)
    return f"{lexicon.counted(figure.value, currency.whole)} {lexicon.cardinal(cents)}"
