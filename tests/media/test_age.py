import base64
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.media.age import CHUNK_BYTES, CUT_OFF, Sealer, opened
from sovereign_pbx.media.age_keys import (
    new_secret_key,
    public_key_of,
    public_keys,
    public_text,
    secret_keys,
    secret_text,
)

# Made with rage's library (pyrage 1.4.0): a key pair, and a file for it with a stanza of no known kind in its head.
SECRET = "AGE-SECRET-KEY-1AJK5SUNL2LXJ3RGW5N3PEANH9Q520PHPFNJKRUMYZTDMLYQ3SXZQFW33FA"
PUBLIC = "age1wzs630hpg5gae6xnhknd9zkz9t4x9sqpchhsth8lksqd6yuazf6sg2se7m"
FOREIGN = (
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBOVExKZnc2R3BlQlFrWTZFc0RoZzRuSVNweDkydHJyR21JdVpZbWpEWEE4CnBPWkZSdzhq"
    "cDFtdW1SR21EWHBSSHNLVnM4LzBjOWhvVVdKaTZUZFJuSFEKLT4gb14mV3ctZ3JlYXNlIFp8ZiNtcCArSyBmd0FAcVgKekttdVloMU9LMTd6VVdO"
    "SDBJeEZNalBLeHNMc2VQTStieklvYVBTdUxKVHpETTBxMGRXQWMzRW1xd0Zmcy9odwp0cUcwS1EKLS0tIDBUV3V3bFJjczgrbWE3S1hUUFE3Zzcy"
    "UzJ4clUzL3Vxc3FXQ2FhMExMU2cKthWQ6Wbd8g/4MMod5CC82fjhojC1f5HXRMfjk7tNoTkthWXqz0rrbcheaUpZZfJGubybhUEE"
)

KEY = new_secret_key()


def sealed(data: bytes, *keys: bytes, step: int = 1000) -> bytes:
    sealer = Sealer([public_key_of(key) for key in keys or (KEY,)])
    out = sealer.head
    for at in range(0, len(data), step):
        out += sealer.feed(data[at : at + step])
    return out + sealer.finish()


def unsealed(data: bytes, *keys: bytes) -> bytes:
    return b"".join(opened(io.BytesIO(data), keys or (KEY,)))


def test_a_file_of_another_implementation_opens() -> None:
    assert unsealed(base64.b64decode(FOREIGN), *secret_keys(SECRET)) == b"This call is recorded."


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_what_was_sealed_opens_whatever_its_length(length: int) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    assert unsealed(sealed(data[:length], step=CHUNK_BYTES + 7)) == data[:length]


def test_each_of_several_keys_opens_it_and_no_other_does() -> None:
    first, second = new_secret_key(), new_secret_key()
    data = sealed(b"words", first, second)
    assert unsealed(data, first) == unsealed(data, new_secret_key(), second) == b"words"
    with pytest.raises(BadInput, match="for another key"):
        unsealed(data, new_secret_key())


def test_no_bit_can_be_changed_without_notice() -> None:
    data = sealed(b"The contract is signed.", KEY)
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(BadInput):
                unsealed(bytes(changed))


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_can_be_changed_without_notice(place: int, change: int) -> None:
    data = bytearray(sealed(b"The contract is signed.", KEY))
    data[place % len(data)] ^= change
    with pytest.raises(BadInput):
        unsealed(bytes(data))


def test_a_file_cut_off_at_a_chunk_gives_what_is_before_and_says_so() -> None:
    data = sealed(b"a" * (2 * CHUNK_BYTES + 5))
    whole = data[: len(data) - 5 - 16]
    given: list[bytes] = []
    with pytest.raises(BadInput, match="end is missing"):
        for chunk in opened(io.BytesIO(whole), [KEY]):
            given.append(chunk)  # noqa: PERF402 - what came before the fault is wanted
    assert b"".join(given) == b"a" * (2 * CHUNK_BYTES)


def test_a_file_that_ends_with_its_head_is_cut_off() -> None:
    with pytest.raises(BadInput, match=CUT_OFF[:20]):
        unsealed(sealed(b"")[:-16])


@settings(max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_upset_the_reader(junk: bytes, versioned: bool) -> None:
    with pytest.raises(BadInput):
        unsealed((b"age-encryption.org/v1\n" if versioned else b"") + junk)


def test_keys_are_written_as_age_writes_them() -> None:
    assert public_text(public_key_of(secret_keys(SECRET)[0])) == PUBLIC
    assert secret_text(secret_keys(SECRET)[0]) == SECRET
    assert public_text(public_keys(PUBLIC)[0]) == PUBLIC


def test_a_key_file_may_hold_comments_and_several_keys() -> None:
    other = new_secret_key()
    text = f"# created: 2026-11-20\n# public key: {PUBLIC}\n{SECRET}\n\n{secret_text(other)}\n"
    assert secret_keys(text) == (*secret_keys(SECRET), other)
    with pytest.raises(BadInput, match="no line with"):
        secret_keys("# nothing\n")


@pytest.mark.parametrize(
    "wrong",
    [
        "age1",
        PUBLIC[:-1],
        PUBLIC[:-1] + "q",
        PUBLIC.replace("w", "W", 1),
        SECRET,
        "ssh-ed25519 AAAA",
        "age1" + "b" * 58,
    ],
)
def test_what_is_no_public_key_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(BadInput) as refused:
        public_keys(wrong)
    assert SECRET not in str(refused.value)


@settings(max_examples=50)
@given(st.integers(4, len(PUBLIC) - 1), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_mistyped_letter_is_noticed(place: int, letter: str) -> None:
    typed = PUBLIC[:place] + letter + PUBLIC[place + 1 :]
    if typed != PUBLIC:
        with pytest.raises(BadInput):
            public_keys(typed)
