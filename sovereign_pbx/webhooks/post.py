"""One POST to somebody else's server, with every guard: deadline, size, no redirects, no decompression."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
import structlog

from sovereign_pbx.core.errors import WebhookError, WebhookFault
from sovereign_pbx.webhooks import retry_after
from sovereign_pbx.webhooks.names import Resolver
from sovereign_pbx.webhooks.private import public_socket

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class ComeAgain(WebhookError):
    """The receiver is busy (429, 503) and says when to come again."""

    after_s: float = 0.0

    __str__ = WebhookError.__str__


def open_session(*, allow_private: bool = True) -> aiohttp.ClientSession:
    """A session for webhooks: open one for questions and one for deliveries, so that calls share nothing with the dead.

    No cookies are kept: receivers must not learn of each other. How many connections there are is bounded by those who
    ask: by the calls, and by the deliverer's lanes.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            resolver=Resolver(),
            ttl_dns_cache=60,
            # Node, uvicorn and Apache close an idle connection after 5 s; a POST that meets the close fails, and is
            # not for us to repeat.
            keepalive_timeout=4.0,
            socket_factory=None if allow_private else public_socket,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )


def public_url(url: str) -> str:
    """The URL as logs and errors may show it: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        place = parts.hostname or ""
        if parts.port:
            place += f":{parts.port}"
    except ValueError:
        return "(not a URL)"
    return f"{parts.scheme}://{place}{parts.path}" + ("?…" if parts.query else "")


async def post(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    deadline_s: float,
    max_bytes: int | None,
) -> bytes:
    """POST and return the body of a 2xx answer, of at most `max_bytes` (None: the body is of no interest, b"").

    `deadline_s` holds for name look-up, connection, request and answer together. Raises WebhookError and nothing else.
    """
    with _as_webhook_error(url, deadline_s):
        async with asyncio.timeout(deadline_s):
            # Nothing is accepted compressed: a few kB could unfold to gigabytes before any limit is noticed.
            async with session.post(
                url,
                data=body,
                headers={**headers, "Accept-Encoding": "identity"},
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                _check_status(url, response)
                if max_bytes is None:
                    return b""
                _check_encoding(url, response)
                return await _read(url, response, max_bytes)


def _check_status(url: str, response: aiohttp.ClientResponse) -> None:
    status = response.status
    if 300 <= status < 400:
        detail = f"answered {status}; redirects are not followed, configure the final address"
        raise WebhookError(public_url(url), "redirect", detail)
    if 200 <= status < 300:
        return
    after_s = retry_after.seconds(response.headers.get("Retry-After"), datetime.now(UTC))
    if status in (429, 503) and after_s is not None:
        detail = f"answered {status} and asked to wait {after_s:.0f} s"
        raise ComeAgain(public_url(url), "status", detail, after_s)
    raise WebhookError(public_url(url), "status", f"answered {status}")


def _check_encoding(url: str, response: aiohttp.ClientResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        detail = f"answered with Content-Encoding {encoding[:20]!r}, which was not asked for"
        raise WebhookError(public_url(url), "wrong_shape", detail)


async def _read(url: str, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > max_bytes:
            raise WebhookError(public_url(url), "too_large", f"the answer is larger than {max_bytes} bytes")
    return bytes(body)


@contextlib.contextmanager
def _as_webhook_error(url: str, deadline_s: float) -> Iterator[None]:
    """No failure of somebody else's server may end a call, so everything becomes the one error callers expect."""
    try:
        yield
    except WebhookError:
        raise
    except TimeoutError as exc:
        raise WebhookError(public_url(url), "timeout", f"no complete answer within {deadline_s:g} s") from exc
    except aiohttp.InvalidURL as exc:
        raise WebhookError(public_url(url), "refused", "not an http:// or https:// address") from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise WebhookError(public_url(url), *_fault(exc)) from exc
    except Exception as exc:  # what aiohttp itself may trip over in a hostile answer
        log.warning("webhook_post_failed_unexpectedly", url=public_url(url), error=repr(exc))
        raise WebhookError(public_url(url), "refused", f"failed: {type(exc).__name__}") from exc


def _fault(exc: Exception) -> tuple[WebhookFault, str]:
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "refused", "the host name is not known"
    if isinstance(exc, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return (
            "refused",
            "TLS failed; a private authority's certificate must be in the system's trust store or in SSL_CERT_FILE",
        )
    if isinstance(exc, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError | ConnectionResetError):
        return "refused", "the connection was dropped before the answer was complete"
    if isinstance(exc, aiohttp.ClientResponseError):
        return "not_json", "the answer is not valid HTTP"
    reason = getattr(exc, "strerror", None) or type(exc).__name__
    return "refused", f"no connection: {reason}"
