"""Offer and answer: what comes of the descriptions that PBXs send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire.formats import formats_of
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.negotiation import Agreed, Encryption, Unacceptable, agreed, answer, offer
from sovereign_pbx.wire.sdp import Description, Media

CODECS = ("L16", "G722", "PCMU", "PCMA")
KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def described(*lines: str, connection: str = "192.0.2.1", session: str = "7 7") -> Description:
    text = ["v=0", f"o=- {session} IN IP4 192.0.2.1", "s=x", f"c=IN IP4 {connection}", "t=0 0", *lines]
    return Description.parse("\r\n".join(text).encode())


def answered(
    *lines: str, codecs: tuple[str, ...] = CODECS, srtp: Encryption = "offered", connection: str = "192.0.2.1"
) -> tuple[Agreed, Description]:
    return answer(
        described(*lines, connection=connection), host="192.0.2.9", port=30000, codecs=codecs, srtp=srtp, previous=None
    )


def test_what_freeswitch_offers_is_agreed_on_with_its_own_numbers() -> None:
    found, reply = answered(
        "m=audio 21000 RTP/AVP 0 101 13", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:20"
    )
    assert (found.codec, found.payload_type, found.rate, found.clock_rate) == ("PCMU", 0, 8000, 8000)
    assert (found.telephone_event, found.comfort_noise, found.ptime_ms) == (101, 13, 20)
    assert found.remote == ("192.0.2.1", 21000)
    assert found.rtcp == ("192.0.2.1", 21001)
    assert reply.media[0].formats == ("0", "101", "13")
    assert b"a=fmtp:101 0-15\r\n" in reply.encode()


def test_wideband_brings_its_own_clock_of_events() -> None:
    found, _ = answered(
        "m=audio 21000 RTP/AVP 102 101 100",
        "a=rtpmap:102 L16/16000",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:100 telephone-event/16000",
    )
    assert (found.name, found.rate, found.clock_rate) == ("L16/16000", 16000, 16000)
    assert (found.telephone_event, found.event_clock_rate) == (100, 16000)


def test_the_codec_liked_best_here_is_taken_whatever_the_order_of_the_offer() -> None:
    assert answered("m=audio 4000 RTP/AVP 8 0 9")[0].codec == "G722"
    assert answered("m=audio 4000 RTP/AVP 8 0 9", codecs=("PCMU", "PCMA"))[0].codec == "PCMU"


def test_g722_has_wide_samples_under_a_narrow_clock() -> None:
    found, reply = answered("m=audio 4000 RTP/AVP 9")
    assert (found.rate, found.clock_rate) == (16000, 8000)
    assert b"a=rtpmap:9 G722/8000\r\n" in reply.encode()


def test_a_number_that_names_something_else_is_not_taken_for_its_static_type() -> None:
    with pytest.raises(Unacceptable) as refused:
        answered("m=audio 4000 RTP/AVP 0", "a=rtpmap:0 opus/48000/2")
    assert refused.value.code == 305


def test_the_codec_of_before_stays_while_it_is_offered() -> None:
    first = described("m=audio 4000 RTP/AVP 0")
    _, before = answer(first, host="192.0.2.9", port=30000, codecs=CODECS, srtp="off")
    again = described("m=audio 4000 RTP/AVP 9 0")
    found, _ = answer(again, host="192.0.2.9", port=30000, codecs=CODECS, srtp="off", previous=before)
    assert found.codec == "PCMU"
    found, _ = answer(
        described("m=audio 4000 RTP/AVP 8"), host="192.0.2.9", port=30000, codecs=CODECS, srtp="off", previous=before
    )
    assert found.codec == "PCMA"


def test_the_version_grows_only_when_something_has_changed() -> None:
    first = described("m=audio 4000 RTP/AVP 0")
    _, one = answer(first, host="192.0.2.9", port=30000, codecs=CODECS, srtp="off")
    _, same = answer(first, host="192.0.2.9", port=30000, codecs=CODECS, srtp="off", previous=one)
    assert same == one
    hold = described("m=audio 4000 RTP/AVP 0", "a=sendonly")
    _, other = answer(hold, host="192.0.2.9", port=30000, codecs=CODECS, srtp="off", previous=same)
    assert (other.session_id, other.version) == (one.session_id, one.version + 1)


@pytest.mark.parametrize(
    ("theirs", "ours", "held"),
    [
        ("sendrecv", "sendrecv", False),
        ("sendonly", "recvonly", True),
        ("recvonly", "sendonly", False),
        ("inactive", "inactive", True),
    ],
)
def test_hold_is_answered_with_its_mirror(theirs: str, ours: str, held: bool) -> None:
    found, reply = answered("m=audio 4000 RTP/AVP 0", f"a={theirs}")
    assert (found.direction, found.held) == (ours, held)
    assert reply.media[0].attribute(ours) == ""


def test_hold_for_the_whole_session_counts_unless_the_line_says_otherwise() -> None:
    text = b"v=0\no=- 1 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\na=sendonly\nm=audio 4000 RTP/AVP 0\n"
    found, _ = answer(Description.parse(text), host="192.0.2.9", port=3, codecs=CODECS, srtp="off")
    assert found.held
    found, _ = answer(Description.parse(text + b"a=sendrecv\n"), host="192.0.2.9", port=3, codecs=CODECS, srtp="off")
    assert not found.held


def test_an_address_of_nowhere_is_hold_too() -> None:
    found, _ = answered("m=audio 4000 RTP/AVP 0", connection="0.0.0.0")
    assert found.held and found.remote == ("", 4000)


def test_other_lines_are_refused_each_in_its_place() -> None:
    _, reply = answered(
        "m=video 5000 RTP/AVP 31", "m=audio 4000 RTP/AVP 0", "m=image 6000 udptl t38", "m=audio 7000 RTP/AVP 8"
    )
    assert [(line.kind, line.port) for line in reply.media] == [
        ("video", 0),
        ("audio", 30000),
        ("image", 0),
        ("audio", 0),
    ]


def test_a_name_is_not_looked_up() -> None:
    assert answered("m=audio 4000 RTP/AVP 0", connection="pbx.example.com")[0].remote == ("", 4000)


def test_another_family_of_addresses_is_refused() -> None:
    with pytest.raises(Unacceptable) as refused:
        answered("m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::1")
    assert refused.value.code == 301


def test_sound_goes_over_ipv6_where_we_are_there_too() -> None:
    found, reply = answer(
        described("m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:DB8::1"),
        host="2001:db8::9",
        port=30000,
        codecs=CODECS,
        srtp="off",
    )
    assert found.remote == ("2001:db8::1", 4000)
    assert b"c=IN IP6 2001:db8::9\r\n" in reply.encode()


@pytest.mark.parametrize(
    ("line", "rtcp"),
    [
        ("a=rtcp:5003", ("192.0.2.1", 5003)),
        ("a=rtcp:5003 IN IP4 192.0.2.7", ("192.0.2.7", 5003)),
        ("a=rtcp:5003 IN IP4 a.name", ("192.0.2.1", 5003)),
        ("a=rtcp:99999", ("192.0.2.1", 4001)),
        ("a=rtcp:²", ("192.0.2.1", 4001)),
        ("a=rtcp-mux", ("192.0.2.1", 4000)),
    ],
)
def test_reports_go_where_they_are_wanted(line: str, rtcp: tuple[str, int]) -> None:
    found, reply = answered("m=audio 4000 RTP/AVP 0", line)
    assert found.rtcp == rtcp
    assert found.rtcp_mux == (reply.media[0].attribute("rtcp-mux") is not None) == (line == "a=rtcp-mux")


def test_shorter_packets_are_sent_to_who_takes_no_longer_ones() -> None:
    assert answered("m=audio 4000 RTP/AVP 0", "a=ptime:40", "a=maxptime:150")[0].ptime_ms == 20
    assert answered("m=audio 4000 RTP/AVP 0", "a=maxptime:10")[0].ptime_ms == 10


# --- encryption


def test_an_encrypted_offer_is_answered_with_a_key_of_our_own() -> None:
    found, reply = answered("m=audio 4000 RTP/SAVP 0", f"a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^20")
    assert found.crypto is not None
    assert (found.crypto.ours.tag, found.crypto.ours.suite) == (4, "AES_CM_128_HMAC_SHA1_32")
    assert found.crypto.theirs.master == bytes(30) != found.crypto.ours.master
    assert reply.media[0].protocol == "RTP/SAVP"
    assert reply.media[0].attribute("crypto") == str(found.crypto.ours)


def test_our_key_stays_through_a_re_invite() -> None:
    lines = ("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")
    found, before = answered(*lines)
    again, _ = answer(described(*lines), host="192.0.2.9", port=30000, codecs=CODECS, srtp="offered", previous=before)
    assert found.crypto == again.crypto


def test_the_encrypted_line_is_taken_before_the_plain_one() -> None:
    key = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
    found, reply = answered("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/SAVP 0", key)
    assert found.crypto is not None and [line.port for line in reply.media] == [0, 30000]
    found, reply = answered("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/SAVP 0", key, srtp="off")
    assert found.crypto is None and [line.port for line in reply.media] == [30000, 0]


@pytest.mark.parametrize(
    ("srtp", "lines"),
    [
        ("required", ("m=audio 4000 RTP/AVP 0",)),
        ("off", ("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")),
        ("offered", ("m=audio 4000 RTP/SAVP 0",)),
        ("offered", ("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 AEAD_AES_256_GCM inline:{KEY}")),
        ("offered", ("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4")),
        ("offered", ("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP")),
        ("offered", ("m=audio 4000 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short")),
        ("offered", ("m=audio 4000 UDP/TLS/RTP/SAVP 0",)),
    ],
)
def test_encryption_that_does_not_fit_is_refused(srtp: Encryption, lines: tuple[str, ...]) -> None:
    with pytest.raises(Unacceptable) as refused:
        answered(*lines, srtp=srtp)
    assert refused.value.code == 302


def test_keys_are_in_no_repr() -> None:
    found, reply = answered("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")
    assert found.crypto is not None
    secret = str(found.crypto.ours).rpartition(":")[2]
    assert secret not in repr(found) + repr(reply)
    assert repr(found.crypto.ours.master) not in repr(found)


# --- our own offers


@pytest.mark.parametrize("srtp", ["off", "offered", "required"])
def test_our_offer_answered_by_our_answer_is_agreed_on_by_both(srtp: Encryption) -> None:
    ours = offer(host="192.0.2.9", port=30000, codecs=CODECS, srtp=srtp)
    there, reply = answer(ours, host="192.0.2.1", port=4000, codecs=("PCMA", "G722"), srtp=srtp)
    here = agreed(ours, reply)
    assert (here.codec, here.payload_type, here.telephone_event) == (
        there.codec,
        there.payload_type,
        there.telephone_event,
    )
    assert (here.remote, there.remote) == (("192.0.2.1", 4000), ("192.0.2.9", 30000))
    assert here.rtcp_mux and there.rtcp_mux
    assert (here.crypto is not None) == (srtp == "required")
    if here.crypto is not None and there.crypto is not None:
        assert (here.crypto.ours, here.crypto.theirs) == (there.crypto.theirs, there.crypto.ours)


def test_a_second_offer_says_the_same_with_the_numbers_of_the_first() -> None:
    theirs = described("m=audio 4000 RTP/AVP 102 101", "a=rtpmap:102 L16/16000", "a=rtpmap:101 telephone-event/16000")
    _, before = answer(theirs, host="192.0.2.9", port=30000, codecs=CODECS, srtp="off")
    hold = offer(host="192.0.2.9", port=30000, codecs=CODECS, previous=before, direction="sendonly")
    assert hold.media[0].formats == ("102", "101")
    assert (hold.session_id, hold.version) == (before.session_id, before.version + 1)
    assert hold.media[0].attribute("sendonly") == ""


def test_what_they_number_otherwise_is_sent_with_their_number_and_received_with_ours() -> None:
    ours = offer(host="192.0.2.9", port=30000, codecs=("L16",))
    found = agreed(ours, described("m=audio 4000 RTP/AVP 118", "a=rtpmap:118 L16/16000"))
    assert found.payload_type == 118
    assert [known.payload_type for known in found.receive if known.rate == 16000 and known.is_audio] == [102]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("m=audio 0 RTP/AVP 0",), 304),
        (("m=audio 4000 RTP/SAVP 0",), 302),
        (("m=audio 4000 RTP/AVP 3",), 305),
        ((), 304),
    ],
)
def test_an_answer_that_takes_nothing_is_told(lines: tuple[str, ...], code: int) -> None:
    with pytest.raises(Unacceptable) as refused:
        agreed(offer(host="192.0.2.9", port=30000, codecs=CODECS), described(*lines))
    assert refused.value.code == code


def test_an_answer_with_a_key_for_another_line_is_refused() -> None:
    ours = offer(host="192.0.2.9", port=30000, codecs=CODECS, srtp="required")
    with pytest.raises(Unacceptable, match="no key"):
        agreed(ours, described("m=audio 4000 RTP/SAVP 0", f"a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"))


# --- properties

NUMBERS = st.sampled_from(["0", "8", "9", "13", "3", "18", "96", "101", "102", "127", "999", "x", "t38"])
ATTRIBUTES = st.sampled_from(
    [
        ("rtpmap", "96 L16/16000"),
        ("rtpmap", "102 L16/8000"),
        ("rtpmap", "101 telephone-event/8000"),
        ("rtpmap", "127 telephone-event/16000"),
        ("rtpmap", "0 opus/48000/2"),
        ("rtpmap", "8 PCMA/8000/1"),
        ("sendonly", ""),
        ("inactive", ""),
        ("rtcp-mux", ""),
        ("maxptime", "10"),
        ("rtcp", "9"),
        ("crypto", f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        ("crypto", "nonsense"),
    ]
)
LINES = st.builds(
    Media,
    kind=st.sampled_from(["audio", "audio", "video"]),
    port=st.sampled_from([0, 1, 4000, 65535]),
    protocol=st.sampled_from(["RTP/AVP", "RTP/SAVP", "RTP/AVPF", "UDP/TLS/RTP/SAVP"]),
    formats=st.lists(NUMBERS, min_size=1, max_size=6).map(tuple),
    connection=st.sampled_from(["", "198.51.100.3", "0.0.0.0", "a.name"]),
    attributes=st.lists(ATTRIBUTES, max_size=5).map(tuple),
)
OFFERS = st.builds(
    Description,
    session_id=st.integers(0, 2**64 - 1),
    version=st.integers(0, 2**63),
    address=st.just("192.0.2.1"),
    connection=st.sampled_from(["192.0.2.1", "0.0.0.0"]),
    media=st.lists(LINES, max_size=4).map(tuple),
)


@given(OFFERS, st.sampled_from(["off", "offered", "required"]), st.permutations(CODECS))
def test_an_answer_is_acceptable_to_its_offer(theirs: Description, srtp: Encryption, codecs: list[str]) -> None:
    try:
        found, reply = answer(theirs, host="192.0.2.9", port=30000, codecs=codecs, srtp=srtp)
    except Unacceptable as exc:
        assert 300 <= exc.code <= 399 and str(exc)
        return
    assert [(line.kind, line.protocol) for line in reply.media] == [(line.kind, line.protocol) for line in theirs.media]
    taken = [(one, other) for one, other in zip(theirs.media, reply.media, strict=True) if other.port]
    assert len(taken) == 1 and taken[0][0].port
    offered = formats_of(taken[0][0])
    assert all(known in offered for known in formats_of(taken[0][1]))
    assert found.payload_type == int(taken[0][1].formats[0])
    assert (found.crypto is not None) >= (srtp == "required" or "SAVP" in taken[0][1].protocol)
    assert Description.parse(reply.encode()) == reply
    again, same = answer(theirs, host="192.0.2.9", port=30000, codecs=codecs, srtp=srtp, previous=reply)
    assert again == found and same == reply


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_garbage_is_malformed_or_unacceptable_and_nothing_else(garbage: bytes) -> None:
    for text in (garbage, b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 4000 RTP/AVP 0\n" + garbage):
        try:
            answer(Description.parse(text), host="192.0.2.9", port=30000, codecs=CODECS, srtp="offered")
        except (Malformed, Unacceptable):
            pass
