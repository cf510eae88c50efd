"""What the assistant says without its model, in the caller's language."""

from typing import Final

from sovereign_pbx.core.plan import Phrases

BUILT_IN: Final = {
    "en": Phrases(),
    "nl": Phrases(
        filler="Een ogenblikje, alstublieft.",
        more_fillers=("Een momentje.", "Even kijken."),
        still_waiting=(
            "Ik ben er nog mee bezig, dank u voor het wachten.",
            "Het duurt iets langer dan normaal. Blijft u aan de lijn, alstublieft.",
        ),
        apology="Sorry, er ging aan mijn kant iets mis. Kunt u dat nog een keer zeggen?",
        unwell="Sorry, ik kan u op dit moment niet helpen. Ik verbind u door.",
        unheard="Sorry, dat heb ik niet verstaan. Kunt u het nog een keer zeggen?",
        consent="Dit gesprek wordt opgenomen. Druk op 1 als u daarmee akkoord gaat.",
        transfer_failed="Sorry, ik krijg niemand aan de lijn. Kan ik u op een andere manier helpen?",
        briefing_call="Ik heb een beller voor u: {caller}.",
        briefing_last="Het laatste wat de beller zei, was: {said}",
        briefing_question="Druk op 1 of zeg ja om het gesprek aan te nemen. Druk op 2 of zeg nee om het te weigeren.",
        briefing_keys="Druk op 1 om het gesprek aan te nemen, of op 2 om het te weigeren.",
        briefing_again="Sorry, ik heb nog geen antwoord van u.",
        briefing_unknown="iemand zonder zichtbaar nummer",
    ),
    "de": Phrases(
        filler="Einen Moment, bitte.",
        more_fillers=("Einen Augenblick.", "Ich schaue kurz nach."),
        still_waiting=(
            "Ich bin noch dabei, danke fürs Warten.",
            "Es dauert etwas länger als sonst. Bitte bleiben Sie am Apparat.",
        ),
        apology="Entschuldigung, bei mir ist etwas schiefgegangen. Können Sie das bitte noch einmal sagen?",
        unwell="Es tut mir leid, ich kann Ihnen gerade nicht helfen. Ich verbinde Sie weiter.",
        unheard="Entschuldigung, das habe ich nicht verstanden. Können Sie es bitte noch einmal sagen?",
        consent="Dieses Gespräch wird aufgezeichnet. Drücken Sie die 1, wenn Sie damit einverstanden sind.",
        transfer_failed="Es tut mir leid, ich habe niemanden erreicht. Wie kann ich Ihnen sonst helfen?",
        briefing_call="Ich habe einen Anruf für Sie: {caller}.",
        briefing_last="Zuletzt wurde gesagt: {said}",
        briefing_question=(
            "Drücken Sie die 1 oder sagen Sie Ja, um das Gespräch anzunehmen. "
            "Drücken Sie die 2 oder sagen Sie Nein, um es abzulehnen."
        ),
        briefing_keys="Drücken Sie die 1, um das Gespräch anzunehmen, oder die 2, um es abzulehnen.",
        briefing_again="Entschuldigung, ich habe noch keine Antwort von Ihnen.",
        briefing_unknown="jemand mit unterdrückter Nummer",
    ),
    "fr": Phrases(
        filler="Un instant, s'il vous plaît.",
        more_fillers=("Un petit moment.", "Voyons voir."),
        still_waiting=(
            "Je m'en occupe toujours, merci de patienter.",
            "Cela prend un peu plus de temps que d'habitude. Restez en ligne, s'il vous plaît.",
        ),
        apology="Excusez-moi, il y a eu un problème de mon côté. Pouvez-vous répéter, s'il vous plaît ?",
        unwell="Je suis désolé, je ne peux pas vous aider pour le moment. Je vous mets en relation.",
        unheard="Excusez-moi, je n'ai pas compris. Pouvez-vous répéter, s'il vous plaît ?",
        consent="Cet appel est enregistré. Appuyez sur la touche 1 si vous êtes d'accord.",
        transfer_failed="Je suis désolé, je n'ai pu joindre personne. Comment puis-je vous aider autrement ?",
        briefing_call="J'ai un appel pour vous : {caller}.",
        briefing_last="La dernière chose qui a été dite : {said}",
        briefing_question=(
            "Appuyez sur 1 ou dites oui pour prendre l'appel. Appuyez sur 2 ou dites non pour le refuser."
        ),
        briefing_keys="Appuyez sur 1 pour prendre l'appel, ou sur 2 pour le refuser.",
        briefing_again="Excusez-moi, je n'ai pas encore de réponse de votre part.",
        briefing_unknown="un numéro masqué",
    ),
}


def phrases_for(language: str) -> Phrases:
    """The built-in phrases of a BCP 47 tag, English where the language has none."""
    return BUILT_IN.get(language.lower().replace("_", "-").partition("-")[0], BUILT_IN["en"])


INTRODUCTIONS: Final = {
    "en": "This is {name}.",
    "nl": "U spreekt met {name}.",
    "de": "Hier ist {name}.",
    "fr": "C'est {name} à l'appareil.",
}


def introduction_of(name: str, language: str) -> str:
    """Who is calling, said to a service that asks."""
    return INTRODUCTIONS.get(language.lower().replace("_", "-").partition("-")[0], INTRODUCTIONS["en"]).format(
        name=name
    )
