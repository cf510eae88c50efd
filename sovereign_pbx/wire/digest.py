"""Digest authentication as SIP uses it (RFC 3261 §22, RFC 7616, RFC 8760): MD5 and SHA-256, with qop `auth` or none.

MD5 stays because most telephones and PBXs know nothing else; SHA-256 is offered before it, and taken where offered.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip_text import is_token, quote, quoted_start, safe, split

Algorithm = Literal["MD5", "SHA-256"]
Verdict = Literal["right", "stale", "wrong", "missing"]

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("SHA-256", "MD5")  # the best first
MAX_PARAMETERS: Final = 32
REMEMBERED_NONCES: Final = 4_096
_WINDOW: Final = 64  # nonce counts that may still come out of order
_TIME_BYTES: Final = 6
_SALT_BYTES: Final = 8
_SEAL_BYTES: Final = 16
_COUNT_DIGITS: Final = 8


def _digest(algorithm: Algorithm, text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    if algorithm == "SHA-256":
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _fields(value: str) -> dict[str, str]:
    """`Digest name=value, name="value"` as a table. Raises Malformed."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise Malformed("this is no digest authentication")
    parts = split(rest, ",")
    if len(parts) > MAX_PARAMETERS:
        raise Malformed(f"digest authentication has at most {MAX_PARAMETERS} parameters")
    fields: dict[str, str] = {}
    for part in parts:
        name, equals, text = part.partition("=")
        name, text = name.strip().lower(), text.strip()
        start = quoted_start(text)
        if not equals or not is_token(name) or name in fields or (start is None and text.startswith('"')):
            raise Malformed("a parameter of digest authentication is name=value, and comes once")
        if start is not None and start[1]:
            raise Malformed("a quoted parameter of digest authentication has something behind it")
        fields[name] = start[0] if start is not None else text
    return fields


def _algorithm(text: str) -> Algorithm:
    for known in ALGORITHMS:
        if text.upper() == known:
            return known
    raise Malformed("digest authentication is known here with MD5 and SHA-256 alone")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks for. `qop` is empty where it is of the kind before RFC 2617."""

    realm: str
    nonce: str
    algorithm: Algorithm = "MD5"
    qop: tuple[str, ...] = ("auth",)
    opaque: str = ""
    stale: bool = False

    @classmethod
    def parse(cls, value: str) -> Self:
        """A WWW-Authenticate or Proxy-Authenticate.

        Raises:
            Malformed: it is no challenge, or one that can't be answered: another algorithm, `auth-int` alone.
        """
        fields = _fields(value)
        if "realm" not in fields or not fields.get("nonce"):
            raise Malformed("a digest challenge has a realm and a nonce")
        qop = tuple(word.strip().lower() for word in fields.get("qop", "").split(",") if word.strip())
        if qop and "auth" not in qop:
            raise Malformed("digest authentication is known here with qop auth alone, not auth-int")
        return cls(
            fields["realm"],
            fields["nonce"],
            _algorithm(fields.get("algorithm", "MD5")),
            qop,
            fields.get("opaque", ""),
            fields.get("stale", "").lower() == "true",
        )

    def __str__(self) -> str:
        parts = [f"realm={quote(self.realm)}", f"nonce={quote(self.nonce)}", f"algorithm={self.algorithm}"]
        parts += [f"qop={quote(','.join(self.qop))}"] if self.qop else []
        parts += [f"opaque={quote(self.opaque)}"] if self.opaque else []
        parts += ["stale=true"] if self.stale else []
        return safe("Digest " + ", ".join(parts), "a challenge")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client proves. `count` is 0 and `cnonce` empty without qop."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: Algorithm = "MD5"
    cnonce: str = ""
    count: int = 0
    opaque: str = ""

    @classmethod
    def parse(cls, value: str) -> Self:
        """An Authorization or Proxy-Authorization. Raises Malformed."""
        fields = _fields(value)
        if any(name not in fields for name in ("username", "realm", "nonce", "uri", "response")):
            raise Malformed("digest credentials have username, realm, nonce, uri and response")
        qop = fields.get("qop", "").lower()
        if qop not in ("", "auth"):
            raise Malformed("digest authentication is known here with qop auth alone, not auth-int")
        return cls(
            fields["username"],
            fields["realm"],
            fields["nonce"],
            fields["uri"],
            fields["response"].lower(),
            _algorithm(fields.get("algorithm", "MD5")),
            fields.get("cnonce", "") if qop else "",
            _count(fields.get("nc", "")) if qop else 0,
            fields.get("opaque", ""),
        )

    def __str__(self) -> str:
        named = {"username": self.username, "realm": self.realm, "nonce": self.nonce, "uri": self.uri}
        parts = [f"{name}={quote(value)}" for name, value in named.items()]
        parts += [f"response={quote(self.response)}", f"algorithm={self.algorithm}"]
        if self.count:
            parts += [f"cnonce={quote(self.cnonce)}", "qop=auth", f"nc={self.count:08x}"]
        parts += [f"opaque={quote(self.opaque)}"] if self.opaque else []
        return safe("Digest " + ", ".join(parts), "credentials")

    def proven_by(self, method: str, password: str) -> bool:
        """Whether the response is what `password` gives. Takes the same time wherever it differs."""
        right = _response(self, method, password)
        return hmac.compare_digest(right.encode(), self.response.encode("utf-8", "surrogateescape"))


def _count(text: str) -> int:
    if len(text) != _COUNT_DIGITS or any(digit not in "0123456789abcdefABCDEF" for digit in text) or not int(text, 16):
        raise Malformed("a nonce count is eight hexadecimal digits, from 1")
    return int(text, 16)


def _response(given: Credentials, method: str, password: str) -> str:
    who = _digest(given.algorithm, f"{given.username}:{given.realm}:{password}")
    what = _digest(given.algorithm, f"{method}:{given.uri}")
    middle = f"{given.nonce}:{given.count:08x}:{given.cnonce}:auth" if given.count else given.nonce
    return _digest(given.algorithm, f"{who}:{middle}:{what}")


def strongest(challenges: Iterable[str]) -> Challenge:
    """The best of several challenges that can be answered (RFC 8760 §2.4).

    Raises:
        Malformed: none can; the message says why the last one can't.
    """
    found: list[Challenge] = []
    why = Malformed("authentication is demanded without a challenge")
    for value in challenges:
        try:
            found.append(Challenge.parse(value))
        except Malformed as exc:
            why = exc
    if not found:
        raise why
    return min(found, key=lambda challenge: ALGORITHMS.index(challenge.algorithm))


def answer(
    challenge: Challenge, *, method: str, uri: str, username: str, password: str, count: int = 1, cnonce: str = ""
) -> Credentials:
    """What proves the password. `count` grows by one with every request that uses the same nonce."""
    own = (cnonce or secrets.token_hex(8), count) if challenge.qop else ("", 0)
    bare = Credentials(
        username, challenge.realm, challenge.nonce, uri, "", challenge.algorithm, *own, opaque=challenge.opaque
    )
    proof = _response(bare, method, password)
    return Credentials(
        username, challenge.realm, challenge.nonce, uri, proof, challenge.algorithm, *own, opaque=challenge.opaque
    )


class Verifier:
    """The server's side, with nothing kept for those who only knock: a nonce is its own time, sealed with a key.

    Only of nonces that a right password came with is it remembered which counts they had, of a bounded number of them;
    one that is older than any forgotten is stale, so that nothing can be replayed once its trace is gone.
    """

    def __init__(self, realm: str, *, lifetime_s: float = 300.0, key: bytes = b"") -> None:
        self.realm = realm
        self._lifetime_s = lifetime_s
        self._key = key or secrets.token_bytes(32)
        self._seen: OrderedDict[str, tuple[float, _Counts]] = OrderedDict()
        self._forgotten_until = float("-inf")

    def challenges(self, now: float, *, stale: bool = False) -> list[str]:
        """The values of as many WWW-Authenticate headers, the best algorithm first. `now` in seconds, of any clock that
        never goes back."""
        nonce = self._nonce(now)
        return [str(Challenge(self.realm, nonce, algorithm, stale=stale)) for algorithm in ALGORITHMS]

    def judge(self, values: Iterable[str], *, method: str, username: str, password: str, now: float) -> Verdict:
        """What the Authorization headers of a request prove; those of other realms count as missing.

        The URI that was signed may differ from the request's: a proxy between may have rewritten that (§22.4, 5).
        """
        for value in values:
            try:
                given = Credentials.parse(value)
            except Malformed:
                continue
            if given.realm == self.realm:
                return self._judge(given, method, username, password, now)
        return "missing"

    def _judge(self, given: Credentials, method: str, username: str, password: str, now: float) -> Verdict:
        same = hmac.compare_digest(
            given.username.encode("utf-8", "surrogateescape"), username.encode("utf-8", "surrogateescape")
        )
        if not given.proven_by(method, password) or not same:
            return "wrong"
        made = self._made_at(given.nonce)
        if made is None or not made <= now <= made + self._lifetime_s:
            return "stale"
        return "right" if self._first_use(given.nonce, made, given.count or 1) else "stale"

    def _first_use(self, nonce: str, made: float, count: int) -> bool:
        entry = self._seen.get(nonce)
        if entry is None:
            if made <= self._forgotten_until:
                return False
            entry = self._seen[nonce] = (made, _Counts())
            if len(self._seen) > REMEMBERED_NONCES:
                _, (forgotten, _) = self._seen.popitem(last=False)
                self._forgotten_until = max(self._forgotten_until, forgotten)
        return entry[1].first(count)

    def _nonce(self, now: float) -> str:
        body = int(now * 1000).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_SALT_BYTES)
        return (body + self._seal(body)).hex()

    def _made_at(self, nonce: str) -> float | None:
        """When this verifier made the nonce; None if it did not."""
        try:
            data = bytes.fromhex(nonce)
        except ValueError:
            return None
        body, seal = data[: _TIME_BYTES + _SALT_BYTES], data[_TIME_BYTES + _SALT_BYTES :]
        # bytes.fromhex takes capitals and spaces too, under which one nonce would count as several
        if nonce != data.hex() or not hmac.compare_digest(self._seal(body), seal):
            return None
        return int.from_bytes(body[:_TIME_BYTES], "big") / 1000

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SEAL_BYTES]


class _Counts:
    """The nonce counts that have come, as the highest and a window below it."""

    __slots__ = ("_highest", "_window")

    def __init__(self) -> None:
        self._highest = 0
        self._window = 0  # bit n: highest - n has come

    def first(self, count: int) -> bool:
        behind = self._highest - count
        if behind < 0:
            ahead = min(-behind, _WINDOW)
            self._window = ((self._window << ahead) | 1) & ((1 << _WINDOW) - 1)
            self._highest = count
            return True
        if behind >= _WINDOW or self._window >> behind & 1:
            return False
        self._window |= 1 << behind
        return True
