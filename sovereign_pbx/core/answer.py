"""What a short answer to a yes-or-no question says: yes, no, or that the question has to be put otherwise.

Word lists for en, nl, de and fr, as they are said on the telephone. A yes must be nothing but a yes: whatever else is
said with it ("yes, this is Anna speaking", a mailbox's greeting) may be no answer at all. A no may have words round it,
because what a wrong no costs is small.
"""

from functools import lru_cache
from typing import Final, Literal

from sovereign_pbx.core.interjection import Phrases, words
from sovereign_pbx.core.word_lists import GREETINGS, HESITATIONS, word_set

Verdict = Literal["yes", "no", "what", "unclear", "nothing"]
"""what: he has not understood, or wants to know more. nothing: a greeting, thanks, or no word at all."""

_LONGEST_NO: Final = 7  # words; in longer ones a "no" is mostly somebody else's (a mailbox: "there is no one here")
_LONGEST_WHAT: Final = 8


def _phrases(text: str) -> Phrases:
    return frozenset(tuple(phrase.split()) for phrase in text.split(","))


_YES: Final[dict[str, Phrases]] = {
    "": _phrases("ok,okay,oké,okey,yes,ja,oui,yeah,super,1"),
    "en": _phrases(
        "yep,yup,sure,of course,certainly,absolutely,fine,that's fine,alright,all right,go ahead,no problem,gladly,"
        "put him through,put her through,put them through,put it through,i'll take it,i will take it,"
        "i'll take the call,i take it,connect,connect me,connect us,accept,accepted,i accept,one"
    ),
    "nl": _phrases(
        "jawel,jazeker,jaja,zeker,prima,goed,is goed,dat is goed,graag,natuurlijk,tuurlijk,doe maar,geef maar,"
        "verbind maar,verbind maar door,verbind door,zet maar door,verbind hem door,verbind haar door,kom maar door,"
        "geen probleem,ik neem hem,ik neem het aan,ik neem aan,aannemen,accepteren,één,eén"
    ),
    "de": _phrases(
        "jo,jawohl,jaja,gerne,gern,klar,na klar,natürlich,sicher,gut,sehr gut,in ordnung,geht klar,kein problem,"
        "stellen sie durch,stell durch,durchstellen,verbinden,verbinden sie,ich nehme an,ich übernehme,nehme ich,"
        "annehmen,eins"
    ),
    "fr": _phrases(
        "ouais,d'accord,bien sûr,volontiers,entendu,très bien,allez-y,allez y,vas-y,vas y,passez-le-moi,passez-la-moi,"
        "passez le moi,passez la moi,je prends,je le prends,je la prends,j'accepte,pas de problème,pas de souci,"
        "mettez-moi en relation,un"
    ),
}
_NO: Final[dict[str, Phrases]] = {
    "": _phrases("no,nee,nein,non,2"),
    "en": _phrases(
        "nope,not now,not right now,i can't,i cannot,can't,busy,no thanks,no thank you,later,decline,declined,refuse,"
        "i don't have time,no time,two"
    ),
    "nl": _phrases(
        "niet,nu niet,niet nu,even niet,liever niet,geen tijd,kan niet,kan nu niet,bezet,later,weigeren,afwijzen,twee"
    ),
    "de": _phrases(
        "nö,nicht,jetzt nicht,gerade nicht,geht nicht,keine zeit,später,besetzt,ablehnen,lieber nicht,zwei",
    ),
    "fr": _phrases("pas,pas maintenant,pas le temps,je ne peux pas,occupé,occupée,plus tard,refuser,je refuse,deux"),
}
_WHAT: Final[dict[str, Phrases]] = {
    "": _phrases("hello,hallo,allô,hè,what,wat,was,quoi,sorry,pardon"),
    "en": _phrases("who,which,why,repeat,again,say that again,come again,excuse me,about,didn't catch,once more"),
    "nl": _phrases("wie,welke,waarom,waarover,herhalen,herhaal,nog een keer,nog eens,opnieuw,wat zegt u,wat zei u"),
    "de": _phrases("wer,welche,welcher,warum,worum,wiederholen,noch mal,nochmal,noch einmal,wie bitte"),
    "fr": _phrases("qui,quel,quelle,pourquoi,répétez,répéter,encore une fois,comment,de la part"),
}
# What goes with a yes and says nothing more.
_BESIDE: Final = word_set(
    "please then now thanks thank you oh well so mr mrs"
    " hoor maar dan nou dank u wel alsjeblieft alstublieft bedankt"
    " bitte danke doch mal dann nur jetzt"
    " merci s'il vous plaît alors bon eh"
)


def verdict(text: str, language: str) -> Verdict:
    """What `text` answers, in the language of a BCP 47 tag (unknown: in any of them)."""
    said = words(text)
    lists = _lists(language[:2].casefold())
    found = _found(said, lists)
    if not found:
        return "nothing"
    if not found & {"yes", "no"} and all(word in GREETINGS for word in said):
        return "what" if "what" in found else "nothing"
    if "no" in found:
        return "no" if "yes" not in found and len(said) <= _LONGEST_NO else "unclear"
    if "what" in found and len(said) <= _LONGEST_WHAT:
        return "what"
    if "yes" in found and "other" not in found:
        return "yes"
    return "unclear"


def _found(said: list[str], lists: dict[str, Phrases]) -> set[str]:
    """What kinds of phrases it is made of, the longest at each place: "no problem" is no "no"."""
    kinds: set[str] = set()
    at = 0
    while at < len(said):
        lengths = {kind: _longest(said, at, phrases) for kind, phrases in lists.items()}
        kind = max(lengths, key=lengths.__getitem__)
        if lengths[kind]:
            kinds.add(kind)
        elif said[at] not in _BESIDE and said[at] not in HESITATIONS:
            kinds.add("other")
        at += max(1, lengths[kind])
    return kinds


def _longest(said: list[str], at: int, phrases: Phrases) -> int:
    return next((size for size in (4, 3, 2, 1) if tuple(said[at : at + size]) in phrases), 0)


@lru_cache(maxsize=16)
def _lists(language: str) -> dict[str, Phrases]:
    found = {}
    for kind, lists in (("yes", _YES), ("no", _NO), ("what", _WHAT)):
        known = (language,) if language and language in lists else tuple(lists)
        found[kind] = lists[""].union(*(lists[name] for name in known))
    return found
