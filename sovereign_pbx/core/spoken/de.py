"""German."""

from typing import Final

from sovereign_pbx.core.spoken.lexicon import Currency, Lexicon, Noun, Signs, listed

_SMALL: Final = listed(
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn"
    " achtzehn neunzehn"
)
_TENS: Final = ("", "", *listed("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"))
_SCALES: Final = (
    (10**12, Noun("Billion", "Billionen", "f")),
    (10**9, Noun("Milliarde", "Milliarden", "f")),
    (10**6, Noun("Million", "Millionen", "f")),
)
_STEMS: Final = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}
_MONTHS: Final = listed("Januar Februar März April Mai Juni Juli August September Oktober November Dezember")
# What comes before a date decides its ending: "am zwanzigsten", "der zwanzigste", "zwanzigster".
_WEAK: Final = frozenset(listed("am vom zum im beim ab bis seit den dem des einem zur nach und oder"))
_ARTICLES: Final = frozenset(listed("der die das"))


def cardinal(value: int) -> str:
    """0 … MOST."""
    for size, name in _SCALES:
        if value >= size:
            rest = f" {cardinal(value % size)}" if value % size else ""
            return f"{counted(value // size, name)}{rest}"
    return _joined(value)


def _joined(value: int) -> str:
    if value >= 1000:
        thousands = _bound(value // 1000) if value >= 2000 else ""
        return f"{thousands}tausend{_joined(value % 1000) if value % 1000 else ''}"
    if value >= 100:
        hundreds = _bound(value // 100) if value >= 200 else ""
        return f"{hundreds}hundert{_joined(value % 100) if value % 100 else ''}"
    if value < 20:
        return _SMALL[value]
    ones = value % 10
    return f"{_bound(ones)}und{_TENS[value // 10]}" if ones else _TENS[value // 10]


def _bound(value: int) -> str:
    """Before another word: "ein", not "eins"."""
    words = _joined(value)
    return words[:-1] if words.endswith("eins") else words


def _stem(value: int) -> str:
    small = value % 100
    if 0 < small < 20:
        before = cardinal(value - small) if value > small else ""
        return before + _STEMS.get(small, f"{_SMALL[small]}t")
    return f"{cardinal(value)}st"


def ordinal(value: int) -> str:
    """Behind an article, as most often: "der zweite"."""
    return f"{_stem(value)}e"


def counted(value: int, noun: Noun) -> str:
    if value == 1:
        return f"{'eine' if noun.gender == 'f' else 'ein'} {noun.one}"
    return f"{cardinal(value)} {noun.many}"


def year(value: int) -> str:
    if not 1100 <= value < 2000:
        return cardinal(value)
    return f"{_joined(value // 100)}hundert{_joined(value % 100) if value % 100 else ''}"


def clock(hours: int, minutes: int) -> str:
    hour = f"{'ein' if hours == 1 else cardinal(hours)} Uhr"
    return f"{hour} {cardinal(minutes)}" if minutes else hour


def date(day: int, month: int, year_: int | None, before: str) -> str:
    word = before.lower()
    ending = "en" if word in _WEAK else "e" if word in _ARTICLES else "er"
    words = f"{_stem(day)}{ending} {_MONTHS[month - 1]}"
    return words if year_ is None else f"{words} {year(year_)}"


_EURO: Final = Currency(Noun("Euro", "Euro"), Noun("Cent", "Cent"))
_POUND: Final = Currency(Noun("Pfund", "Pfund", "n"), Noun("Penny", "Pence"))
_DOLLAR: Final = Currency(Noun("Dollar", "Dollar"), Noun("Cent", "Cent"))
_FRANC: Final = Currency(Noun("Schweizer Franken", "Schweizer Franken"), Noun("Rappen", "Rappen"))


def _same(word: str) -> Noun:
    return Noun(word, word)


LEXICON: Final = Lexicon(
    code="de",
    decimal=",",
    digits=_SMALL[:10],
    cardinal=cardinal,
    ordinal=ordinal,
    counted=counted,
    year=year,
    clock=clock,
    date=date,
    point="Komma",
    minus="minus",
    percent="Prozent",
    until="bis",
    signs=Signs(dot="Punkt", at="at", slash="Schrägstrich", dash="Bindestrich", underscore="Unterstrich"),
    months=_MONTHS,
    month_forms={"jan": 1, "feb": 2, "mär": 3, "mrz": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9}
    | {"sept": 9, "okt": 10, "nov": 11, "dez": 12, "jänner": 1},
    currencies={"€": _EURO, "EUR": _EURO, "Euro": _EURO, "£": _POUND, "GBP": _POUND, "$": _DOLLAR, "USD": _DOLLAR}
    | {"US$": _DOLLAR, "CHF": _FRANC},
    one_by_one=frozenset(("110", "112")),
    scales=("Millionen", "Million", "Milliarden", "Milliarde", "Tausend", "Mio.", "Mrd."),
    units={
        "km": _same("Kilometer"),
        "m": _same("Meter"),
        "cm": _same("Zentimeter"),
        "mm": _same("Millimeter"),
        "km/h": _same("Kilometer pro Stunde"),
        "m²": _same("Quadratmeter"),
        "m2": _same("Quadratmeter"),
        "m³": _same("Kubikmeter"),
        "kg": _same("Kilo"),
        "g": _same("Gramm"),
        "mg": _same("Milligramm"),
        "l": _same("Liter"),
        "ml": _same("Milliliter"),
        "°C": _same("Grad Celsius"),
        "°": _same("Grad"),
        "kWh": Noun("Kilowattstunde", "Kilowattstunden", "f"),
        "kW": _same("Kilowatt"),
        "W": _same("Watt"),
        "V": _same("Volt"),
        "GB": _same("Gigabyte"),
        "MB": _same("Megabyte"),
        "TB": _same("Terabyte"),
        "Mbit/s": _same("Megabit pro Sekunde"),
        "h": Noun("Stunde", "Stunden", "f"),
        "Std.": Noun("Stunde", "Stunden", "f"),
        "min": Noun("Minute", "Minuten", "f"),
        "Min.": Noun("Minute", "Minuten", "f"),
        "sec": Noun("Sekunde", "Sekunden", "f"),
        "Sek.": Noun("Sekunde", "Sekunden", "f"),
        "St.": _same("Stück"),
        "Stk.": _same("Stück"),
    },
    ordinal_marks="",
    oclock="Uhr",
    abbreviations={
        "z.B.": "zum Beispiel",
        "z. B.": "zum Beispiel",
        "d.h.": "das heißt",
        "d. h.": "das heißt",
        "u.a.": "unter anderem",
        "u. a.": "unter anderem",
        "i.d.R.": "in der Regel",
        "z.Zt.": "zurzeit",
        "o.ä.": "oder ähnliches",
        "u.s.w.": "und so weiter",
        "usw.": "und so weiter",
        "bzw.": "beziehungsweise",
        "ggf.": "gegebenenfalls",
        "evtl.": "eventuell",
        "ca.": "circa",
        "inkl.": "inklusive",
        "exkl.": "exklusive",
        "zzgl.": "zuzüglich",
        "Hr.": "Herr",
        "Dr.": "Doktor",
        "Prof.": "Professor",
        "Nr.": "Nummer",
        "Tel.": "Telefon",
        "Str.": "Straße",
        "Abt.": "Abteilung",
        "max.": "maximal",
        "min.": "minimal",
        "mind.": "mindestens",
        "vgl.": "vergleiche",
        "etc.": "et cetera",
        "MwSt.": "Mehrwertsteuer",
        "Mio.": "Millionen",
        "Mrd.": "Milliarden",
        "vs.": "versus",
        "S.": "Seite",
    },
    keep_stop=frozenset(("usw.", "u.s.w.", "etc.", "o.ä.")),  # nouns have capitals: only what ends most lists
    before_figures=frozenset(("Nr.", "S.")),
    symbols={
        "&": "und",
        "+": "plus",
        "=": "gleich",
        "~": "etwa",
        "±": "plus minus",
        "×": "mal",
        "≈": "etwa",
        "#": "Nummer",
        "§": "Paragraf",
    },
)
