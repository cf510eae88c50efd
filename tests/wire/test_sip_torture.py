"""The torture messages of RFC 4475, all 49: what each of them is to a parser."""

import pytest

from sovereign_pbx.wire import sip
from sovereign_pbx.wire.digest import Credentials
from sovereign_pbx.wire.malformed import Malformed
from tests.wire.torture_messages import NAMES, torture

# 400 or 505: can't be read, but answered; None: neither. All others are read. Where the RFC leaves it open (§3.1.2.12,
# 14, 15: a bad zone in a date, spaces in brackets, commas in an unquoted name) they are read too.
REFUSED = {
    "badinv01": 400,
    "badvers": 505,
    "bigcode": None,
    "clerr": 400,
    "escruri": 400,
    "insuf": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "mcl01": 400,
    "mismatch01": 400,
    "mismatch02": 400,
    "multi01": 400,
    "ncl": 400,
    "quotbal": 400,
    "regbadct": 400,
    "scalar02": 400,
    "scalarlg": None,
    "trws": 400,
}


def request(name: str) -> sip.Request:
    message = sip.parse(torture(name))
    assert isinstance(message, sip.Request)
    return message


def test_there_are_49_of_them() -> None:
    assert len(NAMES) == 49


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REFUSED])
def test_what_is_valid_is_read_and_survives_being_written(name: str) -> None:
    message = sip.parse(torture(name))
    again = sip.parse(message.encode())
    assert again.body == message.body
    assert [pair for pair in again.headers if pair[0] != "Content-Length"] == [
        pair for pair in message.headers if pair[0] != "Content-Length"
    ]


@pytest.mark.parametrize("name", [name for name, status in REFUSED.items() if status])
def test_what_is_invalid_is_refused_with_the_status_it_deserves(name: str) -> None:
    with pytest.raises(sip.BadRequest) as caught:
        sip.parse(torture(name))
    assert caught.value.status == REFUSED[name]


@pytest.mark.parametrize("name", [name for name, status in REFUSED.items() if status is None])
def test_an_invalid_answer_is_nobodys(name: str) -> None:
    with pytest.raises(Malformed) as caught:
        sip.parse(torture(name))
    assert not isinstance(caught.value, sip.BadRequest)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"bigcode", "scalarlg", "ncl", "mcl01", "inv2543", "dblreq"}))
def test_on_a_stream_they_are_told_apart_by_their_length(name: str) -> None:
    data = torture(name)
    parser = sip.StreamParser()
    try:
        messages = parser.feed(data)
    except Malformed:
        assert name in REFUSED
        return
    assert (len(messages) == 1) == (name != "clerr")  # whose end has not come yet


def test_on_a_stream_what_follows_a_body_is_the_next_message() -> None:
    assert [m.method for m in sip.StreamParser().feed(torture("dblreq")) if isinstance(m, sip.Request)] == [
        "REGISTER",
        "INVITE",
    ]


def test_folds_and_spaces_everywhere_change_nothing() -> None:
    headers = request("wsinv").headers
    assert sip.cseq(headers) == (9, "INVITE")
    assert (sip.tag_of(headers, "From"), sip.tag_of(headers, "To")) == ("51f", "77-a")
    assert sip.NameAddr.parse(headers.get("From")).display == 'Anna \\"'
    assert headers.get("NewFangledHeader") == "one value goes on here"
    assert [sip.Via.parse(via).host for via in headers.all("Via")] == [
        "192.0.2.7",
        "board.example.com",
        "192.168.255.111",
    ]
    assert [sip.Via.parse(via).branch for via in headers.all("Via")] == ["", "z9hG4bK9ikj8", "z9hG4bK30239"]
    contact = sip.NameAddr.parse(headers.get("Contact"))
    assert contact.params == {"newparam": "newvalue", "secondparam": "", "q": "0.33"}
    assert headers.get("Subject") == ""


def test_every_character_that_is_allowed_is_taken() -> None:
    message = request("intmeth")
    uri = sip.Uri.parse(message.uri)
    assert message.method == "!strange-Method0123456789_*+`.%indeed'~"
    assert uri.user == "1_odd.URI~(to-be!sure)&isn't+it$/far?,/;;*"
    assert uri.password == "&pw=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert sip.NameAddr.parse(message.headers.get("To")).display == "BEL:\x07 NUL:? DEL:\x7f"
    assert sip.NameAddr.parse(message.headers.get("From")).params["fromparam''~+*_!.-%"].encode() == b"\xd1\x80\xd0\xb0"


def test_escapes_are_undone_where_text_is_wanted_and_nowhere_else() -> None:
    message = request("esc01")
    assert sip.Uri.parse(message.uri).username == "sips:bert@example.com"
    assert sip.NameAddr.parse(message.headers.get("To")).uri.username == "user"
    contact = sip.NameAddr.parse(message.headers.get("Contact"))
    assert str(contact) == message.headers.get("Contact").replace("%6C%72", "%6c%72")
    assert sip.NameAddr.parse(request("escnull").headers.get("To")).uri.username == "null- -null"
    assert request("esc02").method == "RE%47IST%45R" and len(request("esc02").headers.all("Contact")) == 2


def test_what_follows_a_datagrams_body_is_ignored() -> None:
    message = request("dblreq")
    assert (message.method, message.body) == ("REGISTER", b"abcdefgh")


def test_semicolons_in_a_user_are_the_users() -> None:
    uri = sip.Uri.parse(request("semiuri").uri)
    assert (uri.user, uri.host, uri.params) == ("user;par=u%40example.net", "example.com", {})


def test_every_transport_is_taken_in_a_via() -> None:
    vias = [sip.Via.parse(via).transport for via in request("transports").headers.all("Via")]
    assert vias == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_a_parameter_belongs_to_the_header_or_to_the_address_by_the_brackets() -> None:
    outside = sip.NameAddr.parse(request("cparam01").headers.get("Contact"))
    inside = sip.NameAddr.parse(request("cparam02").headers.get("Contact"))
    assert ("unknownparam" in outside.params, "unknownparam" in outside.uri.params) == (True, False)
    assert ("unknownparam" in inside.params, "unknownparam" in inside.uri.params) == (False, True)
    asked = sip.NameAddr.parse(request("regescrt").headers.get("Contact")).uri
    assert asked.header("Route") == "<sip:sip.example.com>"


def test_phrases_may_be_empty_or_in_any_script() -> None:
    odd, none = sip.parse(torture("unreason")), sip.parse(torture("noreason"))
    assert isinstance(odd, sip.Response) and odd.reason.startswith("= 2**3 * 5**2 но")
    assert isinstance(none, sip.Response) and (none.status, none.reason) == (100, "")


def test_a_branch_that_is_the_magic_alone_is_none() -> None:
    assert sip.Via.parse(request("badbranch").headers.get("Via")).branch == ""
    assert sip.Via.parse(request("inv2543").headers.get("Via")).branch == ""


def test_an_unknown_way_to_prove_who_one_is_proves_nothing() -> None:
    with pytest.raises(Malformed):
        Credentials.parse(request("regaut01").headers.get("Authorization"))
