"""Where an INVITE goes, and whom it says that it is from."""

import pytest

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.pbx.sip.outgoing_way import Shown, Way, Ways, is_uri, uri_of

PEER = Way(name="the PBX", host="192.0.2.1", port=5060)
TRUNK = Way(name="carrier", host="sip.example.com", transport="tls", username="acme", password="s3cret")
EXTENSION = Way(name="office", host="pbx.example.com", account="800", username="800-auth", password="s3cret")


def identity(shown: Shown, way: Way | None) -> dict[str, str]:
    return dict(shown.identity(way, "192.0.2.9"))


@pytest.mark.parametrize(
    ("way", "wanted", "uri"),
    [
        (PEER, "200", "sip:200@192.0.2.1:5060"),
        (PEER, "+31201234567", "sip:+31201234567@192.0.2.1:5060"),
        (TRUNK, "+31201234567", "sip:+31201234567@sip.example.com;transport=tls"),
        (Way(name="six", host="2001:db8::1", transport="tcp"), "200", "sip:200@[2001:db8::1];transport=tcp"),
    ],
)
def test_a_number_becomes_an_address_on_its_way(way: Way, wanted: str, uri: str) -> None:
    assert str(way.uri(wanted)) == uri


@pytest.mark.parametrize("wanted", ["", "200@elsewhere", "200;transport=tcp", "200\r\nX: y", "2 0 0", "x" * 65])
def test_what_is_more_than_a_number_is_refused(wanted: str) -> None:
    with pytest.raises(BadInput):
        PEER.uri(wanted)


def test_a_sip_address_is_called_as_it_is() -> None:
    assert str(uri_of("sip:anna@example.org:5070")) == "sip:anna@example.org:5070"


@pytest.mark.parametrize("wanted", ["sip:anna", "200", "tel:200", "sip:@example.org", "sip:a@b;x=y", "sip:a@b?Route=c"])
def test_what_is_no_plain_sip_address_is_refused(wanted: str) -> None:
    with pytest.raises(BadInput):
        uri_of(wanted)


def test_a_number_is_no_address() -> None:
    assert not is_uri("200")


def test_a_pbx_is_shown_the_caller_by_from_alone() -> None:
    shown = identity(Shown(number="+31612345678", name='Ann "A" B'), PEER)
    assert shown == {"From": '"Ann \\"A\\" B" <sip:+31612345678@192.0.2.9>'}


def test_an_extension_calls_as_itself_and_asserts_who_the_caller_is() -> None:
    assert identity(Shown(number="+31612345678"), EXTENSION) == {
        "From": "<sip:800@pbx.example.com>",
        "P-Asserted-Identity": "<sip:+31612345678@pbx.example.com>",
    }


def test_a_trunk_with_a_user_is_shown_the_number_under_its_own_host() -> None:
    assert identity(Shown(number="+31201234567"), TRUNK)["From"] == "<sip:+31201234567@sip.example.com>"


def test_without_a_number_a_trunk_sees_its_user_and_a_pbx_our_name() -> None:
    assert identity(Shown(), TRUNK) == {"From": "<sip:acme@sip.example.com>"}
    assert identity(Shown(), PEER) == {"From": "<sip:sovereign-pbx@192.0.2.9>"}


def test_a_caller_who_withholds_his_number_stays_unknown() -> None:
    assert identity(Shown(number=None), PEER) == {
        "From": "Anonymous <sip:anonymous@anonymous.invalid>",
        "Privacy": "id",
    }
    assert identity(Shown(number=None, name="Ann"), EXTENSION) == {
        "From": "<sip:800@pbx.example.com>",
        "Privacy": "id",
    }


def test_the_number_that_the_caller_had_dialled_is_told() -> None:
    shown = identity(Shown(number="0612", diverted_from="+31201234567"), PEER)
    assert shown["Diversion"] == "<sip:+31201234567@192.0.2.9>;reason=unknown;counter=1"


@pytest.mark.parametrize("number", ["0612\r\nX: y", "0612>", "a b", "x" * 65])
def test_a_caller_id_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(BadInput):
        Shown(number=number).identity(PEER, "192.0.2.9")


def test_a_password_is_in_no_repr() -> None:
    assert "s3cret" not in repr(TRUNK)


def test_a_registration_is_found_by_its_name_before_a_trunk_of_that_name() -> None:
    ways = Ways(lambda: {"office": PEER, "carrier": TRUNK}, {"office": EXTENSION})
    assert (ways.named("office"), ways.named("carrier"), ways.named("other")) == (EXTENSION, TRUNK, None)


def test_what_there_is_one_of_needs_no_name() -> None:
    assert Ways(lambda: {"carrier": TRUNK}, {"office": EXTENSION}).only() is EXTENSION
    assert Ways(lambda: {"carrier": TRUNK}, {}).only() is TRUNK
    assert Ways(lambda: {}, {"office": EXTENSION, "home": EXTENSION}).only() is None
    assert Ways(lambda: {"carrier": TRUNK, "other": TRUNK}, {}).only() is None


def test_without_a_trunk_or_a_registration_there_is_no_way() -> None:
    assert not Ways(lambda: {}, {})
    assert Ways(lambda: {"carrier": TRUNK}, {})
