"""An INVITE that came and is not finally answered: it rings, plays something early, is answered or refused."""

from collections.abc import Callable, Iterable
from typing import Final

from sovereign_pbx.pbx.sip.refusal import Refusal
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.sip import Request, cause_of, response_to

Pairs = Iterable[tuple[str, str]]

SDP: Final = ("Content-Type", "application/sdp")
ALLOW: Final = ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY")
SUPPORTED: Final = ("Supported", "timer")


class Invitation:
    """`on_left` is told when the caller gives up before the answer (CANCEL), with the cause if he says one. `contact`:
    the value of our Contact header."""

    def __init__(self, transaction: ServerTransaction, contact: str) -> None:
        self.transaction = transaction
        self.tag = transaction.tag
        self.contact = contact
        self.on_left: Callable[[int | None], None] = _nobody
        self.settled = transaction.final is not None  # a CANCEL may have come right behind the INVITE
        transaction.on_cancel = self._cancelled

    @property
    def request(self) -> Request:
        return self.transaction.request

    def ring(self) -> None:
        """180."""
        self._respond(180, [self._contact, ALLOW])

    def progress(self, sdp: bytes) -> None:
        """183 with the sound that is heard before any answer."""
        self._respond(183, [self._contact, ALLOW, SDP], sdp)

    def accept(self, sdp: bytes, headers: Pairs = ()) -> None:
        """200. No-op once it is settled."""
        self._respond(200, [self._contact, ALLOW, SUPPORTED, *headers, SDP], sdp)

    def refuse(self, refusal: Refusal, headers: Pairs = ()) -> None:
        """Any other final response. No-op once it is settled."""
        self._respond(refusal.status, [*refusal.headers(), *headers])

    async def acknowledged(self) -> Request | None:
        """Wait for the ACK of our 200."""
        await self.transaction.acknowledged.wait()
        return self.transaction.ack

    @property
    def _contact(self) -> tuple[str, str]:
        return "Contact", self.contact

    def _respond(self, status: int, headers: Pairs, body: bytes = b"") -> None:
        if self.settled:
            return
        if status >= 200:
            self._settle()
        self.transaction.respond(response_to(self.request, status, tag=self.tag, headers=headers, body=body))

    def _cancelled(self) -> None:
        """The transaction answers the CANCEL, and the INVITE with 487."""
        if not self.settled:
            cancel, left = self.transaction.cancel_request, self._settle()
            left(cause_of(cancel) if cancel is not None else None)

    def _settle(self) -> Callable[[int | None], None]:
        """Who would have been told of a CANCEL. The transaction stays for 32 s: it must not keep a call's sound."""
        left, self.on_left = self.on_left, _nobody
        self.settled = True
        return left


def _nobody(cause: int | None) -> None:
    """There is nobody to tell any more."""
