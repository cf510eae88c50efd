"""What the assistant says without its model, in the caller's language."""

from typing import Final

from sovereign_pbx.core.plan import Phrases

BUILT_IN: Final = {
    "en": Phrases(),
    "nl": Phrases(
        filler="Een ogenblikje, alstublieft.",
        apology="Sorry, er ging aan mijn kant iets mis. Kunt u dat nog een keer zeggen?",
        unwell="Sorry, ik kan u op dit moment niet helpen. Ik verbind u door.",
        unheard="Sorry, dat heb ik niet verstaan. Kunt u het nog een keer zeggen?",
        consent="Dit gesprek wordt opgenomen. Druk op 1 als u daarmee akkoord gaat.",
    ),
    "de": Phrases(
        filler="Einen Moment, bitte.",
        apology="Entschuldigung, bei mir ist etwas schiefgegangen. Können Sie das bitte noch einmal sagen?",
        unwell="Es tut mir leid, ich kann Ihnen gerade nicht helfen. Ich verbinde Sie weiter.",
        unheard="Entschuldigung, das habe ich nicht verstanden. Können Sie es bitte noch einmal sagen?",
        consent="Dieses Gespräch wird aufgezeichnet. Drücken Sie die 1, wenn Sie damit einverstanden sind.",
    ),
    "fr": Phrases(
        filler="Un instant, s'il vous plaît.",
        apology="Excusez-moi, il y a eu un problème de mon côté. Pouvez-vous répéter, s'il vous plaît ?",
        unwell="Je suis désolé, je ne peux pas vous aider pour le moment. Je vous mets en relation.",
        unheard="Excusez-moi, je n'ai pas compris. Pouvez-vous répéter, s'il vous plaît ?",
        consent="Cet appel est enregistré. Appuyez sur la touche 1 si vous êtes d'accord.",
    ),
}


def phrases_for(language: str) -> Phrases:
    """The built-in phrases of a BCP 47 tag, English where the language has none."""
    return BUILT_IN.get(language.lower().replace("_", "-").partition("-")[0], BUILT_IN["en"])
