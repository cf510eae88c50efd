"""What a SIP status means as a cause of Q.850, and the reverse; the Reason header that carries one (RFC 3326).

The tables follow RFC 3398 §7.2.4.1 and §8.2.6.1 except where both FreeSWITCH and Asterisk were measured to do
otherwise: a rejection is 603 in place of 403 (it is this side's user who declines), and 480 is a telephone that nobody
answered.
"""

import re
from typing import Final

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip_headers import Headers
from sovereign_pbx.wire.sip_text import parameters

STATUS_OF_CAUSE: Final = {
    1: 404,  # unallocated number
    2: 404,  # no route to the network
    3: 404,  # no route to the destination
    16: 480,  # normal clearing, of a call that was never answered
    17: 486,  # busy
    18: 408,  # no user responding
    19: 480,  # no answer
    20: 480,  # subscriber absent
    21: 603,  # rejected
    22: 410,  # number changed
    23: 410,  # redirected to another number
    26: 404,  # not selected
    27: 502,  # destination out of order
    28: 484,  # incomplete number
    29: 501,  # facility rejected
    31: 480,  # normal, unspecified
    34: 503,  # no circuit
    38: 503,  # network out of order
    41: 503,  # temporary failure
    42: 503,  # congestion
    44: 503,  # channel not available
    47: 503,  # no resource
    55: 403,  # barred within the user group
    57: 403,  # not authorised
    58: 503,  # not available at present
    65: 488,  # bearer not implemented
    70: 488,  # restricted digital information only
    79: 501,  # not implemented
    87: 403,  # not a member of the user group
    88: 488,  # incompatible destination
    102: 504,  # timer ran out
    111: 500,  # protocol error
    127: 500,  # interworking
}

CAUSE_OF_STATUS: Final = {
    400: 41,
    401: 21,
    402: 21,
    403: 21,
    404: 1,
    405: 63,
    406: 79,
    407: 21,
    408: 102,
    410: 22,
    413: 127,
    414: 127,
    415: 79,
    416: 127,
    420: 127,
    421: 127,
    422: 127,
    423: 127,
    480: 19,
    481: 41,
    482: 25,
    483: 25,
    484: 28,
    485: 1,
    486: 17,
    487: 16,
    488: 88,
    491: 41,
    500: 41,
    501: 79,
    502: 38,
    503: 41,
    504: 102,
    505: 127,
    513: 127,
    600: 17,
    603: 21,
    604: 1,
    606: 88,
}

_TEXT: Final = {
    1: "Unallocated number",
    16: "Normal call clearing",
    17: "User busy",
    18: "No user responding",
    19: "No answer",
    20: "Subscriber absent",
    21: "Call rejected",
    26: "Answered elsewhere",
    27: "Destination out of order",
    34: "No circuit available",
    38: "Network out of order",
    41: "Temporary failure",
    42: "Congestion",
    47: "Resource unavailable",
    102: "Recovery on timer expiry",
    127: "Interworking",
}
_NUMBER: Final = re.compile(r"[0-9]{1,3}")


def reason_header(cause: int) -> str:
    """The value of a Reason header for a cause of Q.850. Raises ValueError beyond 1 to 127."""
    if not 1 <= cause <= 127:
        raise ValueError(f"a cause of Q.850 is 1 to 127, not {cause}")
    text = f';text="{_TEXT[cause]}"' if cause in _TEXT else ""
    return f"Q.850;cause={cause}{text}"


def cause_in(headers: Headers) -> int | None:
    """The cause of Q.850 in the Reason headers, if one of them tells it."""
    for value in headers.all("Reason"):
        protocol, semicolon, rest = value.partition(";")
        if protocol.strip().lower() != "q.850":
            continue
        try:
            number = parameters(semicolon + rest).get("cause", "")
        except Malformed:
            continue
        if _NUMBER.fullmatch(number) and 1 <= int(number) <= 127:
            return int(number)
    return None
