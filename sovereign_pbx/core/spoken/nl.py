"""Dutch."""

from typing import Final

from sovereign_pbx.core.spoken.lexicon import Currency, Lexicon, Noun, Signs, listed

_SMALL: Final = listed(
    "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien"
    " achttien negentien"
)
_TENS: Final = ("", "", *listed("twintig dertig veertig vijftig zestig zeventig tachtig negentig"))
_ORDINALS: Final = listed(
    "nulde eerste tweede derde vierde vijfde zesde zevende achtste negende tiende elfde twaalfde dertiende veertiende"
    " vijftiende zestiende zeventiende achttiende negentiende"
)
_SCALES: Final = ((10**12, "biljoen"), (10**9, "miljard"), (10**6, "miljoen"))
_MONTHS: Final = listed("januari februari maart april mei juni juli augustus september oktober november december")


def cardinal(value: int) -> str:
    """0 … MOST."""
    for size, name in _SCALES:
        if value >= size:
            rest = f" {cardinal(value % size)}" if value % size else ""
            return f"{cardinal(value // size)} {name}{rest}"
    if value >= 2000 or 1000 <= value < 1100:
        thousands = "" if value < 2000 else cardinal(value // 1000)
        rest = f" {cardinal(value % 1000)}" if value % 1000 else ""
        return f"{thousands}duizend{rest}"
    if value >= 100:  # 1100 to 1999 are counted in hundreds
        hundreds = "" if value < 200 else cardinal(value // 100)
        return f"{hundreds}honderd{cardinal(value % 100) if value % 100 else ''}"
    return _below_hundred(value)


def _below_hundred(value: int) -> str:
    if value < 20:
        return _SMALL[value]
    tens, ones = _TENS[value // 10], value % 10
    return f"{_SMALL[ones]}{'ë' if ones in (2, 3) else 'e'}n{tens}" if ones else tens


def ordinal(value: int) -> str:
    """1e, 20e."""
    small = value % 100
    if 0 < small < 20:
        before = cardinal(value - small) if value > small else ""
        return f"{before}{' ' if value > 1999 else ''}{_ORDINALS[small]}".strip()
    return f"{cardinal(value)}ste"


def counted(value: int, noun: Noun) -> str:
    return f"één {noun.one}" if value == 1 else f"{cardinal(value)} {noun.many}"


def clock(hours: int, minutes: int) -> str:
    hour = "één uur" if hours == 1 else f"{cardinal(hours)} uur"
    return f"{hour} {cardinal(minutes)}" if minutes else hour


def date(day: int, month: int, year: int | None, before: str) -> str:
    first = "één" if day == 1 else cardinal(day)
    return " ".join([first, _MONTHS[month - 1], *([cardinal(year)] if year is not None else [])])


_CENT: Final = Noun("cent", "cent")
_EURO: Final = Currency(Noun("euro", "euro"), _CENT)
_POUND: Final = Currency(Noun("pond", "pond"), Noun("penny", "pence"))
_DOLLAR: Final = Currency(Noun("dollar", "dollar"), _CENT)
_FRANC: Final = Currency(Noun("Zwitserse frank", "Zwitserse frank"), Noun("rappen", "rappen"))


def _same(word: str) -> Noun:
    return Noun(word, word)


LEXICON: Final = Lexicon(
    code="nl",
    decimal=",",
    digits=tuple("één" if word == "een" else word for word in _SMALL[:10]),
    cardinal=cardinal,
    ordinal=ordinal,
    counted=counted,
    year=cardinal,
    clock=clock,
    date=date,
    point="komma",
    minus="min",
    percent="procent",
    until="tot",
    signs=Signs(dot="punt", at="apenstaartje", slash="slash", dash="streepje", underscore="laag streepje"),
    months=_MONTHS,
    month_forms={"jan": 1, "feb": 2, "mrt": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9}
    | {"okt": 10, "nov": 11, "dec": 12},
    currencies={"€": _EURO, "EUR": _EURO, "euro": _EURO, "£": _POUND, "GBP": _POUND, "$": _DOLLAR, "USD": _DOLLAR}
    | {"US$": _DOLLAR, "CHF": _FRANC},
    one_by_one=frozenset(("112",)),
    scales=("miljoen", "miljard", "duizend", "mln.", "mln", "mld.", "mld"),
    units={
        "km": _same("kilometer"),
        "m": _same("meter"),
        "cm": _same("centimeter"),
        "mm": _same("millimeter"),
        "km/u": _same("kilometer per uur"),
        "km/h": _same("kilometer per uur"),
        "m²": _same("vierkante meter"),
        "m2": _same("vierkante meter"),
        "m³": _same("kubieke meter"),
        "m3": _same("kubieke meter"),
        "kg": _same("kilo"),
        "g": _same("gram"),
        "gr": _same("gram"),
        "mg": _same("milligram"),
        "l": _same("liter"),
        "ml": _same("milliliter"),
        "cl": _same("centiliter"),
        "°C": Noun("graad Celsius", "graden Celsius"),
        "°": Noun("graad", "graden"),
        "kWh": _same("kilowattuur"),
        "kW": _same("kilowatt"),
        "W": _same("watt"),
        "V": _same("volt"),
        "GB": _same("gigabyte"),
        "MB": _same("megabyte"),
        "TB": _same("terabyte"),
        "Mbit/s": _same("megabit per seconde"),
        "Mb/s": _same("megabit per seconde"),
        "u": _same("uur"),
        "min": Noun("minuut", "minuten"),
        "min.": Noun("minuut", "minuten"),
        "sec": Noun("seconde", "seconden"),
        "sec.": Noun("seconde", "seconden"),
        "st.": Noun("stuk", "stuks"),
    },
    ordinal_marks=r"(?:ste|de|e)",
    oclock=r"(?:uur|u)",
    abbreviations={
        "bijv.": "bijvoorbeeld",
        "bv.": "bijvoorbeeld",
        "dhr.": "de heer",
        "mevr.": "mevrouw",
        "mw.": "mevrouw",
        "dr.": "dokter",
        "drs.": "doctorandus",
        "ir.": "ingenieur",
        "mr.": "meester",
        "prof.": "professor",
        "nr.": "nummer",
        "nrs.": "nummers",
        "tel.": "telefoon",
        "t/m": "tot en met",
        "o.a.": "onder andere",
        "i.v.m.": "in verband met",
        "m.b.t.": "met betrekking tot",
        "i.p.v.": "in plaats van",
        "d.w.z.": "dat wil zeggen",
        "t.a.v.": "ter attentie van",
        "t.n.v.": "ten name van",
        "a.u.b.": "alstublieft",
        "s.v.p.": "alstublieft",
        "z.s.m.": "zo snel mogelijk",
        "e.d.": "en dergelijke",
        "p.p.": "per persoon",
        "p/m": "per maand",
        "p/st": "per stuk",
        "a.s.": "aanstaande",
        "jl.": "jongstleden",
        "ca.": "circa",
        "incl.": "inclusief",
        "excl.": "exclusief",
        "evt.": "eventueel",
        "max.": "maximaal",
        "min.": "minimaal",
        "blz.": "bladzijde",
        "str.": "straat",
        "etc.": "enzovoort",
        "enz.": "enzovoort",
        "afd.": "afdeling",
        "resp.": "respectievelijk",
        "vs.": "versus",
        "mln.": "miljoen",
        "mln": "miljoen",
        "mld.": "miljard",
        "mld": "miljard",
    },
    keep_stop=frozenset(("etc.", "enz.", "e.d.", "a.u.b.", "s.v.p.", "z.s.m.", "p.p.")),
    before_figures=frozenset(("nr.", "nrs.", "blz.")),
    symbols={
        "&": "en",
        "+": "plus",
        "=": "is",
        "~": "ongeveer",
        "±": "ongeveer",
        "×": "keer",
        "≈": "ongeveer",
        "#": "nummer",
        "§": "paragraaf",
    },
)
