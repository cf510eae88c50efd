"""French, with the numerals of France (soixante-dix, quatre-vingt-dix)."""

from typing import Final

from sovereign_pbx.core.spoken.lexicon import Currency, Lexicon, Noun, Signs, listed

_SMALL: Final = listed(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit"
    " dix-neuf"
)
_TENS: Final = ("", "", *listed("vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt"))
_SCALES: Final = ((10**12, "billion"), (10**9, "milliard"), (10**6, "million"))
_MONTHS: Final = listed("janvier février mars avril mai juin juillet août septembre octobre novembre décembre")


def cardinal(value: int) -> str:
    """0 … MOST."""
    for size, name in _SCALES:
        if value >= size:
            many = value // size
            rest = f" {cardinal(value % size)}" if value % size else ""
            return f"{cardinal(many)} {name}{'s' if many > 1 else ''}{rest}"
    if value >= 1000:
        thousands = f"{_invariable(value // 1000)} " if value >= 2000 else ""
        return f"{thousands}mille{f' {cardinal(value % 1000)}' if value % 1000 else ''}"
    if value >= 100:
        hundreds, left = divmod(value, 100)
        before = "" if hundreds == 1 else f"{_SMALL[hundreds]} "
        return f"{before}cent{f' {cardinal(left)}' if left else 's' if hundreds > 1 else ''}"
    return _below_hundred(value)


def _invariable(value: int) -> str:
    """Before "mille" neither "cents" nor "vingts" keeps its s."""
    words = cardinal(value)
    return words[:-1] if words.endswith(("cents", "vingts")) else words


def _below_hundred(value: int) -> str:
    if value < 20:
        return _SMALL[value]
    tens = value // 10
    rest = value - 10 * (tens - 1 if tens in (7, 9) else tens)
    if not rest:
        return _TENS[tens] + ("s" if tens == 8 else "")
    if rest in (1, 11) and tens < 8:
        return f"{_TENS[tens]} et {_SMALL[rest]}"
    return f"{_TENS[tens]}-{_SMALL[rest]}"


def ordinal(value: int) -> str:
    """1er, 2e."""
    if value == 1:
        return "premier"
    words = cardinal(value)
    if words.endswith("cinq"):
        return f"{words}uième"
    if words.endswith("neuf"):
        return f"{words[:-1]}vième"
    if words.endswith(("cents", "vingts", "e")):
        words = words[:-1]
    return f"{words}ième"


def counted(value: int, noun: Noun) -> str:
    words = cardinal(value)
    if noun.gender == "f" and (words == "un" or words.endswith((" un", "-un"))):
        words += "e"
    of = " d'" if value >= 10**6 and value % 10**6 == 0 and noun.many[0] in "aeiouhéè" else None
    if of is None:
        of = " de " if value >= 10**6 and value % 10**6 == 0 else " "
    return f"{words}{of}{noun.one if value < 2 else noun.many}"


_HOUR: Final = Noun("heure", "heures", "f")


def clock(hours: int, minutes: int) -> str:
    hour = counted(hours, _HOUR)
    return f"{hour} {counted(minutes, Noun('', '', 'f')).strip()}" if minutes else hour


def date(day: int, month: int, year: int | None, before: str) -> str:
    first = "premier" if day == 1 else cardinal(day)
    return " ".join([first, _MONTHS[month - 1], *([cardinal(year)] if year is not None else [])])


_CENTIME: Final = Noun("centime", "centimes")
_EURO: Final = Currency(Noun("euro", "euros"), _CENTIME)
_POUND: Final = Currency(Noun("livre", "livres", "f"), Noun("penny", "pence"))
_DOLLAR: Final = Currency(Noun("dollar", "dollars"), Noun("cent", "cents"))
_FRANC: Final = Currency(Noun("franc suisse", "francs suisses"), _CENTIME)

LEXICON: Final = Lexicon(
    code="fr",
    decimal=",",
    digits=_SMALL[:10],
    cardinal=cardinal,
    ordinal=ordinal,
    counted=counted,
    year=cardinal,
    clock=clock,
    date=date,
    point="virgule",
    minus="moins",
    percent="pour cent",
    until="à",
    signs=Signs(dot="point", at="arobase", slash="slash", dash="tiret", underscore="tiret bas"),
    months=_MONTHS,
    month_forms={"janv": 1, "févr": 2, "fév": 2, "avr": 4, "juil": 7, "sept": 9, "oct": 10, "nov": 11, "déc": 12},
    currencies={"€": _EURO, "EUR": _EURO, "euros": _EURO, "£": _POUND, "GBP": _POUND, "$": _DOLLAR, "USD": _DOLLAR}
    | {"US$": _DOLLAR, "CHF": _FRANC},
    one_by_one=frozenset(),
    scales=("millions", "million", "milliards", "milliard"),
    units={
        "km": Noun("kilomètre", "kilomètres"),
        "m": Noun("mètre", "mètres"),
        "cm": Noun("centimètre", "centimètres"),
        "mm": Noun("millimètre", "millimètres"),
        "km/h": Noun("kilomètre à l'heure", "kilomètres à l'heure"),
        "m²": Noun("mètre carré", "mètres carrés"),
        "m2": Noun("mètre carré", "mètres carrés"),
        "m³": Noun("mètre cube", "mètres cubes"),
        "kg": Noun("kilo", "kilos"),
        "g": Noun("gramme", "grammes"),
        "mg": Noun("milligramme", "milligrammes"),
        "l": Noun("litre", "litres"),
        "ml": Noun("millilitre", "millilitres"),
        "°C": Noun("degré Celsius", "degrés Celsius"),
        "°": Noun("degré", "degrés"),
        "kWh": Noun("kilowattheure", "kilowattheures"),
        "kW": Noun("kilowatt", "kilowatts"),
        "W": Noun("watt", "watts"),
        "V": Noun("volt", "volts"),
        "Go": Noun("gigaoctet", "gigaoctets"),
        "Mo": Noun("mégaoctet", "mégaoctets"),
        "To": Noun("téraoctet", "téraoctets"),
        "Mbit/s": Noun("mégabit par seconde", "mégabits par seconde"),
        "min": Noun("minute", "minutes", "f"),
        "min.": Noun("minute", "minutes", "f"),
        "sec": Noun("seconde", "secondes", "f"),
    },
    ordinal_marks=r"(?:ère|re|er|ème|eme|e)",
    oclock=r"(?:heures?|h)",
    abbreviations={
        "M.": "Monsieur",
        "MM.": "Messieurs",
        "Mme": "Madame",
        "Mmes": "Mesdames",
        "Mlle": "Mademoiselle",
        "Dr": "Docteur",
        "Pr": "Professeur",
        "n°": "numéro",
        "N°": "Numéro",
        "p. ex.": "par exemple",
        "p.ex.": "par exemple",
        "c.-à-d.": "c'est-à-dire",
        "càd": "c'est-à-dire",
        "env.": "environ",
        "av.": "avenue",
        "bd": "boulevard",
        "tél.": "téléphone",
        "Tél.": "Téléphone",
        "rdv": "rendez-vous",
        "RDV": "rendez-vous",
        "svp": "s'il vous plaît",
        "SVP": "s'il vous plaît",
        "max.": "maximum",
        "min.": "minimum",
        "etc.": "et cetera",
        "qqn": "quelqu'un",
        "qqch": "quelque chose",
        "incl.": "inclus",
        "vs.": "versus",
        "TTC": "toutes taxes comprises",
        "HT": "hors taxes",
    },
    keep_stop=frozenset(("etc.", "max.", "min.", "incl.")),
    before_figures=frozenset(("n°", "N°")),
    symbols={
        "&": "et",
        "+": "plus",
        "=": "égale",
        "~": "environ",
        "±": "plus ou moins",
        "×": "fois",
        "≈": "environ",
        "#": "numéro",
        "§": "paragraphe",
    },
    pairs=True,
)
