"""The age format (age-encryption.org/v1, C2SP), with X25519 recipients: written as a stream while a call goes on, and
read back by whoever has the secret key. Any implementation of age reads what is written here, and the other way round.

Whoever holds the public key alone, as the daemon does, can't read a byte of what he has written.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Final

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.media.age_keys import missing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CHUNK_BYTES: Final = 64 * 1024
_TAG_BYTES: Final = 16
_NONCE_BYTES: Final = 16
_FILE_KEY_BYTES: Final = 16
_VERSION: Final = b"age-encryption.org/v1"
_X25519: Final = b"age-encryption.org/v1/X25519"
_MOST_HEADER: Final = 64 * 1024

CUT_OFF: Final = "the file's end is missing: whoever wrote it was stopped, or it was not copied whole"
_DAMAGED: Final = "the file's head is damaged"


def preload() -> None:
    """Bring the library in, 40 ms, before a call needs it. Raises ConfigError where it is not installed."""
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401 - imported for its effect
    except ImportError as exc:
        raise missing() from exc


class Sealer:
    """Encrypts a stream: `head` first, then what `feed` gives, and last what `finish` gives."""

    def __init__(self, recipients: Sequence[bytes]) -> None:
        file_key, nonce = os.urandom(_FILE_KEY_BYTES), os.urandom(_NONCE_BYTES)
        self.head = _header(file_key, recipients) + nonce
        self._chunks = _Chunks(file_key, nonce)
        self._waiting = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Encrypted, as far as it fills whole chunks; the last one waits, for it may be the last of all."""
        self._waiting += data
        out = bytearray()
        while len(self._waiting) > CHUNK_BYTES:
            out += self._chunks.seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return bytes(out)

    def finish(self) -> bytes:
        """The last chunk, which says that it is the last."""
        return self._chunks.seal(bytes(self._waiting), last=True)


def opened(file: BinaryIO, secrets: Sequence[bytes]) -> Iterator[bytes]:
    """The plain text of an age file, a chunk at a time. Raises BadInput: no age file, not for these keys, damaged, or
    cut off in its middle (after everything before has been given)."""
    chunks = _Chunks(*_unlocked(file, secrets))
    sealed = file.read(CHUNK_BYTES + _TAG_BYTES)
    while True:
        following = file.read(CHUNK_BYTES + _TAG_BYTES)
        plain, was_last = chunks.open(sealed, last=not following)
        if plain:
            yield plain
        if not following and not was_last:
            raise BadInput(CUT_OFF)
        if not following:
            return
        sealed = following


class _Chunks:
    """The payload's cipher; every chunk has a number, and the last one a mark."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = _cipher(_derived(file_key, nonce, b"payload"))
        self._count = 0

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last), plain, None)

    def open(self, sealed: bytes, *, last: bool) -> tuple[bytes, bool]:
        """(what is in it, whether it says that it is the last). `last`: nothing follows, so it ought to be; in a file
        that was cut off it is one like any other."""
        number, nonce = self._count, self._nonce(last)
        plain = self._opened(nonce, sealed)
        if plain is not None:
            return plain, last
        plain = self._opened(nonce[:-1] + b"\0", sealed) if last else None
        if plain is not None:
            return plain, False
        raise BadInput(CUT_OFF if last else f"the file is damaged {number * CHUNK_BYTES} bytes into its content")

    def _opened(self, nonce: bytes, sealed: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(nonce, sealed, None)
        except (InvalidTag, ValueError):
            return None

    def _nonce(self, last: bool) -> bytes:
        nonce = self._count.to_bytes(11, "big") + (b"\1" if last else b"\0")
        self._count += 1
        return nonce


def _header(file_key: bytes, recipients: Sequence[bytes]) -> bytes:
    stanzas = b"".join(_stanza(file_key, recipient) for recipient in recipients)
    start = _VERSION + b"\n" + stanzas + b"---"
    return start + b" " + _text(_authentic(file_key, start)) + b"\n"


def _stanza(file_key: bytes, recipient: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    own = X25519PrivateKey.generate()
    share = own.public_key().public_bytes_raw()
    shared = own.exchange(X25519PublicKey.from_public_bytes(recipient))
    wrapped = _cipher(_derived(shared, share + recipient, _X25519)).encrypt(bytes(12), file_key, None)
    return b"-> X25519 " + _text(share) + b"\n" + _text(wrapped) + b"\n"


def _unlocked(file: BinaryIO, secrets: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(file key, nonce of the payload)."""
    start, stanzas, given = _read_header(file)
    for share, wrapped in stanzas:
        for secret in secrets:
            file_key = _unwrapped(share, wrapped, secret)
            if file_key is None:
                continue
            if not hmac.compare_digest(_authentic(file_key, start), given):
                raise BadInput("the file's head has been changed")
            nonce = file.read(_NONCE_BYTES)
            if len(nonce) < _NONCE_BYTES:
                raise BadInput(CUT_OFF)
            return file_key, nonce
    raise BadInput("the file was encrypted for another key")


def _unwrapped(share: bytes, wrapped: bytes, secret: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    own = X25519PrivateKey.from_private_bytes(secret)
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(share))
        salt = share + own.public_key().public_bytes_raw()
        return _cipher(_derived(shared, salt, _X25519)).decrypt(bytes(12), wrapped, None)
    except (InvalidTag, ValueError):
        return None


def _read_header(file: BinaryIO) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """(what is authenticated, X25519 stanzas as (share, wrapped key), the authentication)."""
    if file.readline(len(_VERSION) + 1) != _VERSION + b"\n":
        raise BadInput("this is no encrypted recording: it does not begin as files of age do")
    start, lines = _VERSION + b"\n", list[bytes]()
    while len(start) < _MOST_HEADER:
        line = file.readline(_MOST_HEADER)
        if not line.endswith(b"\n"):
            raise BadInput(CUT_OFF)
        if line.startswith(b"--- "):
            return start + b"---", _stanzas(lines), _bytes(line[4:-1])
        start += line
        lines.append(line.rstrip(b"\n"))
    raise BadInput("the file's head has no end")


def _stanzas(lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Of other kinds than X25519 a file may have any number; they are for somebody else."""
    found = []
    for line, body in zip(lines, [*lines, b""][1:], strict=True):
        words = line.split(b" ")
        if words[:2] == [b"->", b"X25519"] and len(words) == 3:
            share, wrapped = _bytes(words[2]), _bytes(body)
            if len(share) == 32 and len(wrapped) == _FILE_KEY_BYTES + _TAG_BYTES:
                found.append((share, wrapped))
    return found


def _authentic(file_key: bytes, start: bytes) -> bytes:
    return hmac.new(_derived(file_key, b"", b"header"), start, hashlib.sha256).digest()


def _derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) to 32 bytes, which is one round."""
    extracted = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, purpose + b"\1", hashlib.sha256).digest()


def _cipher(key: bytes) -> "ChaCha20Poly1305":
    try:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    except ImportError as exc:
        raise missing() from exc
    return ChaCha20Poly1305(key)


def _text(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    """Only what `_text` makes: the last letter has bits to spare, in which a change would go unnoticed."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as exc:
        raise BadInput(_DAMAGED) from exc
    if _text(data) != text:
        raise BadInput(_DAMAGED)
    return data
