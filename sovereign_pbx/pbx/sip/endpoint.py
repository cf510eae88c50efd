"""Our own SIP endpoint: transports below, transactions above, and no answer to anybody who has not earned one.

What is not permitted, no SIP, an answer or an ACK is never answered. A malformed request gets one 400 that repeats only
what an answer must; those and all others made without keeping anything are limited for each address.
"""

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

import structlog

from sovereign_pbx.core.errors import ConfigError, LinkBroken
from sovereign_pbx.pbx.asterisk.peers import Peers
from sovereign_pbx.pbx.sip.buckets import Buckets
from sovereign_pbx.pbx.sip.forks import bye_of_fork
from sovereign_pbx.pbx.sip.judging import Judge, stamp
from sovereign_pbx.pbx.sip.timers import Timers
from sovereign_pbx.pbx.sip.transaction_client import ClientTransaction, OnResponse, new_branch, with_via
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.pbx.sip.transactions import Transactions
from sovereign_pbx.pbx.sip.transport import Address, Flow, Kind, is_wildcard, own_address_towards
from sovereign_pbx.pbx.sip.transport_stream import StreamTransport
from sovereign_pbx.pbx.sip.transport_udp import UdpTransport
from sovereign_pbx.pbx.sip.ways import Ways
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import BadRequest, Request, Response, Uri, host_text

log = structlog.get_logger(__name__)

# A call's transactions live for 32 s after its answer: 8 for each leave room for 128 calls a second at 512.
_TRANSACTIONS_A_CALL: Final = 8
_ANSWERS_PER_S: Final = 100.0
_ANSWERS_AT_ONCE: Final = 200.0
_LINES_PER_S: Final = 0.2  # of the log, for each address that sends rubbish
_LINES_AT_ONCE: Final = 5.0
_RETRY_AFTER_S: Final = "10"
_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"  # RFC 3261 §25.1: unreserved and user-unreserved

OnRequest = Callable[[ServerTransaction], None]


class Endpoint:
    """Listens with each of `transports`: UDP and TCP on `port`, TLS on the one after it (each on a free one where
    `port` is 0). `permit`: networks that may talk to it, everybody where empty.

    `on_request` is told of every request that is not a repetition, an ACK, a CANCEL, or refused here, those inside
    dialogs included; it must not block. `timers` are for tests in virtual time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        transports: Sequence[Kind],
        *,
        on_request: OnRequest,
        advertise_host: str = "",
        permit: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
        max_calls: int = 512,
        supported: Sequence[str] = ("timer",),
        timers: Timers | None = None,
        message_s: float = 10.0,
        idle_s: float = 900.0,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._host, self._port = host, port
        self._advertise_host = advertise_host
        self._tls, self._client_tls = tls, client_tls
        self._on_request = on_request
        self._timers = timers or Timers()
        self._peers = Peers(permit, "sip.permit")
        self._judge = Judge(supported)
        self._buckets = Buckets(_ANSWERS_PER_S, _ANSWERS_AT_ONCE)
        self._lines = Buckets(_LINES_PER_S, _LINES_AT_ONCE)
        self._transactions = Transactions(_TRANSACTIONS_A_CALL * max_calls + 64)
        self._udp = UdpTransport(host, port, self, advertise_host=advertise_host) if "udp" in transports else None
        self._limits = {"max_connections": max_calls, "message_s": message_s, "idle_s": idle_s}
        self._kinds: tuple[Kind, ...] = tuple(transports)
        self._streams: dict[Kind, StreamTransport] = {}
        self._ways = Ways(self._udp, self._streams)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life

    async def start(self) -> None:
        """Listen. Raises ConfigError when an address can't be had."""
        try:
            if self._udp is not None:
                await self._udp.start()
            for kind in self._kinds:
                if kind != "udp":
                    await self._listen(kind)
        except OSError as exc:
            await self.stop()
            why = os.strerror(exc.errno) if exc.errno is not None else exc  # uvloop's own words do not say why
            raise ConfigError(
                f"SIP can't listen on {host_text(self._host, self._port)}: {why}",
                key="sip",
                remedy="Choose a free port and an address of this machine.",
            ) from exc

    async def _listen(self, kind: Kind) -> None:
        if kind == "tls" and self._tls is None:
            await self.stop()
            raise ConfigError("SIP over TLS needs a certificate", key="sip.tls_certificate")
        if kind == "tls" and self._client_tls is None:
            self._client_tls = await asyncio.to_thread(ssl.create_default_context)  # reads every root certificate
        secure = kind == "tls"
        self._streams[kind] = stream = StreamTransport(
            kind,
            self._host,
            self._port + 1 if secure and self._port else self._port,
            self,
            advertise_host=self._advertise_host,
            server_tls=self._tls if secure else None,
            client_tls=self._client_tls if secure else None,
            max_connections=int(self._limits["max_connections"]),
            message_s=self._limits["message_s"],
            idle_s=self._limits["idle_s"],
        )
        await stream.start()

    async def stop(self) -> None:
        """Let go of everything; whoever waits for an answer is told 503."""
        self._transactions.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in self._streams.values():
            await stream.stop()
        if self._udp is not None:
            await self._udp.stop()

    def address(self, kind: Kind) -> Address:
        """Where it listens: the real port where 0 was asked for."""
        if kind == "udp" and self._udp is not None:
            return self._udp.address
        return self._streams[kind].address

    def contact(self, way: Flow | Kind, user: str) -> str:
        """The value of a Contact header under which `user` is reached here, over the same transport."""
        kind, (host, port) = (way, self._advertised(way)) if isinstance(way, str) else (way.kind, way.local)
        params: dict[str, str] = {} if kind == "udp" else {"transport": kind}
        return f"<{Uri('sip', quote(user, safe=_USER_SAFE), host, port, params)}>"

    def _advertised(self, kind: Kind) -> Address:
        host, port = self.address(kind)
        if self._advertise_host:
            return self._advertise_host, port
        # 192.0.2.1 is nobody's (RFC 5737): the way there is the way to everybody
        return (own_address_towards("2001:db8::1" if ":" in host else "192.0.2.1") if is_wildcard(host) else host), port

    def statistics(self) -> dict[str, int]:
        """transactions and connections at present, and what has been refused or dropped since the start, by reason."""
        connections = sum(stream.connections for stream in self._streams.values())
        return {"transactions": len(self._transactions), "connections": connections, **self.counts}

    # --- requests of ours

    def request(
        self, request: Request, to: Uri | Flow, *, on_provisional: OnResponse | None = None, timeout_s: float = 32.0
    ) -> ClientTransaction:
        """Send a request, its Via added. `timeout_s`: how long an INVITE may have no answer at all, and any other
        request no final one.

        Raises ValueError for a request that can't be sent.
        """
        transaction = ClientTransaction(
            request,
            self._timers,
            on_ended=self._transactions.remove_client,
            on_cancel=self._send_cancel,
            on_fork=lambda response: self._end_fork(request, response),
            on_provisional=on_provisional,
            timeout_s=timeout_s,
        )
        if self._transactions.full:
            self.counts["refused_own_requests"] += 1
            transaction.fail(503)
            return transaction
        self._transactions.add_client(transaction)
        try:
            flow = self._ways.at_once(to) if isinstance(to, Uri) else to
        except LinkBroken as exc:
            self._no_way(transaction, exc)
            return transaction
        if flow is not None:
            self._begin(transaction, flow)
        elif isinstance(to, Uri):
            self._spawn(self._begin_later(transaction, to))
        return transaction

    def send_ack(self, ack: Request, to: Uri | Flow) -> None:
        """Send the ACK of a 2xx, its Via added; sent again by itself whenever that 2xx comes again."""
        try:
            flow = self._ways.at_once(to) if isinstance(to, Uri) else to
        except LinkBroken as exc:
            log.warning("sip_no_way", why=str(exc))
            return
        if flow is not None:
            self._write_ack(ack, flow)
        elif isinstance(to, Uri):
            self._spawn(self._ack_later(ack, to))

    def _begin(self, transaction: ClientTransaction, flow: Flow) -> None:
        try:
            transaction.begin(flow)
        except ValueError:
            transaction.close()
            raise

    def _no_way(self, transaction: ClientTransaction, exc: LinkBroken) -> None:
        log.warning("sip_no_way", why=str(exc))
        transaction.fail(503)

    async def _begin_later(self, transaction: ClientTransaction, to: Uri) -> None:
        try:
            self._begin(transaction, await self._ways.find(to))
        except LinkBroken as exc:
            self._no_way(transaction, exc)
        except ValueError:
            log.exception("sip_request_unsendable", method=transaction.request.method)

    async def _ack_later(self, ack: Request, to: Uri) -> None:
        try:
            self._write_ack(ack, await self._ways.find(to))
        except LinkBroken as exc:
            log.warning("sip_no_way", why=str(exc))

    def _write_ack(self, ack: Request, flow: Flow) -> None:
        data = with_via(ack, flow, new_branch()).encode()
        self._transactions.acknowledged(ack, data)
        flow.write(data)

    def _send_cancel(self, cancel: Request, branch: str, flow: Flow) -> None:
        transaction = ClientTransaction(
            cancel, self._timers, on_ended=self._transactions.remove_client, timeout_s=self._timers.life, branch=branch
        )
        self._transactions.add_client(transaction)
        self._begin(transaction, flow)

    def _end_fork(self, invite: Request, response: Response) -> None:
        """A second telephone has answered one INVITE: it is told that it is too late (RFC 3261 §13.2.2.4)."""
        ending = bye_of_fork(invite, response)
        if ending is not None:
            ack, bye, to = ending
            self.counts["forks_ended"] += 1
            self.send_ack(ack, to)
            self.request(bye, to)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- transport.Receiver

    def admits(self, kind: Kind, peer: object) -> bool:
        if self._peers.admits(peer):
            return True
        self.counts["refused_not_permitted"] += 1
        return False

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def lost(self, flow: Flow) -> None:
        for transaction in self._transactions.clients:
            if transaction.flow is flow and transaction.answer is None:
                transaction.fail(503)

    def malformed(self, flow: Flow, exc: Exception) -> None:
        self.counts["malformed"] += 1
        if self._lines.take(flow.peer[0], asyncio.get_running_loop().time()):
            log.info("sip_malformed", peer=flow.peer[0], rule=str(exc))
        if isinstance(exc, BadRequest) and exc.request.method != "ACK":
            port = stamp(exc.request, flow)
            self._answer(self._judge.reply(exc.request, exc.status), flow if port is None else flow.towards(port))

    def arrived(self, flow: Flow, message: Request | Response) -> None:
        try:
            if isinstance(message, Response):
                self._response(message)
            else:
                self._request(flow, message)
        except Exception:
            # One message must not close the socket that all calls share
            self.counts["failed"] += 1
            log.exception("sip_message_failed", peer=flow.peer[0])

    # --- what came

    def _response(self, response: Response) -> None:
        transaction = self._transactions.client(response)
        if transaction is None:
            self.counts["stray_responses"] += 1
        else:
            transaction.came(response)

    def _request(self, flow: Flow, request: Request) -> None:
        port = stamp(request, flow)
        back = flow if port is None else flow.towards(port)
        if request.method == "ACK":
            self._ack(request)
            return
        known = self._transactions.server(request)
        if known is not None:
            known.came_again()
        elif request.method == "CANCEL":
            self._cancel(request, back)
        else:
            answer = self._refusal(request)
            if answer is None:
                self._take(request, flow, back)
            else:
                self._answer(answer, back)

    def _refusal(self, request: Request) -> Response | None:
        verdict = self._judge.verdict(request)
        if verdict is None and self._transactions.merged(request):
            verdict = self._judge.reply(request, 482)
        if verdict is None and self._transactions.full:
            verdict = self._judge.reply(request, 503, ("Retry-After", _RETRY_AFTER_S))
        return verdict

    def _take(self, request: Request, flow: Flow, back: Flow) -> None:
        transaction = ServerTransaction(
            request,
            flow,
            self._timers,
            on_answered=self._transactions.answered,
            on_ended=self._transactions.remove_server,
            back=back,
        )
        self._transactions.add_server(transaction)
        try:
            self._on_request(transaction)
        except Exception:
            self.counts["failed"] += 1
            log.exception("sip_request_failed", method=request.method)
            transaction.reply(500)

    def _ack(self, ack: Request) -> None:
        transaction = self._transactions.for_ack(ack)
        if transaction is None:
            self.counts["stray_acks"] += 1
        else:
            transaction.acked(ack)

    def _cancel(self, cancel: Request, back: Flow) -> None:
        transaction = self._transactions.server(cancel, "INVITE")
        if transaction is None:
            self._answer(self._judge.reply(cancel, 481), back)
            return
        self._answer(self._judge.reply(cancel, 200, tag=transaction.tag), back)
        transaction.cancelled(cancel)

    def _answer(self, response: Response, back: Flow) -> None:
        """Of which nothing is kept."""
        if not self._buckets.take(back.peer[0], asyncio.get_running_loop().time()):
            self.counts["dropped_too_many"] += 1
            return
        self.counts[f"answered_{response.status}"] += 1
        try:
            back.send(response)
        except (ValueError, Malformed):
            self.counts["unanswerable"] += 1
