"""A REFER of ours on its way (RFC 3515): what the NOTIFYs tell of it."""

import asyncio
import re
from typing import Final

from sovereign_pbx.wire.sip import Request

_STATUS: Final = re.compile(rb"SIP/2\.0 ([1-6]\d\d)\b", re.IGNORECASE)


class Referral:
    """From the 202 to the last NOTIFY, or the end of the dialog."""

    def __init__(self) -> None:
        self._status = 0
        self._done = asyncio.Event()

    async def outcome(self) -> int:
        """The last status that was told, once no other follows; 0 when none was."""
        await self._done.wait()
        return self._status

    def notified(self, notify: Request) -> None:
        """A NOTIFY in the dialog; one of another event than `refer` says nothing."""
        if notify.headers.get("Event").partition(";")[0].strip().lower() != "refer":
            return
        found = _STATUS.match(notify.body.lstrip())
        if found is not None:
            self._status = int(found[1])
        state = notify.headers.get("Subscription-State").partition(";")[0].strip().lower()
        if self._status >= 200 or state == "terminated":
            self._done.set()

    def over(self) -> None:
        """The dialog has ended: what was told last is what is known."""
        self._done.set()
