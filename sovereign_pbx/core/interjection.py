"""What words said over the assistant are for: to show that one listens, to stop it, or to say something.

Nobody who says "mm-hm" wants the floor, and nobody who says "stop" wants to be asked for two more words first. A word
list is crude beside a model of prosody, but it is decided in no time, the same way every time, and it can be read.
The words of a language and the ones that travel (ok, sorry, stop) count together; where the language is not known
all of them do.
"""

import re
from functools import lru_cache
from typing import Final, Literal

Kind = Literal["sound", "backchannel", "command", "other"]
Phrases = frozenset[tuple[str, ...]]

# How long after a question's end a "yes" still answers it, though the assistant has gone on; in its words.
_WORDS_AFTER_QUESTION: Final = 5
# So few words before its end a question is understood.
_WORDS_BEFORE_END: Final = 2
# A recogniser that follows an echo drops and changes words; of a caller's own sentence fewer agree by accident.
_LEAST_AGREEING: Final = 0.75
_ECHO_LAG: Final = 8  # words that the assistant goes on with before a recogniser tells what it said

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_ASIDE = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*")  # how recognisers write laughter, coughs and music
_STRETCHED = re.compile(r"(\w)\1{2,}")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)]*(?=\s|$)")
_HUM = re.compile(
    r"(?:m+(?:-?h+m+)*|m+-?h+u+m*|h+[mu]+m*|u+h+(?:-?h+u+h+)*|u+m+|[aäe]+h+m*|e+r+m*|o+h+|h+u+h+|a+h+a+|t+j+a+"
    r"|(?:ha|he|hi|ho)(?:-?(?:ha|he|hi|ho))+h?|ha+h*|b+r*h+|p+f+t*|br+|pst|tsk|ah|oh|ooh|eh|euh|heu|hein|hè|zo)"
)


def _phrases(text: str) -> Phrases:
    return frozenset(tuple(phrase.split()) for phrase in text.split(","))


_ASSENT: Final[dict[str, Phrases]] = {
    "": _phrases("ok,okay,oké,yes,yeah,super,wow,aha"),
    "en": _phrases(
        "yep,yup,yeah,right,sure,alright,all right,all right then,i see,got it,gotcha,of course,great,good,cool,nice,"
        "fine,exactly,true,really,indeed,perfect,makes sense,that makes sense,go on,go ahead,very good,sounds good,"
        "that's right,that's fine,thanks,thank you,no problem,no worries,interesting,lovely,absolutely,i understand"
    ),
    "nl": _phrases(
        "ja,jawel,jaja,goed,is goed,dat is goed,precies,klopt,dat klopt,inderdaad,prima,juist,tuurlijk,natuurlijk,mooi,"
        "leuk,fijn,snap ik,ik snap het,ik begrijp het,begrijp ik,ga door,bedankt,dank je,dank je wel,dank u,dank u wel,"
        "geen probleem,top,helder,duidelijk,oke"
    ),
    "de": _phrases(
        "ja,jo,jep,jaja,genau,richtig,klar,na klar,alles klar,gut,sehr gut,ach so,achso,stimmt,sicher,natürlich,"
        "verstehe,ich verstehe,schön,danke,danke schön,kein problem,in ordnung,okey,prima,eben,weiter"
    ),
    "fr": _phrases(
        "oui,ouais,d'accord,bien sûr,voilà,exactement,je vois,très bien,bien,parfait,ah bon,c'est ça,entendu,merci,"
        "tout à fait,je comprends,pas de problème,pas de souci,ça marche,continuez,bon,génial"
    ),
}
_ORDERS: Final[dict[str, Phrases]] = {
    "": _phrases("stop,sorry,pardon,halt,no"),
    "en": _phrases(
        "wait,nope,hold on,hang on,excuse me,one moment,one second,just a second,just a moment,a moment,"
        "actually,shut up,be quiet,enough,listen,slow down,cancel,that's wrong,not that,hello"
    ),
    "nl": _phrases(
        "wacht,wachten,nee,ho,een moment,één moment,moment,momentje,even wachten,wacht even,hou op,hou maar op,stil,"
        "luister,ophouden,dat klopt niet,dat is niet goed,niet goed,hallo,genoeg,wat zegt u,wat zeg je"
    ),
    "de": _phrases(
        "stopp,warte,warten,warten sie,warte mal,nein,nee,moment,moment mal,einen moment,augenblick,entschuldigung,"
        "entschuldigen sie,hör auf,hören sie,aufhören,falsch,stimmt nicht,das stimmt nicht,genug,hallo,wie bitte"
    ),
    "fr": _phrases(
        "attendez,attends,non,arrêtez,arrête,excusez-moi,excuse-moi,une seconde,un instant,un moment,une minute,"
        "désolé,désolée,minute,taisez-vous,écoutez,ça suffit,assez,allô,c'est faux"
    ),
}


def kind(text: str, language: str) -> Kind:
    """What `text`, said while the assistant speaks, is for. "sound": there is no word in it.

    A backchannel is made of assent and hums alone. An order is one at the beginning, hums and assent before it not
    counted ("oh wait", "okay stop"); "no problem" is assent, as the longer phrase goes first.
    """
    said = words(text)
    if not said:
        return "sound"
    assent, orders = _lists(language[:2].casefold())
    at = 0
    while at < len(said):
        order, nod = _longest(said, at, orders), _longest(said, at, assent)
        if order and order >= nod:
            return "command"
        if not nod and not _HUM.fullmatch(said[at]):
            return "other"
        at += max(1, nod)
    return "backchannel"


def answers(heard: str, ahead: str) -> bool:
    """Whether assent, said when `heard` had been played and `ahead` had not, is the answer to a question.

    It is when a question has just been heard, or has been but for its last words.
    """
    ends = list(_SENTENCE_END.finditer(heard))
    if ends and "?" in ends[-1].group() and len(words(heard[ends[-1].end() :])) <= _WORDS_AFTER_QUESTION:
        return True
    begun = bool(words(heard[ends[-1].end() :] if ends else heard))
    end = _SENTENCE_END.search(ahead)
    if end is None or "?" not in end.group():
        return False
    return begun and len(words(ahead[: end.end()])) <= _WORDS_BEFORE_END


def echoes(text: str, heard: str) -> bool:
    """Whether `text` is what the assistant was heard saying lately: its words, in their order, with few missing."""
    said, played = words(text), words(heard)
    played = played[-(len(said) + _ECHO_LAG) :]
    return bool(said) and _in_common(said, played) >= _LEAST_AGREEING * len(said)


def words(text: str) -> list[str]:
    """The words of a transcript, in small letters; what recognisers put in brackets is no word."""
    plain = _ASIDE.sub(" ", text).casefold().replace("’", "'")
    return [_STRETCHED.sub(r"\1", word) for word in _WORD.findall(plain)]


@lru_cache(maxsize=16)
def _lists(language: str) -> tuple[Phrases, Phrases]:
    """(assent, orders)"""
    both = []
    for lists in (_ASSENT, _ORDERS):
        known = (language,) if language in lists else tuple(lists)
        both.append(lists[""].union(*(lists[name] for name in known)))
    return both[0], both[1]


def _longest(said: list[str], at: int, phrases: Phrases) -> int:
    return next((size for size in (4, 3, 2, 1) if tuple(said[at : at + size]) in phrases), 0)


def _in_common(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence that lies within one stretch of `other` about as long as `one`."""
    best = 0
    reach = len(one) + 2
    for start in range(max(1, len(other) - reach + 1)):
        row = [0] * (len(one) + 1)
        for word in other[start : start + reach]:
            before = row[:]
            for at, mine in enumerate(one, 1):
                row[at] = before[at - 1] + 1 if mine == word else max(before[at], row[at - 1])
        best = max(best, row[-1])
    return best
