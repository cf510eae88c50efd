"""The key ring of a running daemon: who a token is, however the file changes beneath it."""

import asyncio
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.api import keys
from sovereign_pbx.api.keys import Key, KeyRing, digest_of, new_key, read_keys, write_keys
from sovereign_pbx.core.errors import ConfigError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def made(path: Path, *names: str) -> list[str]:
    pairs = [new_key(name, ("read",), now=NOW) for name in names]
    write_keys(path, [key for _, key in pairs])
    return [token for token, _ in pairs]


def find(ring: KeyRing, token: str) -> Key | None:
    return asyncio.run(ring.find(token))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_found_and_a_stranger_is_not(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    first, second = made(path, "first", "second")
    ring = KeyRing(path)
    assert [key.name for key in (find(ring, first), find(ring, second)) if key] == ["first", "second"]
    for stranger in ("", "fl_live_guess", first[:-1], first + "x", "\ud800", "x" * 100_000):
        assert find(ring, stranger) is None


def test_every_key_is_compared_in_constant_time_whichever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return real(one, other)

    path = tmp_path / "keys.toml"
    tokens = made(path, "first", "second", "third")
    ring = KeyRing(path)
    find(ring, tokens[0])
    monkeypatch.setattr("sovereign_pbx.api.keys.hmac.compare_digest", compare)
    for token in tokens:
        compared.clear()
        assert find(ring, token)
        assert len(compared) == 3
        assert {len(one) for pair in compared for one in pair} == {64}


def test_a_change_of_the_file_is_noticed_within_the_look_and_a_new_key_at_once(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.toml", Clock()
    (token,) = made(path, "first")
    ring = KeyRing(path, look_s=1.0, now=clock)
    assert find(ring, token)
    fresh, key = new_key("second", ("admin",), now=NOW)
    write_keys(path, [key])
    assert (find(ring, fresh)) == key
    clock.now = 1.0
    assert find(ring, token) is None
    path.unlink()
    clock.now = 2.0
    assert find(ring, fresh) is None


def test_the_file_is_not_read_for_every_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.toml"
    (token,) = made(path, "first")
    ring, reads = KeyRing(path, look_s=0.0), list[Path]()

    def read(path: Path) -> tuple[Key, ...]:
        reads.append(path)
        return read_keys(path)

    monkeypatch.setattr(keys, "read_keys", read)
    for _ in range(5):
        assert find(ring, token)
    assert len(reads) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[[keys]\n",
        "keys = 3\n",
        '[[keys]]\nname = "x"\n',
        '[[keys]]\nname = "x"\ndigest = "short"\nscopes = []\ncreated_at = "2026-11-20T12:00:00Z"\n',
        f'[[keys]]\nname = "x"\ndigest = "{"0" * 64}"\nscopes = []\ncreated_at = "yesterday"\n',
        f'[[keys]]\nname = "x"\ndigest = "{"0" * 64}"\nscopes = 3\ncreated_at = "2026-11-20T12:00:00Z"\n',
        f'[[keys]]\nname = "x"\ndigest = "{"0" * 64}"\nscopes = []\ncreated_at = "2026-11-20"\n',
        "\x00",
    ],
)
def test_a_damaged_file_lets_nobody_in_and_a_mended_one_does_again(tmp_path: Path, text: str) -> None:
    path, clock = tmp_path / "keys.toml", Clock()
    (token,) = made(path, "first")
    kept = path.read_bytes()
    ring = KeyRing(path, now=clock)
    assert find(ring, token)
    path.write_text(text)
    clock.now = 1.0
    for _ in range(2):
        with pytest.raises(ConfigError, match="can't be understood"):
            find(ring, token)
    path.write_bytes(kept)
    assert find(ring, token)


def test_states_and_scopes() -> None:
    _, key = new_key("x", ("read",), now=NOW, expires_at=NOW + timedelta(hours=1))
    assert key.state(NOW) == "active"
    assert key.state(NOW + timedelta(hours=1)) == "expired"
    assert (key.may("read"), key.may("calls"), key.may("admin")) == (True, False, False)
    _, admin = new_key("x", ("admin",), now=NOW)
    assert all(admin.may(scope) for scope in keys.SCOPES)
    assert admin.state(NOW + timedelta(days=40_000)) == "active"


def test_no_key_is_shown_by_its_repr() -> None:
    token, key = new_key("crm", ("read",), now=NOW)
    assert repr(key) == f"<Key 'crm' …{token[-4:]}>"
    assert isinstance(key, Key) and digest_of(token) == key.digest


def test_a_crowd_of_strangers_is_looked_up_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.toml"
    (token,) = made(path, "first")
    looks: list[int] = []
    ring = KeyRing(path)
    look = ring._look

    def counted() -> None:
        looks.append(1)
        look()

    monkeypatch.setattr(ring, "_look", counted)

    async def crowd() -> list[Key | None]:
        return list(await asyncio.gather(*(ring.find(one) for one in ["guess"] * 99 + [token])))

    found = asyncio.run(crowd())
    assert found[:-1] == [None] * 99 and found[-1] is not None
    assert len(looks) <= 2


def test_a_damaged_file_lets_in_nobody_of_a_crowd(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[[keys]")
    ring = KeyRing(path)

    async def crowd() -> list[Any]:
        return list(await asyncio.gather(*(ring.find("guess") for _ in range(9)), return_exceptions=True))

    assert [type(one) for one in asyncio.run(crowd())] == [ConfigError] * 9
