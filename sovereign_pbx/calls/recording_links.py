"""Links to recordings that work without an API key, for as long as the administrator says: the receiver of a report
can fetch the recording, and nobody can make such a link who does not have the daemon's key.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from sovereign_pbx.core.errors import ConfigError

KEY_FILE: Final = "recording-links.key"
_KEY_BYTES: Final = 32
_DAY_S: Final = 86_400
_LATEST: Final = 12  # digits of an expiry: 30,000 years, and no number that is dear to handle


@dataclass(frozen=True, slots=True)
class RecordingLinks:
    """Makes and checks links. `base_url`: under which others reach this daemon. `days`: how long a link works."""

    key: bytes = field(repr=False)
    base_url: str
    days: float

    def link(self, call_id: str, now: float) -> str:
        """The absolute URL of the call's recording, good until `days` from `now` (Unix seconds)."""
        expires = str(int(now + self.days * _DAY_S))
        query = urlencode({"expires": expires, "signature": self._signature(call_id, expires)})
        return f"{self.base_url.rstrip('/')}/api/v1/calls/{quote(call_id, safe='')}/recording?{query}"

    def check(self, call_id: str, expires: str, signature: str, now: float) -> bool:
        """Was this link made here, for this call, and is it still good? Anything may be given; nothing is raised."""
        if not (expires.isascii() and expires.isdecimal() and len(expires) <= _LATEST):
            return False
        wanted = self._signature(call_id, expires).encode()
        genuine = hmac.compare_digest(wanted, signature.encode("utf-8", "replace"))
        return genuine and now < int(expires)

    def _signature(self, call_id: str, expires: str) -> str:
        signed = f"recording\n{expires}\n{call_id}".encode("utf-8", "replace")
        return hmac.new(self.key, signed, hashlib.sha256).hexdigest()


def link_key(folder: Path) -> bytes:
    """The key in `folder`, made at the first use, readable by the daemon alone. Blocks. ConfigError if there is none
    to be had; whoever removes the file makes every link invalid."""
    path = folder / KEY_FILE
    try:
        _make(path)
        key = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it holds no key"
        remedy = "let the daemon's user write the folder; a damaged file may be removed, which ends all links"
        raise ConfigError(f"the key of recording links can't be used: {reason}", file=str(path), remedy=remedy) from exc
    if len(key) != _KEY_BYTES:
        raise ConfigError("the key of recording links is damaged", file=str(path), remedy="remove the file")
    return key


def _make(path: Path) -> None:
    """Write a new key beside its place and link it there, so that nobody ever reads half of one."""
    if path.exists():
        return
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_bytes(_KEY_BYTES).hex())
            file.flush()
            os.fsync(file.fileno())
        os.link(new, path)
    except FileExistsError:
        pass  # another process was faster, and its key counts
    finally:
        new.unlink()
