"""Which of the four languages a sentence is in: for calls in several languages, where each answer may be in another."""

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]+(?:'(?=[^\W\d_]))?")
_ENOUGH: Final = 2
_LOOK_AT: Final = 2000  # characters

# The commonest words that no other of the four has, or has only seldom.
_COMMON: Final = {
    "nl": "het een van voor niet wij jij jullie ik u uw zijn hebben heeft kunt kunnen wordt naar bij ook maar dat deze"
    " dit met aan om te er graag wel kost uur tot ons onze alstublieft dank heeft mijn geen nog",
    "en": "the and is of you your we are to for with that this it have has can will at from our please thank what when"
    " there would my be not it's i'm do does costs open",
    "de": "der das und ist nicht ich sie wir für mit auf ein eine einen den dem von zu sind haben hat können wird"
    " auch aber oder bitte danke ihr ihre ihnen uns kostet uhr es",
    "fr": "le la les et est des une pour vous nous votre je il elle dans avec sur qui que ne pas sont avons avez être"
    " merci au aux du c' l' d' j' n' s' coûte heures bonjour oui",
}
_LANGUAGES: Final = {code: frozenset(words.split()) for code, words in _COMMON.items()}


def guess(text: str) -> str:
    """ "nl", "en", "de" or "fr", or "" when it can't be told."""
    words = [word.lower() for word in _WORD.findall(text[:_LOOK_AT])]
    counts = sorted(((sum(word in known for word in words), code) for code, known in _LANGUAGES.items()), reverse=True)
    (best, code), (second, _) = counts[0], counts[1]
    return code if best >= _ENOUGH and best > second else ""
