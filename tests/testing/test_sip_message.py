"""SIP as the scripted phone reads and writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.testing.sip_dialog import Dialog
from sovereign_pbx.testing.sip_message import Media, SipMessage, response

INVITE = (
    b"INVITE sip:agent@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKa\r\n"
    b'From: "Ada" <sip:ada@127.0.0.1>;tag=peer\r\nTo: <sip:agent@127.0.0.1:5070>\r\nCall-ID: one\r\n'
    b"CSeq: 7 INVITE\r\nContact: <sip:ada@127.0.0.1:5060>\r\nSubject: two\r\n lines\r\nContent-Length: 0\r\n\r\n"
)


def test_a_request_is_read() -> None:
    message = SipMessage.parse(INVITE)
    assert (message.method, message.status, message.cseq) == ("INVITE", 0, (7, "INVITE"))
    assert message.tag("From") == "peer"
    assert message.contact == "sip:ada@127.0.0.1:5060"
    assert message.get("subject") == "two lines"
    assert message.get("nothing") == ""


def test_what_is_written_is_read_back() -> None:
    message = SipMessage("SIP/2.0 200 OK", (("CSeq", "2 BYE"), ("Reason", 'Q.850 ;cause=31;text="x"')), "hällo")
    again = SipMessage.parse(message.encode())
    assert (again.status, again.method, again.cause, again.body) == (200, "BYE", 31, "hällo")


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_sip_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        SipMessage.parse(data)


@given(st.binary(max_size=300))
def test_no_datagram_breaks_the_parser(data: bytes) -> None:
    for text in (data, b"SIP/2.0 " + data, INVITE[:40] + data):
        try:
            message = SipMessage.parse(text)
        except BadInput:
            continue
        assert isinstance(message.method, str)
        assert message.cause is None or message.cause >= 0
        Media.parse(message.body)


def test_an_answer_carries_its_tag_and_the_route_back() -> None:
    answer = response(SipMessage.parse(INVITE), "486 Busy Here", (), "", "mine")
    assert answer.tag("To") == "mine"
    assert answer.all("Via") == ["SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKa"]
    assert response(SipMessage.parse(INVITE), "100 Trying", (), "", "mine").tag("To") == ""


def test_a_media_description_survives_the_wire() -> None:
    media = Media("127.0.0.1", 4000, (0, 8, 101), "sendonly")
    assert Media.parse(media.sdp(3)) == media
    assert Media.parse("v=0\r\n") is None


def test_cancel_belongs_to_its_invite() -> None:
    dialog = Dialog("me@127.0.0.1:1", name="Me", target="sip:you@127.0.0.1:2")
    invite = dialog.request("INVITE")
    dialog.learn(response(invite, "180 Ringing", [("Contact", "<sip:you@127.0.0.1:3>")], "", "theirs"))
    cancel = dialog.cancel()
    assert cancel.get("Via") == invite.get("Via")
    assert cancel.get("To") == invite.get("To")
    assert cancel.cseq == (invite.cseq[0], "CANCEL")


def test_a_refusal_is_acknowledged_within_the_invites_transaction() -> None:
    dialog = Dialog("me@127.0.0.1:1", name="Me", target="sip:you@127.0.0.1:2")
    invite = dialog.request("INVITE")
    busy, taken = (response(invite, status, (), "", "theirs") for status in ("486 Busy Here", "200 OK"))
    dialog.learn(taken)
    assert dialog.acknowledge(busy).get("Via") == invite.get("Via")
    assert dialog.acknowledge(taken).get("Via") != invite.get("Via")
    assert dialog.acknowledge(taken).tag("To") == "theirs"


def test_the_callee_speaks_with_its_own_tag() -> None:
    dialog = Dialog("agent@127.0.0.1:5070", invite=SipMessage.parse(INVITE))
    bye = dialog.request("BYE")
    assert bye.start == "BYE sip:ada@127.0.0.1:5060 SIP/2.0"
    assert (bye.tag("From"), bye.tag("To")) == (dialog.tag, "peer")
