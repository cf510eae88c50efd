"""What the assistant's last words asked for, as far as it tells when the caller will have finished. en, nl, de, fr; the
commonest questions in es, it and ru.

Patterns, not understanding: they need to be right often, and where they find nothing the turn policy does without.
What the caller has not heard asks for nothing, so the text to look at is the one that was heard.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "anything",  # nothing, as far as is known
    "open",  # a story: "how can I help you?"
    "fact",  # a word or a few: "for how many people?"
    "yes_no",
    "number",
    "date",
    "spelling",
    "email",
]


@dataclass(frozen=True, slots=True)
class Expected:
    """`least` and `usual`: digits (and letters, where the number has them) that may be enough, and that are."""

    kind: Kind = "anything"
    least: int = 0
    usual: int = 0


ANYTHING: Final = Expected()

# What is asked for, in the order in which it is looked for: the first that is found in the last question counts.
_ASKED: Final = (
    (Expected("email"), r"e-?mail|mailadres|adresse électronique|courriel"),
    (
        Expected("spelling"),
        r"\bspell\b|\bspel(?:len|t)?\b|buchstabier|épel|deletrea|per lettere|по буквам"
        r"|(?:number|licen[sc]e|registration) plate|registration number"
        r"|letter (?:by|voor) letter|lettre par lettre|kenteken|kennzeichen|plaque d'immatriculation",
    ),
    (
        Expected("number", 3, 4),
        r"last (?:three|four) digits|laatste (?:drie|vier) cijfers|letzten (?:drei|vier)|derniers chiffres|\bpin\b",
    ),
    (
        Expected("number", 15, 22),
        r"\biban\b|account number|rekeningnummer|kontonummer|numéro de compte",
    ),
    (
        Expected("number", 15, 16),
        r"(?:credit|debit|bank) ?card|bankpas|kreditkarte|carte (?:bancaire|bleue)",
    ),
    (
        Expected("date", 4, 7),
        r"date of birth|birth ?(?:date|day)|geboortedatum|geboren|geburts(?:datum|tag)|date de naissance|\bnée?\b",
    ),
    (
        Expected("number", 8, 10),
        r"phone\b.*\bnumber|\bnumber\b.*\b(?:call|reach|ring|contact)\b|(?:call|ring) you (?:back )?[ao][tn]\b"
        r"|(?:mobile|cell) number|(?:telefoon|mobiele |06-|telefon|handy|rückruf)nummer"
        r"|nummer.*(?:bereiken|bereikbaar|erreich)|(?:welk|welche[rn]?) nummer"
        r"|numéro de (?:téléphone|portable)|quel numéro|número de teléfono|numero di telefono|номер телефона",
    ),
    (Expected("number", 4, 5), r"post ?code|zip ?code|postleitzahl|code postal"),
    (
        Expected("number", 4, 0),
        r"(?:order|customer|client|reference|ticket|policy|booking|case|invoice|member\w*|serial|contract|confirmation)"
        r" ?(?:number|code|id)\b|(?:bestell?|order|klant|referentie|polis|factuur|dossier|contract)-?nummer"
        r"|(?:relatie|referenz|kunden|auftrags|vorgangs|rechnungs|vertrags|ticket)-?nummer|aktenzeichen|\bbsn\b"
        r"|burgerservicenummer"
        r"|numéro de (?:commande|client|dossier|référence|facture|contrat)"
        r"|(?:verification|security) code|bestätigungscode|verificatiecode|code de (?:vérification|confirmation)",
    ),
    (
        Expected("open"),
        r"\b(?:how|what) (?:can|may|could) (?:i|we) (?:help|do|assist)|what(?:'s| is) (?:going on|the problem|wrong)"
        r"|tell me (?:more|what|about)|what (?:happened|brings|are you calling)|can you (?:describe|explain|tell)"
        r"|waar(?:mee)? (?:kan|mag|kunnen) (?:ik|we|wij)|(?:wat|hoe) kan ik|waarover|vertel|wat is er (?:gebeurd|aan)"
        r"|(?:wie|was|womit) (?:kann|darf) ich|worum geht|erzählen sie|was ist passiert|beschreiben"
        r"|(?:comment|en quoi|que) (?:puis-je|pouvons|je peux)|je vous écoute|qu'est-ce qui|racontez|expliquez|décri"
        r"|en qué puedo|come posso|чем (?:я )?могу",
    ),
)
_PATTERNS: Final = tuple((expected, re.compile(pattern)) for expected, pattern in _ASKED)
_WH: Final = re.compile(
    r"\b(?:what|which|who|whom|whose|where|when|why|how|wat|welke?|wie|waar\w*|wanneer|waarom|hoe(?:veel|lang|laat)?"
    r"|was|welche[rsnm]?|wer|wem|wen|wo(?:hin|her|mit|für|bei|rum|von|zu)?|wann|warum"
    r"|quel(?:le)?s?|qui|où|quand|pourquoi|comment|combien|qu'est-ce)\b"
)
_TAG: Final = re.compile(
    r"(?:correct|right|okay|klopt dat|toch|akkoord|stimmt das|richtig|oder|c'est (?:bien ça|exact|bon)|d'accord"
    r"|n'est-ce pas|cela vous convient|correcto|verdad|corretto|giusto|верно|правильно)\s*\?$"
)
_BEGIN: Final = r"^(?:(?:and|so|okay|ok|en|dus|und|also|et|alors),? )*"
_POLAR: Final = re.compile(
    _BEGIN + r"(?:do|does|did|is|are|was|were|can|could|would|will|shall|should|have|has|had|may"
    r"|kan|kunt|mag|zal|zullen|wilt|wil|heeft|hebt|bent|zijn|klopt|moet|zou|weet|gaat|past|komt"
    r"|kann|können|darf|soll|sollen|möchten|wollen|haben|hat|sind|ist|stimmt|passt|wissen|brauchen|würden"
    r"|est-ce que|voulez|souhaitez|avez|êtes|est-ce|pouvez|puis-je|désirez|faut-il)\b"
)
# "Do you have an order number?" and "Is this your address?" are answered by yes or no.
_WHETHER: Final = re.compile(
    _BEGIN + r"(?:do you (?:have|know|remember)|is (?:this|that|it|your)|(?:heeft|hebt|weet) u|is (?:dit|dat|uw)"
    r"|(?:haben|wissen) sie|ist (?:das|ihre)|avez-vous|est-ce|connaissez)\b"
)
# What asks without being a question.
_ASKING: Final = re.compile(
    r"\b(?:please|tell me|give me|need|say|spell|like to know|listening|graag|geef|zeg|vertel|noem|nodig|alstublieft"
    r"|bitte|nennen|sagen|geben|erzählen|beschreiben|brauche|benötige|veuillez|donnez|dites|besoin|écoute"
    r"|racontez|expliquez|dígame|puede|può|продиктуйте|назовите)\b"
    r"|^(?:and|en|und|et) (?:your|the|uw|het|de|ihre?|votre|le|la)\b"
)
_OR: Final = re.compile(r"\b(?:or|of|oder|ou)\b")
_SENTENCE: Final = re.compile(r"[^.?!…]*[.?!…]+|[^.?!…]+$")
_LOOKED_AT: Final = 400  # characters: what was asked is asked at the end


def expectation(heard: str) -> Expected:
    """What `heard`, the assistant's last words, asked for."""
    sentences = [part.strip() for part in _SENTENCE.findall(_plain(heard[-_LOOKED_AT:])) if part.strip(" .")]
    asked = next((part for part in reversed(sentences) if part.endswith("?")), sentences[-1] if sentences else "")
    if _TAG.search(asked):
        return Expected("yes_no")
    if not asked.endswith("?") and _ASKING.search(asked) is None:
        return ANYTHING  # "your order number is four five one two" asks for nothing
    whether = _WHETHER.search(asked) is not None
    found = next((expected for expected, pattern in _PATTERNS if pattern.search(asked)), ANYTHING)
    if found.kind == "open" or (found.kind != "anything" and not whether):
        return found
    alternatives = _WH.search(asked) or _OR.search(asked)
    if not asked.endswith("?"):
        return ANYTHING
    return Expected("yes_no" if _POLAR.search(asked) and not alternatives else "fact")


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("’", "'").replace(" ?", "?").split())
