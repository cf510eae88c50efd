"""`Retry-After`: a receiver that is busy says when to come again (RFC 9110 §10.2.3)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def seconds(value: str | None, now: datetime) -> float | None:
    """How long to wait by this header, 0 for a moment that has passed; None if it says nothing that can be used."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):  # not isdecimal: that takes other scripts' digits too
        return float(text)
    if len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # what the parser makes of rubbish
        return None
