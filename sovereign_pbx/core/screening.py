"""Who has answered, by the words: a mailbox, a service that screens calls, somebody who asks to wait, or a person.

The phrases are data. Each list says where its words are heard; a service whose words are in none of them is taken for
a person, and then the model talks to it, which is the lesser harm.
"""

import re
from typing import Final, Literal

from sovereign_pbx.core import voicemail

Who = Literal["screening", "waiting", "declined", "mailbox", "person"]
"""screening: wants to know who calls and why. waiting: the person is being fetched, or asked. declined: he does not
want the call."""

ASKS: Final = (
    # iOS 26 ("Hi, if you record your name and reason for calling, I'll see if this person is available.")
    "record your name",
    "reason for calling",
    "reason for your call",
    # Android's Call Screen ("Hi, the person you're calling is using a screening service … go ahead and say your name,
    # and why you're calling")
    "screening service",
    "screening this call",
    "call screening",
    "say your name",
    "why you re calling",
    "why you are calling",
    # carriers, Google Voice ("Please state your name after the tone and we will try to connect you"), secretaries
    "state your name",
    "your name and the reason",
    "being screened",
    "identify yourself",
    "may i ask who is calling",
    "may i ask who s calling",
    "who is calling and why",
    "who s calling and why",
    "who may i say is calling",
    "who shall i say is calling",
    "tell me why you are calling",
    "what is this regarding",
    "what s this regarding",
    "what is this call about",
    # Dutch: the same services, and reception desks
    "uw naam en de reden",
    "je naam en de reden",
    "reden van uw oproep",
    "reden van je oproep",
    "reden van uw gesprek",
    "waarom u belt",
    "waarom je belt",
    "waarover belt u",
    "wie kan ik zeggen dat",
    "zeg uw naam",
    "zeg je naam",
    "spreek uw naam in",
    "screent oproepen",
    # German
    "namen und den grund",
    "grund ihres anrufs",
    "grund deines anrufs",
    "grund für ihren anruf",
    "warum sie anrufen",
    "warum du anrufst",
    "nennen sie ihren namen",
    "nennen sie bitte ihren namen",
    "sagen sie ihren namen",
    "wen darf ich melden",
    "worum geht es",
    "anruffilter",
    # French
    "votre nom et la raison",
    "votre nom et le motif",
    "motif de votre appel",
    "raison de votre appel",
    "pourquoi vous appelez",
    "dites votre nom",
    "enregistrez votre nom",
    "c est de la part de qui",
    "service de filtrage",
    "filtrage d appel",
)

WAITS: Final = (
    # what follows the answer, by the same services; and people who go and fetch somebody
    "stay on the line",
    "please hold",
    "hold the line",
    "hold on",
    "one moment",
    "one second",
    "just a moment",
    "just a second",
    "please wait",
    "try to connect you",
    "trying to connect",
    "connecting you",
    "connecting your call",
    "putting you through",
    "see if this person is available",
    "see if they are available",
    "see if he is available",
    "see if she is available",
    "blijf aan de lijn",
    "blijft u aan de lijn",
    "een moment",
    "een ogenblik",
    "momentje",
    "ogenblikje",
    "ik verbind u door",
    "wordt doorverbonden",
    "bleiben sie in der leitung",
    "bleiben sie dran",
    "bleib dran",
    "einen moment",
    "moment bitte",
    "einen augenblick",
    "ich verbinde",
    "werden verbunden",
    "ne quittez pas",
    "restez en ligne",
    "un instant",
    "un moment",
    "patientez",
    "je vous mets en relation",
    "je vous passe",
)

DECLINES: Final = (
    # after screening: what the services say for the person who has pressed "decline" or "report as spam"
    "can t take your call",
    "cannot take your call",
    "can t take the call",
    "can t talk right now",
    "cannot talk right now",
    "can t come to the phone",
    "does not wish to",
    "doesn t want to take",
    "not accepting calls",
    "declined your call",
    "declined the call",
    "remove this number from your",
    "remove this number from the",
    "take this number off",
    "do not call again",
    "don t call again",
    "kan uw oproep niet aannemen",
    "kan je oproep niet aannemen",
    "kan nu niet praten",
    "heeft uw oproep geweigerd",
    "wil niet gebeld worden",
    "bel niet meer",
    "kann ihren anruf nicht annehmen",
    "kann gerade nicht sprechen",
    "hat ihren anruf abgelehnt",
    "rufen sie nicht mehr an",
    "ne peut pas prendre votre appel",
    "ne peut pas répondre",
    "a refusé votre appel",
    "ne rappelez pas",
)

LEAVES: Final = (
    # a mailbox asks for the name as well, but it wants a message and a number with it
    "message",
    "number",
    "bericht",
    "boodschap",
    "nummer",
    "nachricht",
    "numéro",
)

_NOT_WORD: Final = re.compile(r"[\W_]+")


def who_says(text: str, *, screened: bool) -> Who:
    """Who says `text`. `screened`: a screening service was there already, so that the person may be declining.

    Screening goes before mailboxes, because it says "after the tone" and "record" as they do.
    """
    plain = f" {_NOT_WORD.sub(' ', text).casefold().strip()} "
    mailbox = voicemail.recognised(text)
    if _says(plain, ASKS) and not (mailbox and any(word in plain for word in LEAVES)):
        return "screening"
    if mailbox:
        return "mailbox"
    if screened and _says(plain, DECLINES):
        return "declined"
    return "waiting" if _says(plain, WAITS) else "person"


def _says(plain: str, phrases: tuple[str, ...]) -> bool:
    return any(f" {phrase} " in plain for phrase in phrases)
