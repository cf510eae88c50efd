"""Is it a mailbox? The first words of whoever answered are searched for what mailboxes say (contract §15.1)."""

import re
from typing import Final

ENGLISH: Final = (
    "voicemail",
    "voice mail",
    "leave a message",
    "please record",
    "unavailable",
    "not available",
    "not here",
    "after the tone",
    "after the beep",
    "press star",
    "speak your message",
    "call back later",
    "mailbox",
    "beep",
    "message",
)
"""The contract's own list, and the other spelling of its first word."""

DUTCH: Final = (
    "antwoordapparaat",
    "bericht",
    "boodschap",
    "inspreken",
    "spreek in",
    "na de toon",
    "na de piep",
    "pieptoon",
    "niet bereikbaar",
    "niet beschikbaar",
    "niet aanwezig",
    "niet opnemen",
    "toets sterretje",
    "druk op sterretje",
    "bel later terug",
    "probeer het later",
)
"""What the networks' own mailboxes and people's greetings say: "spreek een bericht in na de toon", "is op dit moment
niet bereikbaar", "ik kan de telefoon nu niet opnemen"."""

GERMAN: Final = (
    "anrufbeantworter",
    "nachricht",
    "signalton",
    "nach dem ton",
    "piepton",
    "nicht erreichbar",
    "nicht zu erreichen",
    "nicht verfügbar",
    "sprachbox",
)
"""Likewise: "der gewünschte Gesprächspartner ist zurzeit nicht erreichbar", "Nachrichten nach dem Signalton"."""

FRENCH: Final = (
    "répondeur",
    "messagerie",
    "bip sonore",
    "après le bip",
    "après le signal",
    "pas disponible",
    "indisponible",
    "pas joignable",
    "injoignable",
)
"""Likewise: "vous êtes bien sur la messagerie de", "laissez un message après le bip sonore"."""

_NOT_WORD: Final = re.compile(r"[\W_]+")


def recognised(text: str) -> bool:
    """Whether a mailbox says this. Words are found within longer ones ("voicemailbox"), punctuation does not count."""
    plain = _NOT_WORD.sub(" ", text).casefold()
    return any(phrase in plain for phrase in (*ENGLISH, *DUTCH, *GERMAN, *FRENCH))
