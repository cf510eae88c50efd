"""Why FreeSWITCH ended a call, in the words that the desk takes.

It names causes; the numbers of those that Q.850 knows are from switch_types.h. What an originate says
(`-ERR USER_BUSY`) and what a CHANNEL_HANGUP_COMPLETE tells are the same names (1.10.12, measured).
"""

from typing import Final, Literal

from sovereign_pbx.pbx.asterisk.attempt import WORDS
from sovereign_pbx.pbx.link import Dialled, NotAnswered

Kind = Literal["busy", "rejected", "no_answer", "error"]

Q850: Final = {
    "UNALLOCATED_NUMBER": 1,
    "NO_ROUTE_TRANSIT_NET": 2,
    "NO_ROUTE_DESTINATION": 3,
    "CHANNEL_UNACCEPTABLE": 6,
    "NORMAL_CLEARING": 16,
    "USER_BUSY": 17,
    "NO_USER_RESPONSE": 18,
    "NO_ANSWER": 19,
    "SUBSCRIBER_ABSENT": 20,
    "CALL_REJECTED": 21,
    "NUMBER_CHANGED": 22,
    "REDIRECTION_TO_NEW_DESTINATION": 23,
    "EXCHANGE_ROUTING_ERROR": 25,
    "DESTINATION_OUT_OF_ORDER": 27,
    "INVALID_NUMBER_FORMAT": 28,
    "FACILITY_REJECTED": 29,
    "NORMAL_UNSPECIFIED": 31,
    "NORMAL_CIRCUIT_CONGESTION": 34,
    "NETWORK_OUT_OF_ORDER": 38,
    "NORMAL_TEMPORARY_FAILURE": 41,
    "SWITCH_CONGESTION": 42,
    "REQUESTED_CHAN_UNAVAIL": 44,
    "FACILITY_NOT_SUBSCRIBED": 50,
    "OUTGOING_CALL_BARRED": 52,
    "INCOMING_CALL_BARRED": 54,
    "BEARERCAPABILITY_NOTAUTH": 57,
    "BEARERCAPABILITY_NOTAVAIL": 58,
    "SERVICE_UNAVAILABLE": 63,
    "BEARERCAPABILITY_NOTIMPL": 65,
    "CHAN_NOT_IMPLEMENTED": 66,
    "FACILITY_NOT_IMPLEMENTED": 69,
    "INCOMPATIBLE_DESTINATION": 88,
    "RECOVERY_ON_TIMER_EXPIRE": 102,
    "PROTOCOL_ERROR": 111,
    "INTERWORKING": 127,
}

_BUSY: Final = ("USER_BUSY",)
_REJECTED: Final = ("CALL_REJECTED", "USER_CHALLENGE")
_NO_ANSWER: Final = (
    "NO_ANSWER",
    "NO_USER_RESPONSE",  # 480 as well, which is what a telephone that is not to be disturbed says
    "ALLOTTED_TIMEOUT",
    "ORIGINATOR_CANCEL",
    "NORMAL_CLEARING",
    "LOSE_RACE",
)
# Causes of FreeSWITCH's own, of which Q.850 knows nothing.
_OWN_WORDS: Final = {
    "GATEWAY_DOWN": "FreeSWITCH says that the gateway is down",
    "INVALID_GATEWAY": "FreeSWITCH has no gateway of this name",
    "INVALID_PROFILE": "FreeSWITCH has no Sofia profile of this name",
    "INVALID_URL": "FreeSWITCH can't read this address",
    "USER_NOT_REGISTERED": "the telephone is not registered",
    "PROGRESS_TIMEOUT": "the other end did not even ring",
    "MEDIA_TIMEOUT": "no sound came from the other end",
    "MANAGER_REQUEST": "an administrator ended it",
    "SYSTEM_SHUTDOWN": "FreeSWITCH was shut down",
    "MAX_CALLS": "FreeSWITCH has as many calls as it may have",
    "CHANNEL_UNACCEPTABLE": "FreeSWITCH has no such kind of channel",
    "UNREGISTERED": "the trunk is not registered",
}


def cause_in(reply: str) -> str:
    """The name in `-ERR NAME`; "" for a reply that is no refusal."""
    return reply.removeprefix("-ERR").strip().partition(" ")[0] if reply.startswith("-ERR") else ""


def kind(cause: str) -> Kind:
    """Of what kind an end without an answer is."""
    if cause in _BUSY:
        return "busy"
    if cause in _REJECTED:
        return "rejected"
    return "no_answer" if cause in _NO_ANSWER else "error"


def not_answered(cause: str) -> NotAnswered:
    """As an order's end."""
    return NotAnswered(kind(cause), _why(cause), Q850.get(cause))


def dialled(cause: str) -> Dialled:
    """As the end of a `dial` step."""
    outcomes: dict[Kind, Literal["busy", "declined", "no_answer", "failed"]] = {
        "busy": "busy",
        "rejected": "declined",
        "no_answer": "no_answer",
        "error": "failed",
    }
    return Dialled(outcomes[kind(cause)], _why(cause), Q850.get(cause))


def _why(cause: str) -> str:
    match kind(cause):
        case "busy":
            return "The line was busy."
        case "rejected":
            return "The call was rejected."
        case "no_answer":
            return "Nobody answered."
    said = _OWN_WORDS.get(cause) or WORDS.get(Q850.get(cause, 0)) or "it ended without an answer"
    return f"The call failed: {said} ({cause or 'no cause told'})."
