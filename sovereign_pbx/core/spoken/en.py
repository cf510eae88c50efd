"""English. Days come before months in figures (20/11/2026) unless the tag is en-US."""

from dataclasses import replace
from typing import Final

from sovereign_pbx.core.spoken.lexicon import Currency, Lexicon, Noun, Signs, listed

_SMALL: Final = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS: Final = ("", "", *listed("twenty thirty forty fifty sixty seventy eighty ninety"))
_SCALES: Final = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
_IRREGULAR: Final = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"} | {
    "nine": "ninth",
    "twelve": "twelfth",
}
_MONTHS: Final = listed("January February March April May June July August September October November December")


def cardinal(value: int) -> str:
    """0 … MOST."""
    for size, name in _SCALES:
        if value >= size:
            return f"{cardinal(value // size)} {name}{_rest(value % size)}"
    if value >= 100:
        return f"{_SMALL[value // 100]} hundred{_rest(value % 100)}"
    if value < 20:
        return _SMALL[value]
    return _TENS[value // 10] + (f"-{_SMALL[value % 10]}" if value % 10 else "")


def _rest(value: int) -> str:
    if not value:
        return ""
    return f" and {cardinal(value)}" if value < 100 else f" {cardinal(value)}"


def ordinal(value: int) -> str:
    """1st, 20th."""
    words = cardinal(value)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    before, last = words[:cut], words[cut:]
    if last in _IRREGULAR:
        return before + _IRREGULAR[last]
    return f"{before}{last[:-1]}ieth" if last.endswith("y") else f"{before}{last}th"


def counted(value: int, noun: Noun) -> str:
    return f"{cardinal(value)} {noun.one if value == 1 else noun.many}"


def year(value: int) -> str:
    if not (1100 <= value < 2000 or 2010 <= value < 2100):
        return cardinal(value)
    century, rest = divmod(value, 100)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def clock(hours: int, minutes: int) -> str:
    if not minutes and hours in (0, 24):
        return "midnight"
    hour = cardinal(hours % 12 or 12)
    half = " PM" if hours > 12 else " AM" if hours == 0 else ""
    if not minutes:
        return f"{hour}{half}" if half else f"{hour} o'clock"
    return f"{hour} {'oh ' if minutes < 10 else ''}{cardinal(minutes)}{half}"


def date(day: int, month: int, year_: int | None, before: str) -> str:
    article = "" if before.lower() == "the" else "the "
    words = f"{article}{ordinal(day)} of {_MONTHS[month - 1]}"
    return words if year_ is None else f"{words} {year(year_)}"


_CENT: Final = Noun("cent", "cents")
_EURO: Final = Currency(Noun("euro", "euros"), _CENT)
_POUND: Final = Currency(Noun("pound", "pounds"), Noun("penny", "pence"))
_DOLLAR: Final = Currency(Noun("dollar", "dollars"), _CENT)
_FRANC: Final = Currency(Noun("Swiss franc", "Swiss francs"), Noun("centime", "centimes"))

LEXICON: Final = Lexicon(
    code="en",
    decimal=".",
    digits=_SMALL[:10],
    cardinal=cardinal,
    ordinal=ordinal,
    counted=counted,
    year=year,
    clock=clock,
    date=date,
    point="point",
    minus="minus",
    percent="percent",
    until="to",
    signs=Signs(dot="dot", at="at", slash="slash", dash="dash", underscore="underscore"),
    months=_MONTHS,
    month_forms={"jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9}
    | {"oct": 10, "nov": 11, "dec": 12},
    currencies={"€": _EURO, "EUR": _EURO, "£": _POUND, "GBP": _POUND, "$": _DOLLAR, "USD": _DOLLAR, "US$": _DOLLAR}
    | {"CHF": _FRANC},
    one_by_one=frozenset(("112", "911", "999")),
    scales=("million", "billion", "thousand"),
    units={
        "km": Noun("kilometre", "kilometres"),
        "m": Noun("metre", "metres"),
        "cm": Noun("centimetre", "centimetres"),
        "mm": Noun("millimetre", "millimetres"),
        "km/h": Noun("kilometre per hour", "kilometres per hour"),
        "mph": Noun("mile per hour", "miles per hour"),
        "mi": Noun("mile", "miles"),
        "ft": Noun("foot", "feet"),
        "lb": Noun("pound", "pounds"),
        "lbs": Noun("pound", "pounds"),
        "oz": Noun("ounce", "ounces"),
        "m²": Noun("square metre", "square metres"),
        "m2": Noun("square metre", "square metres"),
        "kg": Noun("kilo", "kilos"),
        "g": Noun("gram", "grams"),
        "mg": Noun("milligram", "milligrams"),
        "l": Noun("litre", "litres"),
        "ml": Noun("millilitre", "millilitres"),
        "°C": Noun("degree Celsius", "degrees Celsius"),
        "°F": Noun("degree Fahrenheit", "degrees Fahrenheit"),
        "°": Noun("degree", "degrees"),
        "kWh": Noun("kilowatt hour", "kilowatt hours"),
        "kW": Noun("kilowatt", "kilowatts"),
        "W": Noun("watt", "watts"),
        "V": Noun("volt", "volts"),
        "GB": Noun("gigabyte", "gigabytes"),
        "MB": Noun("megabyte", "megabytes"),
        "TB": Noun("terabyte", "terabytes"),
        "Mbit/s": Noun("megabit per second", "megabits per second"),
        "Mbps": Noun("megabit per second", "megabits per second"),
        "h": Noun("hour", "hours"),
        "hr": Noun("hour", "hours"),
        "hrs": Noun("hour", "hours"),
        "min": Noun("minute", "minutes"),
        "mins": Noun("minute", "minutes"),
        "min.": Noun("minute", "minutes"),
        "hrs.": Noun("hour", "hours"),
        "sec.": Noun("second", "seconds"),
        "sec": Noun("second", "seconds"),
        "secs": Noun("second", "seconds"),
    },
    ordinal_marks=r"(?:st|nd|rd|th)",
    oclock=r"o'clock",
    abbreviations={
        "e.g.": "for example",
        "i.e.": "that is",
        "etc.": "et cetera",
        "Mr.": "Mister",
        "Mr": "Mister",
        "Mrs.": "Missus",
        "Mrs": "Missus",
        "Ms.": "Miz",
        "Dr.": "Doctor",
        "Dr": "Doctor",
        "Prof.": "Professor",
        "No.": "Number",
        "no.": "number",
        "nr.": "number",
        "approx.": "approximately",
        "vs.": "versus",
        "Ave.": "Avenue",
        "Rd.": "Road",
        "Blvd.": "Boulevard",
        "appt.": "appointment",
        "dept.": "department",
        "ext.": "extension",
        "tel.": "telephone",
        "incl.": "including",
        "excl.": "excluding",
        "max.": "maximum",
        "min.": "minimum",
        "Inc.": "Incorporated",
        "Ltd.": "Limited",
        "Jr.": "Junior",
        "Sr.": "Senior",
        "p.p.": "per person",
        "w/o": "without",
        "w/": "with",
        "a.m.": "AM",
        "p.m.": "PM",
        "asap": "as soon as possible",
        "ASAP": "as soon as possible",
    },
    keep_stop=frozenset(("etc.", "a.m.", "p.m.", "Inc.", "Ltd.", "Jr.", "Sr.", "Ave.", "Rd.", "Blvd.")),
    before_figures=frozenset(("no.", "No.", "nr.")),
    symbols={
        "&": "and",
        "+": "plus",
        "=": "equals",
        "~": "about",
        "±": "plus or minus",
        "×": "times",
        "≈": "about",
        "#": "number",
        "§": "section",
    },
)


def _american_date(day: int, month: int, year_: int | None, before: str) -> str:
    words = f"{_MONTHS[month - 1]} {ordinal(day)}"
    return words if year_ is None else f"{words}, {year(year_)}"


AMERICAN: Final = replace(LEXICON, date=_american_date, month_first=True)
