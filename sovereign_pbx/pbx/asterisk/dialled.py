"""How a `dial` step went, from what the dialplan says of it.

Dial() has one word for it, and behind a Local channel it is the same one (CONGESTION, or CHANUNAVAIL) for a call that
was declined, a number that nobody has, and a dialplan that has stopped ringing. So the dialplan tells the causes of
every channel that was dialled as well, in Asterisk's own words (measured on 22.10.1).
"""

from collections.abc import Sequence
from typing import Final

from sovereign_pbx.pbx.asterisk.attempt import BUSY, REJECTED, WORDS
from sovereign_pbx.pbx.harmless import cause_of
from sovereign_pbx.pbx.link import Dialled

MOST_CHARACTERS: Final = 2000  # a ring group of a hundred; whatever else, what a dialplan tells is bounded
RANG_S: Final = 1.0
"""A destination that can't be dialled fails within milliseconds; one that failed later has rung."""

_NORMAL: Final = 16
_ELSEWHERE: Final = 26
_NO_ANSWER: Final = (18, 19)

# ast_cause2str() without what is no letter
_CAUSES: Final = {
    "Unallocatedunassignednumber": 1,
    "Noroutetospecifiedtransitnetwork": 2,
    "Noroutetodestination": 3,
    "NormalClearing": _NORMAL,
    "Userbusy": BUSY,
    "Nouserresponding": 18,
    "Useralertingnoanswer": 19,
    "Subscriberabsent": 20,
    "CallRejected": REJECTED,
    "Numberchanged": 22,
    "Answeredelsewhere": _ELSEWHERE,
    "Destinationoutoforder": 27,
    "Invalidnumberformat": 28,
    "Circuitchannelcongestion": 34,
    "Networkoutoforder": 38,
    "Temporaryfailure": 41,
    "Switchingequipmentcongestion": 42,
    "Facilitynotsubscribed": 50,
    "Bearercapabilitynotauthorized": 57,
    "Bearercapabilitynotavailable": 58,
    "Incompatibledestination": 88,
    "Recoveryontimerexpired": 102,
    "Interworkingunspecified": 127,
}
_FAILED: Final = ("CHANUNAVAIL", "CONGESTION", "DONTCALL", "TORTURE", "INVALIDARGS")


def dialled(arguments: Sequence[str], after_s: float) -> Dialled | None:
    """What a `/next` request's arguments after the call's id say: DIALSTATUS, and causes joined by `-`.

    `after_s`: how long it took. None: nothing was dialled, or the dialplan is of a version that does not say.
    """
    status, causes = (*arguments[:2], "", "")[:2]
    told = _causes(causes)
    if status == "ANSWER":
        return Dialled("answered", "They talked, and the person called has hung up.", _NORMAL)
    if status == "BUSY":
        return _busy()
    if status in ("NOANSWER", "CANCEL"):
        return _no_answer(told)
    return _failed(told, after_s) if status in _FAILED else None


def _busy() -> Dialled:
    return Dialled("busy", "The line was busy.", BUSY)


def _no_answer(told: Sequence[int]) -> Dialled:
    return Dialled("no_answer", "Nobody answered.", next((cause for cause in told if cause in _NO_ANSWER), None))


def _failed(told: Sequence[int], after_s: float) -> Dialled:
    if BUSY in told:
        return _busy()
    if REJECTED in told:
        return Dialled("declined", "The call was declined.", REJECTED)
    reasons = [cause for cause in told if cause not in (_NORMAL, _ELSEWHERE, *_NO_ANSWER)]
    # NORMAL: the dialplan itself had a telephone stop ringing
    if not reasons and (any(cause in (_NORMAL, *_NO_ANSWER) for cause in told) or after_s >= RANG_S):
        return _no_answer(told)
    cause = next(iter([*reasons, *told]), None)
    said = WORDS.get(cause or 0, "nobody could be reached")
    return Dialled("failed", f"The call failed: {said}" + (f" (cause {cause})." if cause else "."), cause)


def _causes(text: str) -> list[int]:
    """What is no cause is passed over."""
    words = text[:MOST_CHARACTERS].split("-")
    return [found for word in words if (found := _CAUSES.get(word) or cause_of(word[:4])) is not None]
