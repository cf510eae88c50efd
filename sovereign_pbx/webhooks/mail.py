"""Reports by mail (SMTP): the carrier of `mailto:` addresses in the outbox.

smtplib blocks and its time-out holds for each step, so a server that dribbles could hold it for ever. Each attempt
therefore has a thread of its own, `at_once` of them at most, and one deadline for everything, at which its socket is
shut down under it.
"""

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

import structlog

from sovereign_pbx.core.errors import BadInput, WebhookError, WebhookFault
from sovereign_pbx.store import Outgoing
from sovereign_pbx.webhooks.carrier import TurnedDown
from sovereign_pbx.webhooks.letter import letter, one_line

log = structlog.get_logger(__name__)

_SHOWN: Final = 200

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """`[mail]`. `ca_file`: "" for the system's certificates."""

    host: str
    port: int = 587
    security: Security = "starttls"
    ca_file: str = ""
    username: str = ""
    password: str = ""
    sender: str = ""
    timeout_s: float = 30.0

    def __repr__(self) -> str:
        return f"<MailServer {self.host}:{self.port} {self.security}>"


class MailCarrier:
    """Sends reports through one mail server. `at_once` bounds connections; whoever has no place in time tries later."""

    def __init__(self, server: MailServer, *, at_once: int = 4) -> None:
        self._server = server
        self._places = asyncio.Semaphore(at_once)

    def __repr__(self) -> str:
        return f"<MailCarrier {self._server!r}>"

    async def carry(self, one: Outgoing) -> None:
        """Send one report. Raises WebhookError and nothing else."""
        attempt = _Attempt(self._server, one)
        try:
            async with asyncio.timeout(self._server.timeout_s):
                await self._places.acquire()
                await attempt.start(self._places.release)
        except TimeoutError as exc:
            if attempt.sent:
                return
            raise WebhookError(one.url, "timeout", f"not sent within {self._server.timeout_s:g} s") from exc
        finally:
            attempt.abort()
        if attempt.error is not None:
            raise _as_webhook_error(one.url, attempt.error) from attempt.error


class _Attempt:
    """One connection, one letter, in a thread that nobody has to wait for."""

    def __init__(self, server: MailServer, one: Outgoing) -> None:
        self._server = server
        self._one = one
        self._lock = threading.Lock()  # protects the two below
        self._connection: socket.socket | None = None
        self._over = False
        self.sent = False
        self.error: Exception | None = None

    async def start(self, ended: Callable[[], None]) -> None:
        """Send it; `ended` is called on the loop when the thread is through, whoever still waits then."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            ended()
            if not done.done():
                done.set_result(None)

        def work() -> None:
            try:
                self._send()
            except Exception as exc:  # smtplib, ssl and sockets raise many kinds
                if not self.sent:  # once the server has taken it, how it says goodbye does not matter
                    self.error = exc
            finally:
                self._let_go()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle)

        threading.Thread(target=work, name="mail", daemon=True).start()
        await done

    def abort(self) -> None:
        """No more waiting: whatever the thread is reading or writing ends now."""
        with self._lock:
            self._over = True
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _send(self) -> None:
        server = self._server
        to = unquote(self._one.url.removeprefix("mailto:"))
        message = letter(self._one.body, webhook_id=self._one.webhook_id, sender=server.sender, to=to)
        with _Smtp(server, self._take) as smtp:
            code, words = smtp.connect(server.host, server.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, words)
            if server.security == "starttls":
                smtp.starttls(context=_context(server))
            if server.username:
                smtp.login(server.username, server.password)
            smtp.send_message(message)
            self.sent = True

    def _take(self, opened: socket.socket) -> None:
        """A second handle of the connection: TLS takes the first one over, and nobody else can end that."""
        with self._lock:
            if self._over:
                raise TimeoutError("too late")
            self._connection = opened.dup()

    def _let_go(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Smtp(smtplib.SMTP):
    """A connection that tells of its socket as soon as there is one. Leaving the block says goodbye and closes it."""

    def __init__(self, server: MailServer, take: Callable[[socket.socket], None]) -> None:
        super().__init__(local_hostname=socket.gethostname(), timeout=server.timeout_s)
        self._host = server.host  # what STARTTLS checks the certificate against; smtplib sets it for hosts given above
        self._server = server
        self._take = take

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """smtplib's own place for another kind of socket."""
        opened = socket.create_connection((host, port), timeout)
        try:
            self._take(opened)
            if self._server.security != "tls":
                return opened
            return _context(self._server).wrap_socket(opened, server_hostname=host)
        except BaseException:
            opened.close()
            raise


def _context(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file or None)


def _as_webhook_error(url: str, exc: Exception) -> WebhookError:
    """smtplib's error in words. 5xx to a recipient or to the content is for good; anything about the server itself (a
    login refused, no TLS) may be mended by the administrator within the time that deliveries are repeated."""
    if isinstance(exc, BadInput):
        return TurnedDown(url, "refused", str(exc))
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(exc.recipients.values()))
        return _turned_down(url, "the recipient was refused", code, words)
    if isinstance(exc, smtplib.SMTPDataError):
        return _turned_down(url, "the mail was refused", exc.smtp_code, exc.smtp_error)
    if isinstance(exc, smtplib.SMTPAuthenticationError):
        return WebhookError(url, "status", f"the mail server refused the login: {_answer(exc.smtp_code, b'')}")
    if isinstance(exc, smtplib.SMTPResponseException):
        return WebhookError(url, "status", f"the mail server said {_answer(exc.smtp_code, exc.smtp_error)}")
    if isinstance(exc, ssl.SSLError):
        return WebhookError(url, "refused", f"TLS with the mail server failed: {exc.reason or 'no handshake'}")
    return WebhookError(url, *_fault(exc))


def _turned_down(url: str, what: str, code: int, words: bytes | str) -> WebhookError:
    """For good, or for now: 5.7.x is a matter of permission (RFC 3463), which the administrator may give."""
    answer = _answer(code, words)
    for_good = 500 <= code < 600 and not answer.removeprefix(str(code)).strip().startswith("5.7.")
    return (TurnedDown if for_good else WebhookError)(url, "status", f"{what}: {answer}")


def _fault(exc: Exception) -> tuple[WebhookFault, str]:
    if isinstance(exc, smtplib.SMTPServerDisconnected | ConnectionResetError | BrokenPipeError):
        return "refused", "the mail server dropped the connection"
    if isinstance(exc, smtplib.SMTPNotSupportedError):
        return "refused", f"the mail server can't: {one_line(str(exc))[:_SHOWN]}"
    if isinstance(exc, TimeoutError):
        return "timeout", "the mail server did not answer"
    reason = getattr(exc, "strerror", None) or type(exc).__name__
    return "refused", f"no connection to the mail server: {reason}"


def _answer(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {one_line(text)[:_SHOWN]}".strip()
