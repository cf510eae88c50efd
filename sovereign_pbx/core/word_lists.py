"""Words that tell whether a sentence is over, by language. Kept apart from what is done with them (`wording`).

All in lower case and without punctuation. en, nl, de, fr from what callers say; es, it and ru from grammar.
"""

import re
from typing import Final


def word_set(words: str) -> frozenset[str]:
    """The words of a list that is written as a sentence."""
    return frozenset(words.split())


# Nobody's sentence ends in these.
OPEN: Final = {
    "en": word_set(
        "and or but because if when which who the a an of to my your our their than into i'm i'd i'll we're it's"
    ),
    "nl": word_set("en of maar want omdat als de van mijn uw onze te om bij tot met"),
    "de": word_set("und oder aber weil wenn dass den dem eine einen einem meine meinen meinem von bei für zum zur im"),
    "fr": word_set(
        "et ou mais car parce si quand que qui le les une des de du à mon ma mes votre vos notre pour dans avec au aux"
        " ce"
    ),
    "es": word_set("y o e pero porque si cuando que el los las una unos de del a al mi mis su sus para con por en"),
    "it": word_set("e o ma perché se quando che il lo gli una di del della dei al alla mio mia suo sua per con da nel"),
    "ru": word_set("и или но а что чтобы если когда потому в на с к по для от до из у о мой моя мои"),
}
# Few sentences end in these.
LOOSE: Final = {
    "en": word_set(
        "so that for with from at in on by is are was were has have had will can could would should do does then like"
        " about well i you he she we they need want no not very some any this these those every each next more"
    ),
    "nl": word_set(
        "dus dat die deze dit het een geen voor naar in op aan is zijn was waren heeft had kan moet zou dan over ik hij"
        " zij ze we wij wil heb ben nou gaat heel erg elke volgende er hoe"
    ),
    "de": word_set(
        "also die der das ein kein keine diese dieser dieses zu mit nach in auf an mein ist sind war hat kann muss dann"
        " über ich er wir möchte hätte habe sehr jede jeder nächste"
    ),
    "fr": word_set(
        "donc la un cette ces chaque sur est sont était a ai peut doit il elle on ils suis voudrais alors je chez par"
        " en ne très aucune prochaine"
    ),
    "es": word_set(
        "la un este esta estos cada es son está ha hay puede debe entonces quiero quisiera necesito tengo yo se lo no"
        " muy próxima"
    ),
    "it": word_set("la le un questo questa ogni i è ha sono può deve allora vorrei ho io si non molto in"),
    "ru": word_set("это этот эта эти я он она мы они не ни хочу мне есть был было очень каждый"),
}
HESITATIONS: Final = word_set("um umm uh uhm uhh erm er eh ehm hm hmm mm ah äh ähm öh öhm euh heu ben bah hè tja")
THINKING: Final = re.compile(
    r"(?:let me (?:see|think|check|look)|let's see|hold on|hang on|one (?:moment|second)|just a (?:moment|second)"
    r"|even (?:kijken|denken|zoeken)|momentje|ogenblikje|wacht even|moment mal|(?:einen )?moment|mal (?:sehen|schauen)"
    r"|attendez|un instant|une seconde|voyons|laissez-moi \w+|a ver|un momento|vediamo)$"
)
CORRECTING: Final = re.compile(
    r"(?:no wait|i mean|or rather|sorry no|actually|ik bedoel|nee wacht|of nee|of eigenlijk|eigenlijk|ich meine"
    r"|nein warte|quatsch|beziehungsweise|je veux dire|enfin|ou plutôt|non attendez|quiero decir|volevo dire)$"
)
# "My number is", "het adres is": what was announced follows.
ANNOUNCING: Final = re.compile(
    r"\b(?:(?:my|our|mijn|onze|meine?|unsere?|mon|ma|notre)(?: [\w'-]+){1,4}"
    r"|(?:number|code|name|address|nummer|naam|adres|adresse|numéro|nom|e-?mail\w*))"
    r" (?:is|are|zijn|ist|sind|lautet|est|sont|c'est)$|\b(?:it's|c'est)$"
)
ANSWERS: Final = word_set(
    "yes yeah yep yup no nope okay ok sure right correct thanks bye stop wait exactly absolutely definitely agreed fine"
    " ja nee klopt oké prima graag goed doei dank inderdaad akkoord jawel jazeker niet"
    " nein klar genau danke richtig stimmt doch gerne natürlich gut tschüss"
    " oui non si merci d'accord exact voilà bien sûr parfait bon"
    " sí claro vale correcto gracias exacto certo esatto va bene grazie да нет хорошо верно спасибо конечно"
)
# Those after which nothing need follow, even where a number had been asked for.
REFUSALS: Final = word_set("no nope stop wait bye nee niet nein doch non нет")
GREETINGS: Final = word_set(
    "hello hi hey good morning afternoon evening there hallo hoi goedemorgen goedemiddag goedenavond dag goedendag"
    " guten tag morgen abend moin servus grüß gott bonjour bonsoir salut allô"
    " hola buenos buenas días tardes noches ciao buongiorno buonasera pronto алло здравствуйте привет добрый день"
)
POLITE_ENDS: Final = re.compile(
    r"(?:please|thank you|thanks|that's (?:all|it)|bye|alstublieft|alsjeblieft|dank (?:u|je)(?: wel)?|bedankt"
    r"|dat was het|dat is alles|bitte|danke(?: schön| sehr)?|vielen dank|das war's"
    r"|s'il vous plaît|merci(?: beaucoup)?|c'est tout|por favor|gracias|per favore|grazie|пожалуйста|спасибо)$"
)
