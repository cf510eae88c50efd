"""Keys of the age format (age-encryption.org/v1), as `age-keygen` makes them: `age1…` encrypts, `AGE-SECRET-KEY-1…`
decrypts. Both are 32 bytes of X25519 in Bech32 (BIP 173, without its limit of 90 characters).
"""

from collections.abc import Iterable
from typing import Final

from sovereign_pbx.core.errors import BadInput, ConfigError

KEY_BYTES: Final = 32
_PUBLIC: Final = "age"
_SECRET: Final = "age-secret-key-"
_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM: Final = 6
_LONGEST: Final = 200  # a key has 62 or 74 characters
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def missing() -> ConfigError:
    """To be raised where `cryptography` can't be imported."""
    return ConfigError(
        "encrypting recordings needs the package cryptography", remedy="pip install 'sovereign-pbx[recording]'"
    )


def public_keys(text: str) -> tuple[bytes, ...]:
    """The keys of a setting: one `age1…`, or several with spaces between. BadInput says what is wrong."""
    return tuple(_decoded(word, _PUBLIC) for word in text.replace(",", " ").split())


def secret_keys(text: str) -> tuple[bytes, ...]:
    """The keys of a key file: a line each, and lines that begin with #. BadInput for anything else, and for no key."""
    lines = [line.strip() for line in text.splitlines()]
    found = tuple(_decoded(line, _SECRET) for line in lines if line and not line.startswith("#"))
    if not found:
        raise BadInput("there is no line with AGE-SECRET-KEY-1… in it")
    return found


def new_secret_key() -> bytes:
    """Raises ConfigError without `cryptography`."""
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    except ImportError as exc:
        raise missing() from exc
    return X25519PrivateKey.generate().private_bytes_raw()


def public_key_of(secret: bytes) -> bytes:
    """The public half. Raises ConfigError without `cryptography`."""
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    except ImportError as exc:
        raise missing() from exc
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def public_text(key: bytes) -> str:
    """`age1…`"""
    return _encoded(key, _PUBLIC)


def secret_text(key: bytes) -> str:
    """`AGE-SECRET-KEY-1…`"""
    return _encoded(key, _SECRET).upper()


def _encoded(key: bytes, kind: str) -> str:
    words = _regrouped(key, 8, 5, pad=True)
    sum_of = _polymod([*_expanded(kind), *words, *[0] * _CHECKSUM]) ^ 1
    check = [(sum_of >> 5 * (_CHECKSUM - 1 - place)) & 31 for place in range(_CHECKSUM)]
    return f"{kind}1{''.join(_ALPHABET[word] for word in [*words, *check])}"


def _decoded(text: str, kind: str) -> bytes:
    wanted = f"{kind}1…" if kind == _PUBLIC else f"{kind.upper()}1…"
    lower = text.lower()
    if text not in (lower, text.upper()) or len(text) > _LONGEST or not lower.startswith(f"{kind}1"):
        # Whatever stands there may be a secret in the wrong place, so it is not repeated.
        raise BadInput(f"is no key of the form {wanted}")
    words = [_ALPHABET.find(letter) for letter in lower[len(kind) + 1 :]]
    if min(words, default=-1) < 0 or _polymod([*_expanded(kind), *words]) != 1:
        raise BadInput(f"a key of the form {wanted} is mistyped: its checksum does not fit")
    key = bytes(_regrouped(words[:-_CHECKSUM], 5, 8, pad=False))
    if len(key) != KEY_BYTES:
        raise BadInput(f"a key of the form {wanted} has {len(key)} bytes, not {KEY_BYTES}")
    return key


def _expanded(kind: str) -> list[int]:
    codes = kind.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(words: Iterable[int]) -> int:
    state = 1
    for word in words:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ word
        for place, generator in enumerate(_GENERATORS):
            state ^= generator if top >> place & 1 else 0
    return state


def _regrouped(values: Iterable[int], wide: int, narrow: int, *, pad: bool) -> list[int]:
    """The same bits in groups of another width."""
    bits = count = 0
    out: list[int] = []
    for value in values:
        bits, count = bits << wide | value, count + wide
        while count >= narrow:
            count -= narrow
            out.append(bits >> count & (1 << narrow) - 1)
            bits &= (1 << count) - 1
    if pad and count:
        out.append(bits << narrow - count & (1 << narrow) - 1)
    return out
