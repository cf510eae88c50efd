"""A request of ours, and what came back (RFC 3261 §17.1, RFC 6026)."""

import asyncio
import secrets
from collections.abc import Callable

import structlog

from sovereign_pbx.pbx.sip.repeating import Repeating
from sovereign_pbx.pbx.sip.timers import Timers
from sovereign_pbx.pbx.sip.transport import Flow, Kind
from sovereign_pbx.wire.sip import Headers, Request, Response, Via, cseq, response_to, tag_of

log = structlog.get_logger(__name__)

OnResponse = Callable[[Response], None]
OnCancel = Callable[[Request, str, Flow], None]  # the CANCEL with its Via, that one's branch, the way
_VIA_TRANSPORT: dict[Kind, str] = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}
_COPIED_TO_CANCEL = ("From", "To", "Call-ID", "Route")


def new_branch() -> str:
    return f"z9hG4bK{secrets.token_hex(8)}"


def with_via(request: Request, flow: Flow, branch: str) -> Request:
    """The request as it leaves over this flow; the one given stays as it is."""
    headers = request.headers.copy()
    host, port = flow.local
    via = Via(_VIA_TRANSPORT[flow.kind], host, port, {"branch": branch, "rport": ""})
    headers.put_first("Via", str(via))
    if "Max-Forwards" not in headers:
        headers.add("Max-Forwards", "70")
    return Request(request.method, request.uri, headers, request.body)


class ClientTransaction:
    """One request. `final()` is its final answer, one made here if need be: 408 when nothing comes in time, 503 when
    there is no way to the peer. `provisional` is the last provisional answer."""

    def __init__(
        self,
        request: Request,
        timers: Timers,
        *,
        on_ended: "Callable[[ClientTransaction], None]",
        on_cancel: OnCancel = lambda cancel, branch, flow: None,
        on_fork: OnResponse | None = None,
        on_provisional: OnResponse | None = None,
        timeout_s: float = 32.0,
        branch: str = "",
    ) -> None:
        self.request = request
        self.branch = branch or new_branch()
        self._as_it_is = bool(branch)  # a CANCEL, which has the Via of its INVITE
        self.provisional: Response | None = None
        self.flow: Flow | None = None
        self._timers = timers
        self._timeout_s = timeout_s
        self._on_ended, self._on_cancel = on_ended, on_cancel
        self._on_provisional, self._on_fork = on_provisional, on_fork
        self._invite = request.method == "INVITE"
        self._loop = asyncio.get_running_loop()
        self._final: asyncio.Future[Response] = self._loop.create_future()
        self._sent = b""
        self._repeating: Repeating | None = None
        self._end = self._loop.call_later(timeout_s, self._time_out)
        self._ack = b""  # of a refusal, made here; of a 2xx, as its owner sent it
        self._acked_tag = ""
        self._cancel_reason: str | None = None
        self._cancelled = False
        self._ended = False

    # --- for whoever asked

    async def final(self) -> Response:
        """Of an INVITE this may take as long as somebody's telephone rings; `cancel` ends that."""
        return await asyncio.shield(self._final)

    @property
    def answer(self) -> Response | None:
        """The final answer, once there is one."""
        return self._final.result() if self._final.done() and not self._final.cancelled() else None

    def cancel(self, reason: str = "") -> None:
        """Give up an INVITE; `reason` for the Reason header. CANCEL leaves once the other side has shown that it knows
        of the call (§9.1); `final()` then is 487, or a 2xx that crossed it and is to be acknowledged and ended."""
        if not self._invite or self._final.done() or self._cancel_reason is not None:
            return
        self._cancel_reason = reason
        if self.provisional is not None:
            self._send_cancel()

    # --- for the layer

    @property
    def key(self) -> tuple[str, str]:
        return self.branch, self.request.method

    def begin(self, flow: Flow) -> None:
        """There is a way: send. Raises ValueError for a request that can't be sent."""
        if self._ended or self._final.done():
            return
        self.flow = flow
        if not self._as_it_is:
            self.request = with_via(self.request, flow, self.branch)
        self._sent = self.request.encode()
        flow.write(self._sent)
        if not flow.reliable:
            longest = self._timers.life if self._invite else self._timers.t2
            self._repeating = Repeating(lambda: flow.write(self._sent), self._timers.t1, longest)  # timers A, E

    def came(self, response: Response) -> None:
        """An answer, perhaps again."""
        if self._ended:
            return
        if response.status < 200:
            self._came_provisional(response)
        elif self._final.done():
            self._came_again(response)
        else:
            self._settle(response)

    def acknowledge(self, data: bytes, tag: str) -> None:
        """How a 2xx with this To tag is acknowledged, should it come again."""
        self._ack, self._acked_tag = data, tag

    def fail(self, status: int, reason: str = "") -> None:
        """End with an answer made here."""
        if not self._final.done():
            self._final.set_result(response_to(self.request, status, reason))
        self.close()

    def close(self) -> None:
        """Nothing more is sent, and nothing kept. Who waits still is told 503."""
        if self._ended:
            return
        self._ended = True
        self._end.cancel()
        self._stop_repeating()
        if not self._final.done():
            self._final.set_result(response_to(self.request, 503))
        self._on_ended(self)

    # --- private

    def _came_provisional(self, response: Response) -> None:
        if self._final.done():
            return
        self.provisional = response
        if self._invite:
            self._stop_repeating()
            # From here on its owner's patience counts, unless nobody is left who has any
            self._end.cancel()
            self._end = self._loop.call_later(self._timers.ringing, self.cancel)
            if self._cancel_reason is not None:
                self._send_cancel()
        elif self._repeating is not None:
            self._repeating.slow_down()
        self._tell(self._on_provisional, response)

    def _settle(self, response: Response) -> None:
        self._stop_repeating()
        self._final.set_result(response)
        reliable = self.flow is not None and self.flow.reliable
        if not self._invite:
            self._end_after(0.0 if reliable else self._timers.t4)  # timer K
        elif response.status < 300:
            self._end_after(self._timers.life)  # timer M
        else:
            self._refused(response)
            self._end_after(0.0 if reliable else self._timers.life)  # timer D

    def _came_again(self, response: Response) -> None:
        if not self._invite or self.flow is None:
            return
        tag, first = tag_of(response.headers, "To"), self._final.result()
        if response.status >= 300 or tag == self._acked_tag:
            if self._ack:
                self.flow.write(self._ack)
        elif tag != tag_of(first.headers, "To") or first.status >= 300:
            self._tell(self._on_fork, response)

    def _refused(self, response: Response) -> None:
        """The ACK of a refusal belongs to this transaction: its branch, its station, its route (§17.1.1.3)."""
        assert self.flow is not None
        headers = Headers([("Via", self.request.headers.all("Via")[0])])
        for name in ("From", "Call-ID", "Route", "Max-Forwards"):
            for value in self.request.headers.all(name):
                headers.add(name, value)
        headers.add("To", response.headers.get("To"))
        headers.add("CSeq", f"{cseq(self.request.headers)[0]} ACK")
        self._ack = Request("ACK", self.request.uri, headers).encode()
        self.flow.write(self._ack)

    def _send_cancel(self) -> None:
        if self._cancelled or self.flow is None:
            return
        self._cancelled = True
        headers = Headers([("Via", self.request.headers.all("Via")[0])])
        for name in _COPIED_TO_CANCEL:
            for value in self.request.headers.all(name):
                headers.add(name, value)
        headers.add("CSeq", f"{cseq(self.request.headers)[0]} CANCEL")
        headers.add("Max-Forwards", "70")
        if self._cancel_reason:
            headers.add("Reason", self._cancel_reason)
        self._on_cancel(Request("CANCEL", self.request.uri, headers), self.branch, self.flow)
        self._end_after(self._timers.life)  # §9.1: an INVITE whose CANCEL brings no final answer is over by then

    def _stop_repeating(self) -> None:
        if self._repeating is not None:
            self._repeating.stop()

    def _end_after(self, seconds: float) -> None:
        self._end.cancel()
        self._end = self._loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        if self._final.done():
            self.close()
        else:
            self.fail(408)

    def _tell(self, callback: OnResponse | None, response: Response) -> None:
        """A fault of one call must not stop the transaction, let alone the socket that all share."""
        if callback is None:
            return
        try:
            callback(response)
        except Exception:
            log.exception("sip_callback_failed", method=self.request.method)
