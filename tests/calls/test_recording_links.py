"""A link to a recording works for one call, until its day, and only if it was made here."""

import stat
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.calls.recording_links import KEY_FILE, RecordingLinks, link_key
from sovereign_pbx.core.errors import ConfigError

NOW = 1_795_000_000.0
LINKS = RecordingLinks(b"k" * 32, "https://pbx.example.com/", 7.0)
DAY = 86_400


def parts(url: str) -> tuple[str, str, str]:
    """Call id, expiry and signature of a link."""
    split = urlsplit(url)
    query = parse_qs(split.query)
    return unquote(split.path.split("/")[4]), query["expires"][0], query["signature"][0]


def test_a_link_names_the_call_and_works_for_its_days() -> None:
    url = LINKS.link("call-_+31612345678_Xq", NOW)
    assert url.startswith("https://pbx.example.com/api/v1/calls/call-_%2B31612345678_Xq/recording?expires=")
    call_id, expires, signature = parts(url)
    assert call_id == "call-_+31612345678_Xq"
    assert LINKS.check(call_id, expires, signature, NOW + 7 * DAY - 1)
    assert not LINKS.check(call_id, expires, signature, NOW + 7 * DAY + 1)


def test_a_link_is_good_for_nothing_else() -> None:
    call_id, expires, signature = parts(LINKS.link("c1", NOW))
    assert not LINKS.check("c2", expires, signature, NOW)
    assert not LINKS.check(call_id, str(int(expires) + 1), signature, NOW)
    assert not LINKS.check(call_id, expires, signature[:-1], NOW)
    assert not LINKS.check(call_id, expires, signature.upper(), NOW)
    assert not RecordingLinks(b"x" * 32, LINKS.base_url, 7.0).check(call_id, expires, signature, NOW)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=80))
def test_whatever_is_asked_nothing_is_raised_and_nothing_guessed(call_id: str, expires: str, signature: str) -> None:
    assert not LINKS.check(call_id, expires, signature, NOW)


@pytest.mark.parametrize("expires", ["", "-1", "+99999999999", " 99999999999", "9" * 13, "٩٩٩٩٩٩٩٩٩٩", "1e12"])
def test_an_expiry_is_a_plain_number(expires: str) -> None:
    assert not LINKS.check("c1", expires, LINKS._signature("c1", expires), NOW)


@given(st.text(min_size=1, max_size=40), st.floats(0, 4e9))
def test_every_link_that_is_made_is_accepted(call_id: str, now: float) -> None:
    encodable = call_id.encode("utf-8", "replace").decode()
    _, expires, signature = parts(LINKS.link(encodable, now))
    assert LINKS.check(encodable, expires, signature, now)


def test_the_key_is_made_once_and_for_the_daemon_alone(tmp_path: Path) -> None:
    key = link_key(tmp_path)
    assert link_key(tmp_path) == key
    assert len(key) == 32
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [KEY_FILE]
    assert key.hex() not in repr(RecordingLinks(key, "", 1.0))
    assert repr(key) not in repr(RecordingLinks(key, "", 1.0))


@pytest.mark.parametrize("content", ["", "00ff", "no key"])
def test_a_damaged_key_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / KEY_FILE).write_text(content)
    with pytest.raises(ConfigError, match=KEY_FILE):
        link_key(tmp_path)
