"""The running daemon's own REST API, as a command on the same machine reaches it."""

import ssl
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import BadInput

ANSWER_S: Final = 15.0
MOST_BYTES: Final = 16 << 20
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: its status, its JSON object, and how long to wait where it says so."""

    status: int
    body: dict[str, Any]
    retry_after_s: float = 0.0


def base_url(config: Config) -> str:
    """`http://127.0.0.1:8090`, as the configuration says; a listener on every address is asked on loopback."""
    host = _EVERYWHERE.get(config.http.host, config.http.host).strip("[]")
    place = f"[{host}]" if ":" in host else host
    scheme = "https" if config.http.tls_certificate else "http"
    return f"{scheme}://{place}:{config.http.port}"


def trusted(config: Config) -> ssl.SSLContext | bool:
    """Whom to believe: the daemon's own certificate, whatever name it was made for. Reads a file."""
    if not config.http.tls_certificate:
        return True
    context = ssl.create_default_context(cafile=str(config.path.parent / config.http.tls_certificate))
    context.check_hostname = False  # it is asked by an address, and nobody else has its key
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # who signed it does not matter either
    return context


async def ask(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    key: str = "",
    body: Any = None,
    within_s: float = ANSWER_S,
    **options: Any,
) -> Answered:
    """One request. Raises BadInput for an answer that is no JSON object, TimeoutError, aiohttp.ClientError, OSError."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=within_s)
    async with session.request(
        method, url, headers=headers, json=body, timeout=timeout, allow_redirects=False, **options
    ) as response:
        raw = await response.content.read(MOST_BYTES)
        wait = response.headers.get("Retry-After", "")
    try:
        decoded = msgspec.json.decode(raw)
    except msgspec.DecodeError as exc:
        raise BadInput(f"status {response.status} without JSON") from exc
    if not isinstance(decoded, dict):
        raise BadInput("an answer that is no JSON object")
    return Answered(response.status, decoded, float(wait) if wait.isdigit() else 0.0)
