"""SIP messages: what is read, what is refused, and what is never written."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import sip
from sovereign_pbx.wire.malformed import Malformed

INVITE = (
    b"INVITE sip:800@127.0.0.1:5090 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKabc, SIP/2.0/TCP [2001:db8::1]:5061;branch=z9hG4bKdef\r\n"
    b"Max-Forwards: 70\r\n"
    b'f: "Doe, \\"J\\"" <sip:100@127.0.0.1>;tag=a1\r\n'
    b"t: <sip:800@127.0.0.1>\r\n"
    b"i: 1@here\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"m: <sip:100@127.0.0.1:5060;ob>;q=0.5\r\n"
    b"Record-Route: <sip:p1;lr>,\r\n <sip:p2;lr>\r\n"
    b"k: replaces,\ttimer\r\n"
    b"c: application/sdp\r\n"
    b"l: 4\r\n\r\nv=0\n"
)


def invite(**changed: str) -> bytes:
    """INVITE with headers in place of the named ones (`_` for `-`); "" leaves one out."""
    message = sip.parse(INVITE)
    assert isinstance(message, sip.Request)
    lines = [b"INVITE " + message.uri.encode() + b" SIP/2.0"]
    for name, value in message.headers:
        new = changed.pop(name.replace("-", "_"), value)
        if new:
            lines.append(f"{name}: {new}".encode())
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in changed.items()]
    return b"\r\n".join([*lines, b"", b"v=0\n"])


def request(data: bytes = INVITE) -> sip.Request:
    message = sip.parse(data)
    assert isinstance(message, sip.Request)
    return message


def test_a_request_is_read_with_its_short_names_folds_and_lists() -> None:
    message = request()
    headers = message.headers
    assert (message.method, message.uri, message.body) == ("INVITE", "sip:800@127.0.0.1:5090", b"v=0\n")
    assert [sip.Via.parse(value).host for value in headers.all("VIA")] == ["127.0.0.1", "2001:db8::1"]
    assert headers.all("record-route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert headers.get("call-id") == headers.get("I") == "1@here"
    assert headers.tokens("supported") == ["replaces", "timer"]
    assert sip.cseq(headers) == (7, "INVITE")
    assert sip.tag_of(headers, "From") == "a1" and sip.tag_of(headers, "To") == ""
    assert headers.get("Subject") == ""


def test_a_quoted_name_keeps_its_commas_and_loses_its_escapes() -> None:
    caller = sip.NameAddr.parse(request().headers.get("From"))
    assert (caller.display, caller.uri.user) == ('Doe, "J"', "100")
    assert str(caller) == '"Doe, \\"J\\"" <sip:100@127.0.0.1>;tag=a1'


def test_what_is_encoded_reads_back_the_same() -> None:
    message = request()
    again = request(message.encode())
    assert again.body == message.body
    assert [pair for pair in again.headers if pair[0] != "Content-Length"] == [
        pair for pair in message.headers if pair[0] != "Content-Length"
    ]


def test_a_response_copies_what_is_the_request_s_and_adds_a_tag() -> None:
    ringing = sip.response_to(request(), 180, tag="b2", headers=[("Contact", "<sip:800@h>")])
    assert (ringing.status, ringing.reason) == (180, "Ringing")
    assert ringing.headers.all("Via") == request().headers.all("Via")
    assert ringing.headers.all("Record-Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert ringing.headers.get("To") == "<sip:800@127.0.0.1>;tag=b2"
    assert sip.parse(ringing.encode()) == ringing or isinstance(sip.parse(ringing.encode()), sip.Response)


def test_a_trying_has_no_tag_and_a_refusal_no_record_route() -> None:
    assert sip.response_to(request(), 100, tag="b2").headers.get("To") == "<sip:800@127.0.0.1>"
    assert "Record-Route" not in sip.response_to(request(), 486, tag="b2").headers


def test_a_tag_that_is_there_stays() -> None:
    inside = request(invite(To="<sip:800@127.0.0.1>;tag=old"))
    assert sip.response_to(inside, 200, tag="new").headers.get("To") == "<sip:800@127.0.0.1>;tag=old"


@pytest.mark.parametrize(
    ("text", "user", "host", "port", "params"),
    [
        ("sip:a@h", "a", "h", None, {}),
        ("sips:a:secret@h:5061;transport=tcp;lr", "a", "h", 5061, {"transport": "tcp", "lr": ""}),
        ("sip:[2001:db8::9:1]:5070", "", "2001:db8::9:1", 5070, {}),
        ("sip:user;par=u%40example.net@example.com", "user;par=u%40example.net", "example.com", None, {}),
        ("sip:+49-30/1?x@h", "+49-30/1?x", "h", None, {}),
        ("tel:+4930123;phone-context=example.com", "+4930123", "", None, {"phone-context": "example.com"}),
    ],
)
def test_addresses_are_taken_apart_and_put_together(
    text: str, user: str, host: str, port: int | None, params: dict[str, str]
) -> None:
    uri = sip.Uri.parse(text)
    assert (uri.user, uri.host, uri.port, uri.params) == (user, host, port, params)
    assert str(uri) == text
    assert "secret" not in repr(uri)


def test_an_address_tells_its_user_and_its_headers_as_text() -> None:
    uri = sip.Uri.parse("sip:null-%00-%4Call@h?Replaces=1%40h%3Bto-tag%3Da&Subject=x")
    assert uri.username == "null- -Lall"
    assert uri.header("replaces") == "1@h;to-tag=a"
    assert str(uri) == "sip:null-%00-%4Call@h?Replaces=1%40h%3Bto-tag%3Da&Subject=x"


def test_an_address_of_another_scheme_is_kept_as_it_is() -> None:
    uri = sip.Uri.parse("soap.beep://192.0.2.103:3002")
    assert (uri.scheme, uri.host, str(uri)) == ("soap.beep", "", "soap.beep://192.0.2.103:3002")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip",
        ":a@h",
        "sip:@h",
        "sip:a@",
        "sip:a b@h",
        "sip:a@h:0",
        "sip:a@h:99999",
        "sip:a@h:x",
        "sip:[::1",
        "sip:a@[zz]",
        "sip:a@h;;x",
        "sip:a@h?",
        "sip:a@h;x=1;x=2",
        "sip:<a@h>",
        'sip:"a"@h',
        "sip:a@h\r\nX: y",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        sip.Uri.parse(text)


@pytest.mark.parametrize(
    ("text", "display", "tag"),
    [
        ("sip:a@h;tag=x", "", "x"),
        ("<sip:a@h;tag=no>;tag = x ", "", "x"),
        ("Two Words<sip:a@h>;x", "Two Words", ""),
        ('"a \\\\ b"   <sip:a@h> ; y="1;2,3" ;tag=x', "a \\ b", "x"),
    ],
)
def test_addresses_with_a_name_are_read(text: str, display: str, tag: str) -> None:
    address = sip.NameAddr.parse(text)
    assert (address.display, address.tag) == (display, tag)
    assert sip.NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ['"open <sip:a@h>', "<sip:a@h", '"a" sip:a@h', "sip:a@h?x=y", "<sip:a@h>;;", "<sip:a@h>x", "<sip:a@h>;tag=", "*"],
)
def test_what_is_no_address_with_a_name_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        sip.NameAddr.parse(text)


def test_a_via_has_a_branch_only_behind_the_magic() -> None:
    assert sip.Via.parse("SIP / 2.0 / UDP h;branch=z9hG4bK77").branch == "z9hG4bK77"
    assert sip.Via.parse("SIP/2.0/UDP h;branch=z9hG4bK").branch == ""
    assert sip.Via.parse("SIP/2.0/UDP h;branch=1").branch == ""
    assert str(sip.Via.parse("SIP/2.0/TLS [::1]:5061 ; rport")) == "SIP/2.0/TLS [::1]:5061;rport"


@pytest.mark.parametrize(
    "changed",
    [
        {"Call_ID": ""},
        {"From": ""},
        {"To": '"open <sip:a@h>'},
        {"CSeq": "7 BYE"},
        {"CSeq": "36893488147419103232 INVITE"},
        {"CSeq": "INVITE"},
        {"Max_Forwards": "300"},
        {"Max_Forwards": "x"},
        {"Content_Length": "-1"},
        {"Content_Length": "9999"},
        {"Via": "SIP/2.0/UDP h;;,;,,"},
        {"Contact": '"Joe" <sip:a@h>;;;;'},
        {"Contact": "sip:a@h?Route=x"},
        {"Call_ID": "two words"},
    ],
)
def test_a_request_that_breaks_a_rule_can_still_be_answered(changed: dict[str, str]) -> None:
    with pytest.raises(sip.BadRequest) as caught:
        sip.parse(invite(**changed))
    assert caught.value.status == 400
    sip.response_to(caught.value.request, 400).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"x" * 70_000,
        b"INVITE sip:a@h SIP/2.0\r\n\r\n",
        INVITE[:40],
        INVITE.replace(b"\r\nMax", b"\nMax"),
        INVITE.replace(b"v: ", b"v: " + b"x" * 9000),
        INVITE.replace(b"\r\nMax", b"\r\nX: y" * 300 + b"\r\nMax"),
        b"SIP/2.0 4294967301 x\r\nVia: a\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n\r\n",
        b"\xff\xfe\x00" * 50,
    ],
)
def test_rubbish_is_refused_without_quoting_it(data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        sip.parse(data)
    assert not isinstance(caught.value, sip.BadRequest)
    assert "HTTP" not in str(caught.value)


def test_another_version_is_told_apart() -> None:
    with pytest.raises(sip.BadRequest) as caught:
        sip.parse(INVITE.replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n", 1))
    assert caught.value.status == 505


def test_nul_in_a_header_is_read_and_never_written() -> None:
    message = request(INVITE.replace(b"Doe", b"D\\\x00e"))
    assert b"\0" not in message.encode()


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "a\0"])
def test_nothing_that_ends_a_line_can_be_put_into_a_message(value: str) -> None:
    headers = sip.Headers()
    for put in (headers.add, headers.set, headers.put_first):
        with pytest.raises(ValueError, match="line breaks"):
            put("Subject", value)
    with pytest.raises(ValueError, match="phrase"):
        sip.Response(200, value).encode()
    with pytest.raises(ValueError, match="spaces"):
        sip.Request("INVITE", f"sip:{value}").encode()
    with pytest.raises(ValueError, match="address"):
        str(sip.Uri("sip", value, "h"))
    with pytest.raises(ValueError, match="name"):
        str(sip.NameAddr(value, sip.Uri("sip", "a", "h")))


def test_headers_are_replaced_in_their_place() -> None:
    headers = sip.Headers([("Via", "1"), ("To", "x"), ("v", "2, 3"), ("Subject", "s")])
    headers.replace_first("Via", "0")
    assert headers.all("Via") == ["0", "2", "3"]
    headers.set("via", "9")
    assert list(headers) == [("via", "9"), ("To", "x"), ("Subject", "s")]
    other = headers.copy()
    other.remove("To")
    assert "To" in headers and "To" not in other and len(other) == 2
    assert "x" not in repr(headers)


def test_a_cause_is_told_and_read() -> None:
    response = sip.response_to(request(), 486, headers=[("Reason", sip.reason_header(17))])
    assert sip.cause_of(response) == 17
    both = sip.Headers([("Reason", 'SIP;cause=600, Q.850 ; cause=21;text="a, b"')])
    assert sip.cause_of(sip.Response(200, "OK", both)) == 21
    for value in ("Q.850", "Q.850;cause=x", "Q.850;cause=999", 'Q.850;text="'):
        assert sip.cause_of(sip.Response(200, "OK", sip.Headers([("Reason", value)]))) is None
    with pytest.raises(ValueError, match="1 to 127"):
        sip.reason_header(0)


# --- streams


def test_a_stream_is_cut_into_its_messages_wherever_it_was_torn() -> None:
    for size in (1, 7, 1000):
        parser, messages = sip.StreamParser(), []
        stream = INVITE * 3
        for start in range(0, len(stream), size):
            messages += parser.feed(stream[start : start + size])
        assert len(messages) == 3 and not parser.waiting


def test_keep_alives_are_counted_and_their_answers_skipped() -> None:
    parser = sip.StreamParser()
    assert parser.feed(b"\r\n\r\n\r\n") == [] and not parser.waiting
    assert parser.pings == 1
    assert len(parser.feed(INVITE)) == 1


def test_a_broken_message_on_a_stream_comes_after_those_before_it_and_the_stream_goes_on() -> None:
    parser = sip.StreamParser()
    broken = INVITE.replace(b"7 INVITE", b"7 BYE")
    assert len(parser.feed(INVITE + broken + INVITE)) == 1
    with pytest.raises(sip.BadRequest):
        parser.feed(b"")
    assert len(parser.feed(b"")) == 1


@pytest.mark.parametrize(
    "data", [b"x" * 40_000, INVITE.replace(b"l: 4\r\n", b""), INVITE.replace(b"l: 4", b"l: 99999"), b"GET / x\r\n\r\n"]
)
def test_a_stream_out_of_step_is_refused(data: bytes) -> None:
    parser = sip.StreamParser()
    with pytest.raises(Malformed) as caught:
        parser.feed(data)
    assert not isinstance(caught.value, sip.BadRequest)


# --- properties


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for text in (data, b"OPTIONS sip:a@h SIP/2.0\r\n" + data + b"\r\n\r\n", INVITE[:200] + data + INVITE[200:]):
        try:
            sip.parse(text).encode()
        except Malformed:
            pass


@given(st.text(max_size=40))
def test_any_name_survives_an_address(name: str) -> None:
    try:
        text = str(sip.NameAddr(name, sip.Uri("sip", "a", "h")))
    except ValueError:
        assert any(character in name for character in "\r\n\0")
        return
    read = sip.NameAddr.parse(text).display
    assert read == name or read == name.strip()


@pytest.mark.parametrize(
    "extra",
    [
        b"Contact: " + b",".join([b"<a:b>"] * 71),
        b"Route: <a:b>\r\n" * 71 + b"X: y",
        b"v: SIP/2.0/X h\r\n" * 71 + b"X: y",
        b"Contact: <sip:a@h>" + b";a" * 65,
        b"Contact: <sip:a@h" + b";a" * 65 + b">",
        b"X: y" + b"\r\n z" * 1100,
    ],
)
def test_what_is_cheap_to_write_and_dear_to_read_is_refused(extra: bytes) -> None:
    with pytest.raises(Malformed, match="at most"):
        sip.parse(INVITE.replace(b"\r\nc: ", b"\r\n" + extra + b"\r\nc: "))


def test_hostile_headers_cost_no_more_than_their_length() -> None:
    """Unclosed quotes, escapes and brackets are what makes a careless pattern try again from every place."""
    for hostile in (
        '"' * 8000,
        '"\\' * 4000,
        '\\"' * 4000,
        "<" * 8000,
        '<"' * 4000,
        "," * 8000,
        ";" * 8000,
        " " * 8000,
    ):
        lines = f"From: {hostile}\r\nTo: {hostile}\r\nContact: {hostile}\r\nVia: SIP/2.0/UDP{hostile}\r\n"
        began = time.process_time()
        with pytest.raises(Malformed):
            sip.parse(f"INVITE sip:a@h SIP/2.0\r\n{lines[:30000]}\r\n\r\n".encode())
        assert time.process_time() - began < 2.0  # quadratic would be minutes
