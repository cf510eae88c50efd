"""A SIP dialog seen from one end (RFC 3261 §12): who speaks to whom, and the messages that follow from it."""

import asyncio
import random
import re
import secrets
from collections.abc import Callable, Sequence

from sovereign_pbx.testing.sip_message import SipMessage, response

Headers = Sequence[tuple[str, str]]

FIRST_RETRANSMISSION_S = 0.5  # RFC 3261 §17.1.1.2: T1, doubled each time
LAST_RETRANSMISSION_S = 4.0


class Dialog:
    """`contact` is our own user@host:port; `invite` the request that offered the call, if the other side placed it."""

    def __init__(self, contact: str, *, name: str = "", target: str = "", invite: SipMessage | None = None) -> None:
        self.invite = invite
        self.contact = contact
        self.tag = secrets.token_hex(4)
        self.cseq = random.randrange(1, 1000)
        self.branch = ""
        if invite is None:
            self.call_id = f"{secrets.token_hex(8)}@phone"
            self._self, self._peer, self._target, self._peer_tag = (
                f'"{name}" <sip:{contact}>',
                f"<{target}>",
                target,
                "",
            )
        else:
            self.call_id = invite.get("Call-ID")
            self._self, self._peer, self._target = invite.get("To"), invite.get("From"), invite.contact
            self._peer_tag = invite.tag("From")

    def learn(self, answer: SipMessage) -> None:
        """Take over the peer's tag and address from its response to our INVITE."""
        if answer.status > 100:
            self._peer_tag = answer.tag("To") or self._peer_tag
        if answer.status < 300:
            self._target = answer.contact or self._target

    def request(self, method: str, *, body: str = "", extra: Headers = ()) -> SipMessage:
        """A new request; an INVITE's branch is kept for its CANCEL and its ACK."""
        self.cseq += 1
        branch = _branch()
        if method == "INVITE":
            self.branch = branch
        return self._message(method, self.cseq, branch, body, extra)

    def cancel(self) -> SipMessage:
        """CANCEL of the INVITE: same branch, same number, and the To header without the tag it did not have."""
        message = self._message("CANCEL", self.cseq, self.branch, "", ())
        headers = tuple((name, self._peer if name == "To" else value) for name, value in message.headers)
        return SipMessage(message.start, headers)

    def acknowledge(self, answer: SipMessage) -> SipMessage:
        """ACK: of a refusal it belongs to the INVITE's own transaction, hence its branch (RFC 3261 §17.1.1.3)."""
        return self._message("ACK", answer.cseq[0], self.branch if answer.status >= 300 else _branch(), "", ())

    def reply(self, request: SipMessage, status: str, body: str = "", extra: Headers = ()) -> SipMessage:
        return response(request, status, [("Contact", f"<sip:{self.contact}>"), *extra], body, self.tag)

    def _message(self, method: str, cseq: int, branch: str, body: str, extra: Headers) -> SipMessage:
        here = self.contact.partition("@")[2]
        tagged = re.search(r";tag=", self._peer) or not self._peer_tag
        mine = re.sub(r";tag=.*", "", self._self)
        headers = [
            ("Via", f"SIP/2.0/UDP {here};rport;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"{mine};tag={self.tag}"),
            ("To", self._peer if tagged else f"{self._peer};tag={self._peer_tag}"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", f"<sip:{self.contact}>"),
            ("User-Agent", "scripted phone"),
            *extra,
        ]
        content = [("Content-Type", "application/sdp")] if body else []
        return SipMessage(f"{method} {self._target} SIP/2.0", (*headers, *content), body)


def _branch() -> str:
    return "z9hG4bK" + secrets.token_hex(6)


class Transaction:
    """A request on its way: sent again, ever more seldom, until an answer comes or it is stopped."""

    def __init__(self, send: Callable[[SipMessage], None], message: SipMessage) -> None:
        self.message = message
        self.answer: SipMessage | None = None
        self.answered = asyncio.Event()
        self._send = send
        self._wait_s = FIRST_RETRANSMISSION_S
        self._timer: asyncio.TimerHandle | None = None
        self._go()

    def take(self, answer: SipMessage) -> None:
        """A response: a provisional one ends the repetition, a final one the transaction."""
        self.stop()
        if answer.status >= 200:
            self.answer = answer
            self.answered.set()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _go(self) -> None:
        self._send(self.message)
        if self._wait_s <= LAST_RETRANSMISSION_S:
            self._timer = asyncio.get_running_loop().call_later(self._wait_s, self._go)
            self._wait_s *= 2
