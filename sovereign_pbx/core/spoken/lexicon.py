"""What a language needs to say what is written in figures and signs: one `Lexicon` a language."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Gender = Literal["m", "f", "n"]

MOST: Final = 10**15 - 1
"""The largest number that is said in words; what is larger is read digit by digit."""


def listed(words: str) -> tuple[str, ...]:
    """The words of a line."""
    return tuple(words.split())


class Noun(NamedTuple):
    """What is counted."""

    one: str
    many: str
    gender: Gender = "m"


class Currency(NamedTuple):
    """Money and its hundredth part."""

    whole: Noun
    part: Noun


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """How addresses are read out."""

    dot: str
    at: str
    slash: str
    dash: str
    underscore: str
    plus: str = "plus"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lexicon:
    """One language. Numbers given to the functions lie in 0 … MOST, ordinals begin at 1."""

    code: str
    decimal: str  # the decimal sign of the language
    digits: tuple[str, ...]
    cardinal: Callable[[int], str]
    ordinal: Callable[[int], str]
    counted: Callable[[int, Noun], str]  # number and noun: "één euro", "two euros", "une heure"
    year: Callable[[int], str]
    clock: Callable[[int, int], str]  # hours of 24, minutes
    date: Callable[[int, int, int | None, str], str]  # day, month, year, the word before
    point: str
    minus: str
    percent: str
    until: str  # between the ends of a range
    signs: Signs
    months: tuple[str, ...]
    month_forms: Mapping[str, int]  # other spellings of months, lower case
    currencies: Mapping[str, Currency]  # by sign, code or name
    one_by_one: frozenset[str]  # emergency numbers: "112" is no amount
    scales: tuple[str, ...]  # "million" and the like behind a figure
    units: Mapping[str, Noun]
    ordinal_marks: str  # a pattern for what follows a figure and makes it an ordinal; "" where nothing does
    oclock: str  # a pattern for the word that follows a time of day
    abbreviations: Mapping[str, str]
    keep_stop: frozenset[str]  # abbreviations that often end a sentence
    before_figures: frozenset[str]  # abbreviations that are words of their own unless a figure follows ("no.")
    symbols: Mapping[str, str]
    pairs: bool = False  # telephone numbers are read as numbers of two digits
    month_first: bool = False  # 11/20/2026

    def number(self, value: int) -> str:
        """A cardinal, or its digits when it is too large for words."""
        return self.cardinal(value) if value <= MOST else self.spell(str(value))

    def spell(self, figures: str) -> str:
        """Digit by digit."""
        return " ".join(self.digits[int(figure)] for figure in figures)
