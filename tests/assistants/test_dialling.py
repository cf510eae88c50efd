"""What may be dialled: patterns, premium ranges, and everything that only looks like a number."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.assistants.dialling import DialRules, normal
from sovereign_pbx.assistants.premium import NATIONAL, is_premium

DUTCH = DialRules(allow=("+31*", "200", "reception"), deny=("+31 6 99*",))
ANY = DialRules(allow=("*",))
NUMBERS = st.from_regex(r"\+[1-9][0-9]{5,13}", fullmatch=True)


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("+31 (20) 123-45.67", "+31201234567"),
        ("0031201234567", "+31201234567"),
        ("+31 (0)20 1234567", "+31201234567"),
        ("0201234567", "0201234567"),
        ("0012", "0012"),
        ("reception", "reception"),
        ("SIP:Ann@Example.ORG:5061", "sip:Ann@example.org:5061"),
        (" 200\u00a0", "200"),
    ],
)
def test_a_destination_has_one_form(written: str, dialled: str) -> None:
    assert normal(written) == dialled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "+0031201234567",
        "000031201234567",
        "Local/200@default",
        "PJSIP/200",
        "PJSIP/trunk/sip:200@host",
        "200@default",
        "200,1",
        "200&201",
        "${EXTEN}",
        "200\r\nAction: Originate",
        "٠١٢٣",  # digits, but not ours
        "\uff12\uff10\uff10",
        "+31 20\u2011123",
        "sip:ann@example.org;transport=tcp",
        "sip:ann:secret@example.org",
        "sip:ann@bob@example.org",
        "sip:example.org",
        "sip:*@example.org",
        "sip:ann@example.org?Subject=x",
        "sip:ann@[::1]",
        "tel:+31201234567",
        "1" * 200,
    ],
)
def test_what_is_no_destination_matches_nothing(text: str) -> None:
    assert normal(text) == ""
    assert "is no destination" in ANY.refusal(text)
    assert not DialRules(allow=("*", "sip:*@example.org", text[:64]), deny_premium=False).permits(text)


@pytest.mark.parametrize(
    ("number", "permitted"),
    [
        ("+31201234567", True),
        ("0031201234567", True),
        ("200", True),
        ("2001", False),
        ("reception", True),
        ("31201234567", False),
        ("3112", False),
        ("+32", False),
        ("+31699123456", False),
        ("0031 699 123456", False),
    ],
)
def test_only_what_is_allowed_and_not_denied_is_dialled(number: str, permitted: bool) -> None:
    assert DUTCH.permits(number) is permitted


def test_nothing_is_dialled_until_it_is_allowed() -> None:
    assert not DialRules().permits("200")


def test_a_pattern_of_00_is_any_country() -> None:
    assert DialRules(allow=("00*",)).permits("+31201234567")
    assert not DialRules(allow=("00*",)).permits("0201234567")


@pytest.mark.parametrize(
    "number",
    ["+31900123456", "0031909123456", "+310900123456", "0900123456", "+97912345678", "+881612345678", "+19005551234",
     "+4470123456789", "+39144123456", "+39899123456"],
)  # fmt: skip
def test_a_number_that_costs_extra_is_denied_unless_it_is_named_in_full(number: str) -> None:
    assert "costs extra" in ANY.refusal(number)
    assert DialRules(allow=("*",), deny_premium=False).permits(number)
    assert DialRules(allow=("*", number)).permits(number)
    assert not DialRules(allow=("*", f"{number}*")).permits(number)
    assert not DialRules(allow=(number,), deny=("*",)).permits(number)


@pytest.mark.parametrize(
    "number",
    ["+31182512345", "+441189123456", "+390144123456", "+4690123456", "+498915551234", "+35315241234", "+32710123456"],
)
def test_an_ordinary_number_that_looks_like_one_is_not(number: str) -> None:
    assert ANY.permits(number)


def test_national_forms_are_known_where_the_country_is() -> None:
    assert not is_premium("0906123456")
    assert is_premium("0906123456", "31")
    assert not is_premium("0906123456", "49")  # Donauwörth
    home = DialRules(allow=("*",), deny=("+3120*",), country="31")
    assert not home.permits("0201234567")
    assert home.permits("0301234567")
    away = DialRules(allow=("*",), deny=("020*",), country="31")
    assert not away.permits("+31201234567")
    assert away.permits("+32201234567")


@pytest.mark.parametrize(
    ("pattern", "uri", "permitted"),
    [
        ("sip:*@example.org", "sip:ann@example.org", True),
        ("sip:*@example.org", "SIP:ann@EXAMPLE.org", True),
        ("sip:1*@example.org", "sip:100@example.org", True),
        ("sip:1*@example.org", "sip:200@example.org", False),
        ("sip:ann@example.org", "sip:Ann@example.org", False),
        ("sip:*@example.org", "sip:ann@example.org.evil.net", False),
        ("sip:*@example.org", "sip:ann@evil.net", False),
        ("sip:*@example.org", "sip:ann@example.org:5080", False),
        ("sip:*@example.org", "sips:ann@example.org", False),
        ("*", "sip:ann@example.org", False),
        ("s*", "sip:ann@example.org", False),
        ("sip:*@example.org", "200", False),
    ],
)
def test_a_sip_uri_needs_a_pattern_that_says_so(pattern: str, uri: str, permitted: bool) -> None:
    assert DialRules(allow=(pattern,)).permits(uri) is permitted
    assert DialRules(allow=("*", uri), deny=(pattern,), deny_premium=False).permits(uri) is not permitted


@given(NUMBERS, st.data())
def test_punctuation_changes_nothing(number: str, data: st.DataObject) -> None:
    written = "".join(sign + data.draw(st.sampled_from(["", " ", "-", ".", "\u00a0"])) for sign in number)
    assert normal(written) == number
    assert normal(f"00{written[1:]}") == number
    assert DUTCH.permits(written) == DUTCH.permits(number)


@given(st.text(max_size=140))
def test_whatever_is_dialled_is_safe_in_a_dialplan(text: str) -> None:
    dialled = normal(text)
    assert set(dialled) <= set(string.ascii_letters + string.digits + "+@:._-")
    assert dialled.startswith(("sip:", "sips:")) or not set(dialled) & set("@:._-")
    assert normal(dialled) == dialled


@given(st.sampled_from(sorted(NATIONAL)), st.data(), st.text("0123456789", min_size=4, max_size=8))
def test_every_range_is_denied_however_it_is_written(code: str, data: st.DataObject, rest: str) -> None:
    number = f"{code}{data.draw(st.sampled_from(NATIONAL[code]))}{rest}"
    assert not ANY.permits(f"+{number}")
    assert not ANY.permits(f"00{number}")
