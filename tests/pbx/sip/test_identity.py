"""Who calls whom, as an INVITE says it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.pbx.link import Offer
from sovereign_pbx.pbx.sip.identity import MAX_VARIABLES, offer_from, variables
from sovereign_pbx.wire.sip import Headers
from tests.pbx.sip.messages import request

Pairs = Sequence[tuple[str, str]]


def offer(headers: Pairs = (), uri: str = "sip:100@127.0.0.1") -> Offer:
    return offer_from(request(uri=uri, headers=headers), "11111111-2222", peer="10.0.0.5")


ASSERTED = ("P-Asserted-Identity", '"Anna" <sip:+31201112222@carrier.example>')
REMOTE = ("Remote-Party-ID", '"Piet" <sip:555@pbx>;party=calling;screen=yes;privacy=off')


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ((), ("201", "Jan")),
        ((ASSERTED,), ("+31201112222", "Anna")),
        ((REMOTE,), ("555", "Piet")),
        ((REMOTE, ASSERTED), ("+31201112222", "Anna")),
        ((("P-Asserted-Identity", "<tel:+31201112222;phone-context=x>"),), ("+31201112222", "")),
        ((("P-Asserted-Identity", "rubbish"),), ("201", "Jan")),
    ],
)
def test_the_caller_is_whom_the_network_asserts(headers: Pairs, told: tuple[str, str]) -> None:
    found = offer(headers)
    assert (found.caller, found.caller_name) == told


@pytest.mark.parametrize(
    "headers",
    [
        (ASSERTED, ("Privacy", "id")),
        (ASSERTED, ("Privacy", "user;critical")),
        (("Remote-Party-ID", "<sip:555@pbx>;privacy=full"),),
        (("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=x'),),
        (("From", "<sip:Unavailable@pbx>;tag=x"),),
    ],
)
def test_who_withholds_his_number_has_none(headers: Pairs) -> None:
    assert (offer(headers).caller, offer(headers).caller_name) == ("", "")


@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("sip:100@127.0.0.1", "100"),
        ("sip:%2B3120;isub=1@127.0.0.1;user=phone", "+3120"),
        ("tel:+31201112222;ext=4", "+31201112222"),
        ("sip:127.0.0.1", "100"),  # of To
    ],
)
def test_the_number_dialled_is_the_uris_user(uri: str, called: str) -> None:
    assert offer(uri=uri).called == called


def test_what_a_control_knows_better_counts() -> None:
    found = offer_from(request(), "id", peer="10.0.0.5", facts={"caller": "7", "pbx_id": "u-1", "rubbish": "x"})
    assert (found.caller, found.pbx_id, found.called) == ("7", "u-1", "100")


def test_headers_become_variables_and_our_own_do_not() -> None:
    headers = [("X-Sovereign-Var-Customer-Id", "12"), ("X-Account", "7"), ("X-Sovereign-Call-UUID", "u"), ("X-", "y")]
    assert variables(Headers(headers)) == {"Customer_Id": "12", "X_Account": "7"}


def test_a_thousand_headers_are_few_variables() -> None:
    assert len(variables(Headers([(f"X-H{number}", "v" * 1000) for number in range(1000)]))) == MAX_VARIABLES


@given(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=80))
def test_no_header_makes_it_raise_or_leaves_a_control_character(text: str) -> None:
    names = ("P-Asserted-Identity", "Remote-Party-ID", "Privacy", "X-Any")
    found = offer_from(request(headers=[(name, text) for name in names]), "id", peer="10.0.0.5")
    for value in (found.caller, found.caller_name, found.called, *found.variables.values()):
        assert not any(ord(character) < 32 or ord(character) == 127 for character in value)
