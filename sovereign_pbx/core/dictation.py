"""Numbers, names and addresses as they are dictated: how much of them there is so far. en, nl, de, fr, es, it, ru.

All languages are read together: callers say "zero six" to a Dutch assistant, and recognisers write digits for some
words and words for others.
"""

import re
from typing import Final

from sovereign_pbx.core.word_lists import word_set

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[@.+#/_-]")
_ONE: Final = word_set(
    "zero oh o one two three four five six seven eight nine"
    " nul een één twee drie vier vijf zes zeven acht negen"
    " null eins zwei zwo drei vier fünf sechs sieben acht neun"
    " zéro un deux trois quatre cinq six sept huit neuf"
    " cero uno dos tres cuatro cinco seis siete ocho nueve"
    " zero uno due tre quattro cinque sei sette otto nove"
    " ноль один два три четыре пять шесть семь восемь девять"
)
_AMBIGUOUS: Final = word_set("oh o een un")  # a sigh, and articles: digits only among digits
_TWO: Final = re.compile(
    r"ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
    r"|tien|elf|twaalf|dertien|veertien|(?:vijf|zes|zeven|acht|negen)tien"
    r"|(?:(?:een|twee|drie|vier|vijf|zes|zeven|acht|negen)[eë]n)?(?:twin|der|veer|vijf|zes|zeven|tach|negen)tig"
    r"|zehn|zwölf|(?:drei|vier|fünf|sech|sieb|acht|neun)zehn"
    r"|(?:(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und)?(?:zwan|vier|fünf|sech|sieb|acht|neun)zig"
    r"|(?:(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und)?dreißig|(?:\w+und)?dreissig"
    r"|diez|once|doce|trece|catorce|quince|(?:veinti|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa)\w*|veinte"
    r"|dieci|undici|dodici|(?:venti|trenta|quaranta|cinquanta|sessanta|settanta|ottanta|novanta)\w*"
    r"|\w+надцать|двадцать|тридцать|сорок|пятьдесят|шестьдесят|семьдесят|восемьдесят|девяносто|десять"
    r"|dix|onze|douze|treize|quatorze|quinze|seize|vingts?|trente|quarante|cinquante|soixante|septante|huitante|nonante"
)
_TENS: Final = word_set(
    "twenty thirty forty fifty sixty seventy eighty ninety vingt trente quarante cinquante soixante"
)
_TWICE: Final = {
    **dict.fromkeys(("double", "dubbel", "doppel", "doppelt"), 2),
    **dict.fromkeys(("triple", "driemaal", "dreifach"), 3),
}
_BETWEEN: Final = word_set("and en und et y e plus dash hyphen streepje strich tiret . + # / -")
_AT: Final = word_set("@ at apenstaartje apestaartje ät klammeraffe arobase arrobas arobas arroba chiocciola собака")
_DOT: Final = word_set(". dot punt point punkt punto точка")
_JOINT: Final = word_set("- _ dash hyphen underscore streepje bindestrich unterstrich tiret")
_LETTERS: Final = word_set(
    "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa"
    " quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu anton berta cäsar dora emil friedrich"
    " gustav heinrich ida julius kaufmann ludwig martha nordpol otto paula quelle richard samuel theodor ulrich viktor"
    " wilhelm xanthippe ypsilon zacharias zeppelin"
)
_ENDINGS: Final = word_set("com net org info eu nl de fr be uk io at ch lu es it biz shop app dev online")
MONTHS: Final = word_set(
    "january february march april may june july august september october november december"
    " januari februari maart mei juni juli augustus oktober januar februar märz mai dezember"
    " janvier février mars avril juin juillet août septembre octobre novembre décembre"
)
_CODE_LETTERS: Final = 2
_HOUR: Final = 2  # digits of an hour or of minutes
_SINGLY: Final = 2
_YEAR_DIGITS: Final = 2
_LONE: Final = word_set("a i o u y à")  # words of their own


def words_of(text: str) -> list[str]:
    """Words in lower case, and the signs that are said in addresses and numbers."""
    return list(_WORD.findall(text.casefold().replace("’", "'")))


def digits_at_end(words: list[str]) -> int:
    """Digits of the number with which `words` ends; 0 where they don't end in one."""
    count, last_spoken = 0, ""
    for word in reversed(words):
        size = _size(word)
        if size:
            # "twenty five" is two digits, not three: the tens were counted with the units behind them
            units = last_spoken in _ONE and word in _TENS
            count += 1 if units else size
            last_spoken = word
        elif word in _TWICE and last_spoken in _ONE:
            count += _TWICE[word] - 1
        elif word not in _BETWEEN:
            break
    return 0 if count == 1 and last_spoken in _AMBIGUOUS else count


def only_digits(words: list[str]) -> bool:
    """Nothing but digits has been said."""
    return all(_size(word) for word in words)


def dictated_singly(words: list[str]) -> int:
    """Digits at the end that are said one by one ("zero two", not "ten thirty") or written as one long number."""
    count = digits_at_end(words)
    singly = sum(word in _ONE or (word.isdecimal() and len(word) != _HOUR) for word in words[-count:]) if count else 0
    return count if singly >= _SINGLY or (count and len(words[-1]) > _HOUR and words[-1].isdecimal()) else 0


def letters_at_end(words: list[str]) -> int:
    """Letters spelt one by one at the end ("J A N", "juliet alpha"), signs of an address between them left out."""
    count = lone = 0
    for word in reversed(words):
        if (len(word) == 1 and word.isalpha()) or word in _LETTERS:
            count += 1
            lone += word in _LONE
        elif word not in _JOINT and word not in _DOT:
            break
    return 0 if count <= lone else count


def code_at_end(words: list[str]) -> int:
    """Characters of the postcode or number with letters at the end ("1012 AB", "SW1A 1AA"); 0 where there are none."""
    count, numbers = 0, False
    for word in reversed(words):
        number = any(character.isdecimal() for character in word) or (word in _ONE and word not in _AMBIGUOUS)
        if not number and (len(word) > _CODE_LETTERS or not word.isalpha() or numbers):
            break
        numbers |= number
        count += 1 if word in _ONE else len(word)
    return count if numbers else 0


def year_follows_month(words: list[str]) -> bool:
    """Whether a date has come to its year: "the fifth of march nineteen eighty"."""
    month = max((place for place, word in enumerate(words) if word in MONTHS), default=-1)
    return month >= 0 and digits_at_end(words[month + 1 :]) >= _YEAR_DIGITS


def address(words: list[str]) -> str:
    """How far an e-mail address has come: "" (there is none), "begun", or "whole"."""
    signs = [place for place, word in enumerate(words) if word in _AT]
    place = signs[-1] if signs else -1
    behind = words[place + 1 :] if signs else []
    dots = [number for number, word in enumerate(behind[:-1]) if word in _DOT]
    said = signs and (words[place] != "at" or dots or (not behind and _joined(words[:place])))
    if said and dots:
        return "whole" if behind[-1] in _ENDINGS and behind[-2] in _DOT else "begun"
    if said:
        return "begun"
    return "begun" if words and (words[-1] in _JOINT or (words[-1] in _DOT and words[-1] != ".")) else ""


def _joined(words: list[str]) -> bool:
    """Whether these look like the part before the sign: "jan punt jansen"."""
    return any(word in _DOT or word in _JOINT for word in words[-4:])


def _size(word: str) -> int:
    if word.isdecimal():
        return len(word)
    if word in _ONE:
        return 1
    return 2 if _TWO.fullmatch(word) else 0
