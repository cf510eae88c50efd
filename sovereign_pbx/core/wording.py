"""What the end of a transcript says about whether more will come. en, nl, de, fr; other languages by signs alone."""

import re
from typing import Final, Literal

from sovereign_pbx.core.dictation import address, digits_at_end, letters_at_end, word_set, words_of
from sovereign_pbx.core.expectation import ANYTHING, Expected

Shape = Literal[
    "unknown",  # no words yet
    "hesitation",  # "um", "let me see", "no wait"
    "open",  # nobody's sentence ends so: "and", "my"
    "loose",  # few sentences end so: "with", "is"
    "digits",  # a number that is being dictated
    "spelling",  # a name or an address that is being spelt
    "complete",  # as many digits as were asked for, or a whole address
    "answer",  # a whole answer of a word or two: "yes", "stop"
    "greeting",  # "hello", which may be the beginning of more
    "question",
    "closed",  # ends like a sentence, or with "please"
    "plain",
]


_OPEN: Final[dict[str, frozenset[str]]] = {
    "en": word_set(
        "and or but because if when which who the a an of to my your our their than i'm i'd i'll we're it's"
    ),
    "nl": word_set("en of maar want omdat als de van mijn uw onze te om bij tot met"),
    "de": word_set("und oder aber weil wenn dass den dem eine einen einem meine meinen meinem von bei für zum zur"),
    "fr": word_set(
        "et ou mais car parce si quand que qui le les une des de du à mon ma mes votre vos notre pour dans avec"
    ),
}
_LOOSE: Final[dict[str, frozenset[str]]] = {
    "en": word_set("so that for with from at in on is are was were then like about well i you have need want name's"),
    "nl": word_set("dus dat die het een voor naar in op aan is zijn was dan over ik wil heb ben nou"),
    "de": word_set("also die der das ein zu mit nach in auf an mein ist sind war dann über ich möchte hätte habe"),
    "fr": word_set("donc la un sur est sont ai suis voudrais alors je chez par en"),
}
_HESITATIONS: Final = word_set("um umm uh uhm uhh erm er eh ehm hm hmm mm ah äh ähm öh öhm euh heu ben bah hè tja")
_THINKING: Final = re.compile(
    r"(?:let me (?:see|think|check|look)|let's see|hold on|hang on|one (?:moment|second)|just a (?:moment|second)"
    r"|even (?:kijken|denken|zoeken)|momentje|ogenblikje|wacht even|moment mal|(?:einen )?moment|mal (?:sehen|schauen)"
    r"|attendez|un instant|une seconde|voyons|laissez-moi \w+)$"
)
_CORRECTING: Final = re.compile(
    r"(?:no wait|i mean|or rather|sorry no|actually|ik bedoel|nee wacht|of nee|of eigenlijk|eigenlijk|ich meine"
    r"|nein warte|quatsch|beziehungsweise|je veux dire|enfin|ou plutôt|non attendez)$"
)
# "My number is", "het adres is": what was announced follows.
_ANNOUNCING: Final = re.compile(
    r"\b(?:(?:my|our|mijn|onze|meine?|unsere?|mon|ma|notre)(?: [\w'-]+){1,4}"
    r"|(?:number|code|name|address|nummer|naam|adres|adresse|numéro|nom|e-?mail\w*))"
    r" (?:is|are|zijn|ist|sind|lautet|est|sont|c'est)$|\b(?:it's|c'est)$"
)
_ANSWERS: Final = word_set(
    "yes yeah yep yup no nope okay ok sure right correct thanks bye stop wait exactly absolutely definitely agreed fine"
    " ja nee klopt oké prima graag goed doei dank inderdaad akkoord jawel jazeker liever niet"
    " nein klar genau danke richtig stimmt doch gerne natürlich gut tschüss"
    " oui non si merci d'accord exact voilà bien sûr parfait bon"
)
_GREETINGS: Final = word_set(
    "hello hi hey good morning afternoon evening there hallo hoi goedemorgen goedemiddag goedenavond dag goedendag"
    " guten tag morgen abend moin servus grüß gott bonjour bonsoir salut allô"
)
_POLITE_ENDS: Final = re.compile(
    r"(?:please|thank you|thanks|that's (?:all|it)|bye|alstublieft|alsjeblieft|dank (?:u|je)(?: wel)?|bedankt"
    r"|dat was het|dat is alles|bitte|danke(?: schön| sehr)?|vielen dank|das war's"
    r"|s'il vous plaît|merci(?: beaucoup)?|c'est tout)$"
)
_BARE = re.compile(r"[^\w' -]+")
_LONGEST_ANSWER: Final = 3
_SHORTEST_DICTATED: Final = 3
_SUBSCRIBER: Final = 9  # shortest subscriber number with its area code in the countries we speak to
_SPELT: Final = 2


def shape(text: str, language: str, expected: Expected = ANYTHING) -> Shape:
    """The shape of `text`, `language` a code like "nl" or "de-AT", `expected` what had been asked for."""
    plain = _BARE.sub(" ", text.casefold().replace("’", "'"))
    words = plain.split()
    if not words:
        return "unknown"
    if len(words) <= _LONGEST_ANSWER and all(word in _ANSWERS for word in words):
        return "answer"
    if len(words) <= _LONGEST_ANSWER and all(word in _GREETINGS for word in words):
        return "greeting"
    return _dictated(words_of(text), expected) or _ending(text.strip(), " ".join(words), words[-1], language)


def _dictated(words: list[str], expected: Expected) -> Shape | None:
    while words and words[-1] in (".", "-"):  # the recogniser's, not the caller's
        words.pop()
    reached = address(words)
    if reached:
        return "complete" if reached == "whole" else "spelling"
    digits, letters = digits_at_end(words), letters_at_end(words)
    if expected.usual and digits + letters >= expected.usual:
        return "complete"
    if letters >= _SPELT:
        return "spelling"
    if expected.usual and digits:
        return "digits" if digits < expected.least else "plain"
    return "digits" if _SHORTEST_DICTATED <= digits < _SUBSCRIBER else None


def _ending(text: str, plain: str, last: str, language: str) -> Shape:
    code = language[:2].casefold()
    if last in _HESITATIONS or _THINKING.search(plain) or _CORRECTING.search(plain):
        return "hesitation"
    if text.endswith(("?", "!")):
        return "question"
    if _POLITE_ENDS.search(plain):
        return "closed"
    if last in _OPEN.get(code, _OPEN["en"]) or _ANNOUNCING.search(plain):
        return "open"
    if text.endswith((",", "-", "…", "...", ":")):
        return "open"
    if last in _LOOSE.get(code, _LOOSE["en"]):
        return "loose"
    return "closed" if text.endswith(".") else "plain"
