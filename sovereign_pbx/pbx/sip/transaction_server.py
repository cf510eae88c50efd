"""A request that came, and its answers (RFC 3261 §17.2, RFC 6026)."""

import asyncio
import secrets
from collections.abc import Callable, Iterable

import structlog

from sovereign_pbx.pbx.sip.repeating import Repeating
from sovereign_pbx.pbx.sip.timers import Timers
from sovereign_pbx.pbx.sip.transport import Flow
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Request, Response, cseq, response_to, tag_of

log = structlog.get_logger(__name__)

AckKey = tuple[str, str, str, int]  # Call-ID, their tag, our tag, CSeq


class ServerTransaction:
    """One request, however often it came. `tag` is the To tag that its answers get where they have none.

    Of an INVITE: `acknowledged` is set and `on_ack` called when the ACK of the final answer has come (`ack`),
    `on_no_ack` when it has not within 64 T1; `on_cancel` when the caller has given up (`cancel_request`): unless it
    answers finally itself, 487 follows.
    """

    def __init__(
        self,
        request: Request,
        flow: Flow,
        timers: Timers,
        *,
        on_answered: "Callable[[ServerTransaction], None]" = lambda transaction: None,
        on_ended: "Callable[[ServerTransaction], None]" = lambda transaction: None,
        back: Flow | None = None,
    ) -> None:
        self.request = request
        self.flow = flow
        self.tag = secrets.token_hex(8)
        self.acknowledged = asyncio.Event()
        self.ack: Request | None = None
        self.cancel_request: Request | None = None
        self.on_cancel: Callable[[], None] | None = None
        self.on_ack: Callable[[Request], None] | None = None
        self.on_no_ack: Callable[[], None] | None = None
        self.final: Response | None = None
        self._back = back or flow
        self._timers = timers
        self._on_answered, self._on_ended = on_answered, on_ended
        self._invite = request.method == "INVITE"
        self._last = b""
        self._repeating: Repeating | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(timers.trying, self._trying) if self._invite else None
        self._end = self._loop.call_later(timers.ringing if self._invite else timers.life, self._forgotten)
        self._ended = False

    # --- for whoever answers

    def reply(
        self, status: int, reason: str = "", *, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Response:
        """`respond` with a response made here; returns it."""
        response = response_to(self.request, status, reason, tag=self.tag, headers=headers, body=body)
        self.respond(response)
        return response

    def respond(self, response: Response) -> None:
        """Send an answer: provisional ones as often as needed, a final one once; whatever comes after it is ignored.

        Raises ValueError for a response that can't be sent.
        """
        if self.final is not None or self._ended:
            return
        self._mark(response)
        self._last = response.encode()
        self._stop_trying()
        self._back.write(self._last)
        if response.status >= 200:
            self._answered(response)

    def respond_once(self, response: Response) -> None:
        """A refusal that nothing is kept for: the demand for a password, which a forged address must not have repeated.
        Should it get lost, the request comes again as if it were new (RFC 3261 §8.2.7)."""
        if self.final is None and not self._ended:
            self._mark(response)
            self.final = response
            self._back.write(response.encode())
            self.close()

    def close(self) -> None:
        """Nothing more is sent, and nothing kept."""
        if self._ended:
            return
        self._ended = True
        self._stop_trying()
        self._end.cancel()
        if self._repeating is not None:
            self._repeating.stop()
        self._on_ended(self)

    # --- for the layer

    @property
    def ack_key(self) -> AckKey | None:
        """By which the ACK of a 2xx is found; None for any other answer."""
        if self.final is None or not self._invite or self.final.status >= 300:
            return None
        headers = self.final.headers
        try:
            number = cseq(headers)[0]
        except Malformed:
            return None
        return headers.get("Call-ID"), tag_of(headers, "From"), tag_of(headers, "To"), number

    def came_again(self) -> None:
        """A repetition: the last answer once more, except a 2xx, which repeats itself."""
        if self._last and not (self._invite and self.final is not None and self.final.status < 300):
            self._back.write(self._last)

    def acked(self, ack: Request) -> None:
        """The ACK has come, perhaps again."""
        if self.final is None or self.acknowledged.is_set():
            return
        self.ack = ack
        self.acknowledged.set()
        if self._repeating is not None:
            self._repeating.stop()
        if self.final.status >= 300:  # timer I; after a 2xx timer L goes on
            self._end_after(0.0 if self.flow.reliable else self._timers.t4)
        self._tell(self.on_ack, ack)

    def cancelled(self, cancel: Request) -> None:
        """The caller has given up; without effect once there is a final answer."""
        if self.final is not None or self._ended or self.cancel_request is not None:
            return
        self.cancel_request = cancel
        self._tell(self.on_cancel)
        self.reply(487)

    # --- private

    def _mark(self, response: Response) -> None:
        if response.status > 100 and not tag_of(response.headers, "To"):
            response.headers.set("To", f"{response.headers.get('To')};tag={self.tag}")

    def _trying(self) -> None:
        if not self._last:
            self._last = response_to(self.request, 100).encode()
            self._back.write(self._last)

    def _stop_trying(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _answered(self, response: Response) -> None:
        self.final = response
        if not self._invite:
            self._end_after(0.0 if self.flow.reliable else self._timers.life)  # timer J
        else:
            # A 2xx is repeated over reliable transports too: a proxy may lose it between two of them (§13.3.1.4).
            if response.status < 300 or not self.flow.reliable:
                self._repeating = Repeating(self._repeat, self._timers.t1, self._timers.t2)  # timer G
            self._end_after(self._timers.life)  # timers H and L
        self._on_answered(self)

    def _repeat(self) -> None:
        self._back.write(self._last)

    def _end_after(self, seconds: float) -> None:
        self._end.cancel()
        self._end = self._loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        unacknowledged = self._invite and not self.acknowledged.is_set()
        self.close()
        if unacknowledged:
            self._tell(self.on_no_ack)

    def _forgotten(self) -> None:
        """Whoever was to answer never did."""
        log.warning("sip_request_never_answered", method=self.request.method)
        if self._invite:
            self._tell(self.on_cancel)
            self.reply(480)
        else:
            self.close()

    def _tell(self, callback: Callable[..., None] | None, *arguments: object) -> None:
        """A fault of one call must not stop the transaction, let alone the socket that all share."""
        if callback is None:
            return
        try:
            callback(*arguments)
        except Exception:
            log.exception("sip_callback_failed", method=self.request.method)
