"""Known good and known bad messages, from which worse ones are made."""

from sovereign_pbx.wire import digest
from tests.wire.torture_messages import NAMES, torture

_HEAD = (
    b"Via: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"
    b'From: "Jan" <sip:100@127.0.0.1>;tag=a\r\nTo: <sip:800@127.0.0.1>%s\r\nCall-ID: c%d@h\r\nCSeq: 1 %s\r\n'
    b"Contact: <sip:100@127.0.0.1:5060;ob>\r\nReason: Q.850;cause=16\r\nSupported: replaces, timer\r\n"
    b"Authorization: %s\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
)
_CREDENTIALS = str(
    digest.answer(digest.Challenge("pbx", "n"), method="INVITE", uri="sip:a@h", username="u", password="p", cnonce="c")
).encode()
_METHODS = (b"INVITE", b"ACK", b"BYE", b"CANCEL", b"OPTIONS", b"INFO", b"UPDATE", b"REFER", b"NOTIFY")

_ORDINARY = tuple(
    method + b" sip:800@127.0.0.1 SIP/2.0\r\n" + _HEAD % (number, tag, number, method, _CREDENTIALS)
    for number, method in enumerate(_METHODS)
    for tag in (b"", b";tag=b")
)
# the ordinary ones several times: they are what gets furthest in
SIP = (*(torture(name) for name in NAMES), *_ORDINARY * 5)

_SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
SDP = (
    _SDP
    + b"m=audio 4000 RTP/AVP 0 8 9 101 13\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n",
    _SDP
    + b"m=audio 4000 RTP/AVP 102 101\r\na=rtpmap:102 L16/16000\r\na=rtpmap:101 telephone-event/16000\r\na=sendonly\r\n",
    _SDP
    + b"m=video 9 RTP/AVP 34\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP6 ::1\r\na=rtcp-mux\r\na=rtcp:4005 IN IP4 1.2.3.4\r\n",
    _SDP + b"m=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40 + b"\r\na=inactive\r\n",
)

RTP = (
    b"\x80\x00\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78" + b"\xff" * 160,
    b"\x90\x80\x00\x02\x00\x00\x01\x40\x12\x34\x56\x78\xbe\xde\x00\x01\x10\xff\x00\x00" + b"\x00" * 320,
    b"\xa1\x65\x00\x03\x00\x00\x01\x40\x12\x34\x56\x78\x00\x00\x00\x01\x07\x8a\x05\x00\x04\x04\x04\x04",
    b"\x80\xc8\x00\x06"
    + bytes(24)
    + b"\x81\xc9\x00\x07"
    + bytes(28)
    + b"\x81\xca\x00\x03"
    + b"\x00\x00\x00\x01\x01\x01a\x00",
    b"\x81\xcb\x00\x01\x12\x34\x56\x78",
)
