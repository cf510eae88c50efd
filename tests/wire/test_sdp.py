"""Session descriptions: read as PBXs write them, refused when they are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sdp import MAX_BYTES, Description, Media

FREESWITCH = b"""v=0\r
o=FreeSWITCH 1605870000 1605870001 IN IP4 127.0.0.1\r
s=FreeSWITCH\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio 21546 RTP/AVP 102 101\r
a=rtpmap:102 L16/16000\r
a=rtpmap:101 telephone-event/16000\r
a=fmtp:101 0-15\r
a=ptime:20\r
"""


def test_a_description_is_read_whole() -> None:
    found = Description.parse(FREESWITCH)
    assert (found.user, found.session_id, found.version) == ("FreeSWITCH", 1605870000, 1605870001)
    (media,) = found.media
    assert (media.kind, media.port, media.protocol, media.formats) == ("audio", 21546, "RTP/AVP", ("102", "101"))
    assert list(media.all("rtpmap")) == ["102 L16/16000", "101 telephone-event/16000"]
    assert found.address_of(media) == "127.0.0.1"


def test_bare_line_ends_blank_lines_and_unknown_lines_are_read_over() -> None:
    loose = FREESWITCH.replace(b"\r\n", b"\n").replace(b"t=0 0\n", b"t=0 0\n\nx=what\nb=AS:64\n")
    assert Description.parse(loose) == Description.parse(FREESWITCH)


def test_a_line_of_its_own_says_where_its_sound_goes() -> None:
    found = Description.parse(FREESWITCH + b"c=IN IP4 192.0.2.5/127\r\n")
    assert found.address_of(found.media[0]) == "192.0.2.5"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "begin with v=0"),
        (b"v=1\n", "begin with v=0"),
        (b"v=0\n", "without o="),
        (b"v=0\no=- 1 IN IP4 1.2.3.4\n", "line 2: o= has six"),
        (b"v=0\no=- a 1 IN IP4 1.2.3.4\n", "line 2: the session"),
        (b"v=0\no=- 1 1 IN IP9 1.2.3.4\n", "line 2: an address"),
        (b"v=0\no=- 1 1 IN IP4 1.2.3.4\nc=IN IP6 fe80::1%eth0\n", "line 3: .* scope"),
        (b"v=0\no=- 1 1 IN IP4 1.2.3.4\nc=IN IP4 a..!\n", "line 3: neither"),
        (b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 4000 RTP/AVP\n", "line 3: m= has"),
        (b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 70000 RTP/AVP 0\n", "line 3: the port"),
        (b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 4 RTP/AVP \xff\n", "line 3: kind"),
        (b"v=0\no=- 1 1 IN IP4 1.2.3.4\nnonsense\n", "line 3 is not"),
        (b"v=0\n" + b"a=x\n" * 600, "320 lines"),
        (b"v=0\n" + b"a=x\n" * 200, "line 130: more than 128"),
        (b"v=0\n" + b"m=audio 4 RTP/AVP 0\n" * 20, "8 m= lines"),
        (b"v=0\nm=audio 4 RTP/AVP " + b"0 " * 65, "64 formats"),
        (bytes(MAX_BYTES + 1), "over the limit"),
    ],
)
def test_what_is_none_is_refused_with_its_place(text: bytes, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        Description.parse(text)


WORDS = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9=:/|^+;-]([A-Za-z0-9 =:/|^+;-]{0,20}[A-Za-z0-9])?", fullmatch=True)
ATTRIBUTES = st.lists(st.tuples(WORDS.map(str.lower), st.just("") | VALUES), max_size=6).map(tuple)
ADDRESSES = st.ip_addresses().map(str)


@given(
    st.builds(
        Description,
        session_id=st.integers(0, 2**64 - 1),
        version=st.integers(0, 2**64 - 1),
        address=ADDRESSES,
        user=WORDS,
        connection=ADDRESSES,
        attributes=ATTRIBUTES,
        media=st.lists(
            st.builds(
                Media,
                kind=WORDS.map(str.lower),
                port=st.integers(0, 65535),
                protocol=WORDS.map(str.upper),
                formats=st.lists(WORDS, min_size=1, max_size=5).map(tuple),
                connection=st.just("") | ADDRESSES,
                attributes=ATTRIBUTES,
            ),
            max_size=4,
        ).map(tuple),
    )
)
def test_what_is_written_is_read_again(description: Description) -> None:
    found = Description.parse(description.encode())
    assert found.encode() == description.encode()
    assert [found.address_of(line) for line in found.media] == [
        description.address_of(line) for line in description.media
    ]


@given(st.binary(max_size=400))
def test_garbage_is_read_or_malformed(garbage: bytes) -> None:
    for text in (garbage, b"v=0\no=- 1 1 IN IP4 1.2.3.4\n" + garbage):
        try:
            Description.parse(text)
        except Malformed:
            pass
