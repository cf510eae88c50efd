"""API keys: several, named, hashed at rest, each with scopes; in one file that the command line edits while we run.

A key is 256 random bits, so a plain SHA-256 is as good as a slow hash: there is nothing to guess. Revoked ones stay
in the file, so that whoever still uses one is told so.
"""

import asyncio
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import tomli_w

from sovereign_pbx.core.errors import ConfigError

SCOPES: Final = ("read", "calls", "admin")
PREFIX: Final = "fl_live_"  # as the hosted platform's keys begin (contract §1): clients look at it

_LONGEST: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key, as far as it is kept. `hint` is its end, by which its owner tells it from others."""

    name: str
    digest: str  # hex SHA-256 of the whole key
    scopes: tuple[str, ...]
    created_at: str
    hint: str = ""
    expires_at: str = ""
    revoked_at: str = ""

    def __repr__(self) -> str:
        return f"<Key {self.name!r} …{self.hint}>"

    def may(self, scope: str) -> bool:
        """admin may everything."""
        return scope in self.scopes or "admin" in self.scopes

    def state(self, now: datetime) -> str:
        """active | expired | revoked"""
        if self.revoked_at:
            return "revoked"
        expired = bool(self.expires_at) and datetime.fromisoformat(self.expires_at) <= now
        return "expired" if expired else "active"


class KeyRing:
    """The keys of a file, read again when it has changed: looked at every `look_s`, and for every stranger."""

    def __init__(self, path: Path, *, look_s: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._look_s = look_s
        self._now = now
        self._looked = -look_s
        self._looking = asyncio.Lock()
        self._begun = 0  # looks
        self._failed = False
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    async def find(self, token: str) -> Key | None:
        """The key that `token` is, in whatever state; None for a stranger. ConfigError if the file can't be used."""
        digest = digest_of(token[:_LONGEST])
        if self._now() - self._looked < self._look_s and (found := self._known(digest)) is not None:
            return found
        begun = self._begun
        async with self._looking:  # one thread, however many strangers knock at once
            if self._begun == begun or self._failed:
                self._begun += 1
                self._failed = True  # until it has not: a damaged file lets in nobody of the crowd
                await asyncio.to_thread(self._look)
                self._failed = False
                self._looked = self._now()
        return self._known(digest)

    def _known(self, digest: str) -> Key | None:
        """Every key is compared, each in constant time: how long it takes tells nothing."""
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _look(self) -> None:
        seen = _signature(self._path)
        if seen != self._seen:
            self._keys = read_keys(self._path)
            self._seen = seen


def digest_of(token: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(name: str, scopes: Sequence[str], *, now: datetime, expires_at: datetime | None = None) -> tuple[str, Key]:
    """A fresh key and what is kept of it. The key itself is shown once, and never again."""
    token = PREFIX + secrets.token_urlsafe(32)
    key = Key(
        name=name,
        digest=digest_of(token),
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        created_at=_text(now),
        hint=token[-4:],
        expires_at=_text(expires_at) if expires_at else "",
    )
    return token, key


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in `path`; none if there is no such file. ConfigError if it can't be read."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        return tuple(_key(table) for table in data.get("keys", ()))
    except FileNotFoundError:
        return ()
    except OSError as exc:
        remedy = "it must belong to the daemon's user"
        raise ConfigError(f"the API keys can't be read: {exc.strerror}", file=str(path), remedy=remedy) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, ValueError, AttributeError) as exc:
        remedy = "restore it, or remove it and make new keys with `sovereign-pbx keys create`"
        raise ConfigError(f"the API keys can't be understood: {exc}", file=str(path), remedy=remedy) from exc


@contextmanager
def editing(path: Path) -> Iterator[tuple[Key, ...]]:
    """The keys in `path`; until the block is over nobody else who asks so can change them. ConfigError if they can't
    be changed by this user."""
    folder = _opened(path)  # the folder itself, so that no lock file stays behind, perhaps root's
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield read_keys(path)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        os.close(folder)


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path.parent, os.O_RDONLY)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _unwritable(path: Path, error: OSError) -> ConfigError:
    remedy = "run the command as the daemon's user or as root"
    return ConfigError(f"the API keys can't be changed: {error.strerror}", file=str(path), remedy=remedy)


def write_keys(path: Path, keys: Iterable[Key]) -> None:
    """Replace the file as a whole, readable by the owner of its folder alone, whoever runs the command."""
    tables = [{name: value for name, value in _fields(key).items() if value} for key in keys]
    text = "# The API keys of this daemon, hashed. Made by `sovereign-pbx keys`; not to be edited.\n\n"
    text += tomli_w.dumps({"keys": tables})
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        _give_away(file.fileno(), path.parent)
    os.replace(fresh, path)


def _give_away(descriptor: int, folder: Path) -> None:
    """root makes keys for a daemon that runs as somebody else."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _fields(key: Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in Key.__slots__} | {"scopes": list(key.scopes)}


def _key(table: dict[str, Any]) -> Key:
    known = {name: table[name] for name in Key.__slots__ if name in table and name != "scopes"}
    if not {"name", "digest", "created_at"} <= set(known) or not all(isinstance(item, str) for item in known.values()):
        raise ValueError("a key needs name, digest and created_at as text")
    key = Key(**known, scopes=tuple(scope for scope in table.get("scopes", ()) if scope in SCOPES))
    for moment in (key.created_at, key.expires_at or key.created_at):
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError(f"{moment} of {key.name!r} lacks its time zone")
    if not re.fullmatch("[0-9a-f]{64}", key.digest):
        raise ValueError(f"the digest of {key.name!r} is not a SHA-256")
    return key


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
