"""One dialog with its sound, whichever end placed it: what comes in it is answered here, and it ends here."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final, Protocol

import structlog

from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFinished, Refused
from sovereign_pbx.pbx.sip.dialog import Dialog
from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.pbx.sip.info_digits import digit_of, relayed
from sovereign_pbx.pbx.sip.invitation import ALLOW, Invitation
from sovereign_pbx.pbx.sip.referral import Referral
from sovereign_pbx.pbx.sip.refusal import CAUSE_FALLBACK, Refusal, of_cause
from sovereign_pbx.pbx.sip.renegotiation import Renegotiation
from sovereign_pbx.pbx.sip.sound import Sound
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.pbx.sip.transport import Flow
from sovereign_pbx.wire.sip import Request, Response, Uri, cause_of, reason_header, response_to

log = structlog.get_logger(__name__)

Pairs = Iterable[tuple[str, str]]

REQUEST_S: Final = 8.0
"""How long a request of ours within a dialog may go unanswered."""
BYE_S: Final = 4.0
UNACKNOWLEDGED_S: Final = 1.0
"""How long a BYE waits for the ACK of our answer; the other end repeats that at once when it hears the answer again."""


class LegEars(Protocol):
    """Told what happens in the dialog, on the loop. Must not block."""

    def digit(self, digit: str) -> None:
        """By INFO; those of the sound are told by the link."""

    def held(self, held: bool) -> None: ...

    def over(self, cause: int | None, how: LinkEnded) -> None:
        """Once, by whomever; its sound ends after this has returned."""


class Home(Protocol):
    """Where legs live: they are found by their messages, and their tasks are owned there."""

    endpoint: Endpoint
    session_expires_s: int

    def add(self, leg: "Leg") -> None: ...

    def remove(self, leg: "Leg") -> None: ...

    async def open_sound(self, host: str) -> Sound: ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None: ...


class Leg:
    """`invitation` is of a call that came and has not been answered. `contact`: the value of our Contact header.
    `first`: the INVITE that came, or the answer to ours. `allowed`: the methods that the other end takes,
    in capitals, empty where it did not say."""

    def __init__(
        self,
        home: Home,
        dialog: Dialog,
        sound: Sound,
        *,
        contact: str,
        first: Request | Response,
        flow: Flow | None = None,
        invitation: Invitation | None = None,
    ) -> None:
        self.home = home
        self.dialog = dialog
        self.sound = sound
        self.contact = ("Contact", contact)
        self.ears: LegEars | None = None
        self.prove: Callable[[Response, Request], tuple[str, str] | None] = lambda refusal, request: None
        self.allowed = frozenset(word.upper() for word in first.headers.tokens("Allow"))
        self._flow = flow
        self._invitation = invitation
        self._acknowledged: asyncio.Event | None = None  # our 200
        self._is_over = asyncio.Event()
        self._cause: int | None = None
        self._held = False
        self._offers = Renegotiation(self)
        self._referral: Referral | None = None
        sound.on_lost = self._lost
        if invitation is not None:
            invitation.on_left = self._gave_up
        home.add(self)

    # --- how it is

    @property
    def up(self) -> bool:
        return not self._is_over.is_set()

    async def ended(self) -> int | None:
        """Wait for the end; the Q.850 cause that was told, if any."""
        await self._is_over.wait()
        return self._cause

    def confirm(self, timer_from: Response | None = None) -> None:
        """The INVITE has been answered. `timer_from`: the 200 that came, where the call is ours."""
        if self._invitation is not None:
            self._acknowledged = self._invitation.transaction.acknowledged
            self._invitation = None
        if timer_from is not None:
            self._offers.begin_timer_by(timer_from.headers)

    def answer_headers(self, request: Request) -> list[tuple[str, str]]:
        """What our 200 to an INVITE says about the session timer, which runs from now on."""
        return self._offers.begin_timer_for(request.headers)

    # --- what we want

    async def send(
        self, method: str, headers: Pairs = (), body: bytes = b"", *, within_s: float = REQUEST_S
    ) -> Response:
        """A request within the dialog, and its final response (408 made here where none came). The answer that there is
        no such call ends the leg; silence does not: some never answer what they do not know (RFC 5057 §5.1)."""
        request = self.dialog.request(method, headers=[*headers, self.contact], body=body)
        response = await self.home.endpoint.request(request, self.hop, timeout_s=within_s).final()
        proven = self.prove(response, request)
        if proven is not None:  # carriers ask for the password again, in the middle of a call
            request = self.dialog.request(method, headers=[*headers, self.contact, proven], body=body)
            response = await self.home.endpoint.request(request, self.hop, timeout_s=within_s).final()
        if response.status == 481 and method != "BYE":
            self.end(None, LinkBroken("the other end does not know the call any more"))
        return response

    @property
    def hop(self) -> Uri | Flow:
        """Where requests go: by the connection that is there, else to the next station. Who names a private address and
        comes from a public one is behind NAT, and reached by where he comes from alone."""
        flow, dialog = self._flow, self.dialog
        if flow is not None and (
            flow.reliable or (not dialog.routes and _behind_nat(dialog.target.host, flow.peer[0]))
        ):
            return flow
        return dialog.next_hop

    async def bye(self, cause: int = 16) -> None:
        """End it; returns when the other end has confirmed, or does not. Idempotent; raises nothing."""
        if not self.up:
            return
        self.end(cause, LinkClosed("ended by us"))
        await self._until_acknowledged()
        try:
            await self.send("BYE", [("Reason", reason_header(cause))], within_s=BYE_S)
        except (LinkEnded, OSError) as exc:
            log.info("sip_bye_failed", why=str(exc))

    async def _until_acknowledged(self) -> None:
        """Who was called must not hang up before his answer is known to have come (RFC 3261 §15)."""
        if self._acknowledged is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(UNACKNOWLEDGED_S):
                    await self._acknowledged.wait()

    def refuse(self, refusal: Refusal, headers: Pairs = ()) -> None:
        """A final response to a call that came and was not answered; there is no dialog then."""
        if self._invitation is not None and self.up:
            self._invitation.refuse(refusal, headers)
            self.end(refusal.cause, LinkClosed("refused by us"))

    async def hang_up(self, cause: int = 16) -> None:
        """End it, wherever it is. Idempotent; raises nothing."""
        if self._invitation is not None and not self._invitation.settled:
            self.refuse(of_cause(cause))
        else:
            await self.bye(cause)

    async def refer(self, refer_to: str, *, within_s: float) -> int:
        """See `HeldCall.refer`."""
        if self._referral is not None:
            raise Refused("transfer_under_way", "this caller is being referred already")
        self._referral = Referral()
        try:
            async with asyncio.timeout(within_s):
                named = [("Refer-To", f"<{refer_to}>"), ("Referred-By", f"<{self.dialog.local.uri}>")]
                answer = await self.send("REFER", named)
                if not 200 <= answer.status < 300:
                    raise Refused("refer_refused", f"the PBX does not transfer the call ({answer.status})")
                return await self._referral.outcome()
        finally:
            self._referral = None

    async def send_digit(self, digit: str) -> None:
        """As a telephone event where that was agreed on, else by INFO. Raises LinkEnded."""
        if self.sound.sends_digits:
            await self.sound.send_digits(digit)
            return
        headers, body = relayed(digit)
        answer = await self.send("INFO", headers, body)
        if answer.status >= 300:
            raise LinkFinished(f"neither telephone events nor INFO are taken ({answer.status})")

    # --- what comes

    def take(self, transaction: ServerTransaction) -> None:
        """A request of this dialog."""
        request = transaction.request
        if not self.up or not self.dialog.is_of(request):
            self.respond(transaction, 481)
        elif not self.dialog.follows(request):
            self.respond(transaction, 500)
        elif request.method in ("INVITE", "UPDATE"):
            self._take_offer(transaction)
        else:
            self._take_other(transaction)

    def respond(self, transaction: ServerTransaction, status: int, headers: Pairs = (), body: bytes = b"") -> None:
        transaction.respond(response_to(transaction.request, status, headers=headers, body=body))

    def _take_offer(self, transaction: ServerTransaction) -> None:
        if self._invitation is not None:  # two offers at once (RFC 3261 §14.2, RFC 3311 §5.2)
            again = [("Retry-After", "1")] if transaction.request.method == "INVITE" or transaction.request.body else []
            self.respond(transaction, 500 if again else 200, again or [self.contact])
            return
        self._offers.take(transaction)
        self.tell_hold()

    def _take_other(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        match request.method:
            case "BYE":
                self.respond(transaction, 200)
                self._left(request)
            case "INFO":
                self._take_info(transaction)
            case "NOTIFY":
                self.respond(transaction, 200)
                if self._referral is not None:
                    self._referral.notified(request)
            case "OPTIONS":
                self.respond(transaction, 200, [ALLOW, ("Accept", "application/sdp")])
            case "REFER":  # nobody outside steers our calls
                self.respond(transaction, 603)
            case _:
                self.respond(transaction, 405, [ALLOW])

    def _take_info(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        digit = digit_of(request)
        if digit is None and request.body:
            self.respond(transaction, 415, [("Accept", "application/dtmf-relay, application/dtmf")])
            return
        self.respond(transaction, 200)
        if digit and self.ears is not None:
            self.ears.digit(digit)

    def _left(self, bye: Request) -> None:
        if self._invitation is not None:  # RFC 3261 §15: the early dialog ends so as well
            self._invitation.refuse(Refusal(487))
        self.end(cause_of(bye), LinkFinished("the other end hung up"))

    def _lost(self) -> None:
        """Nothing comes any more, and no link is there to end by it: the call is dead."""
        self.home.spawn(self.bye(CAUSE_FALLBACK), "sip-lost")

    def _gave_up(self, cause: int | None) -> None:
        self.end(cause, LinkFinished("the caller hung up before the answer"))

    # --- for what works on it

    def tell_hold(self) -> None:
        """Whether the other end listens may have changed."""
        held = self.sound.held
        if held != self._held:
            self._held = held
            if self.ears is not None:
                self.ears.held(held)

    def end(self, cause: int | None, how: LinkEnded) -> None:
        """There is no dialog any more. Idempotent."""
        if not self.up:
            return
        self._cause = cause
        self._is_over.set()
        self._offers.close()
        if self._referral is not None:
            self._referral.over()
        self.home.remove(self)
        try:
            if self.ears is not None:
                self.ears.over(cause, how)
        except Exception:
            log.exception("sip_end_failed")
        finally:
            self.sound.close(how)


def _behind_nat(named: str, seen: str) -> bool:
    try:
        return ip_address(named).is_private and ip_address(seen).is_global
    except ValueError:  # a host's name
        return False
