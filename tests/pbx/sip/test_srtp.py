"""SRTP with the real library."""

import pytest

from sovereign_pbx.pbx.sip.srtp import MAX_PACKET, Opener, Sealer
from sovereign_pbx.wire.rtcp import Report, encode
from sovereign_pbx.wire.rtp import Packet
from sovereign_pbx.wire.rtp import encode as encode_rtp
from sovereign_pbx.wire.sdes import SUITES, new_key

PACKET = encode_rtp(Packet(0, False, 1, 160, 7, bytes(160)))
REPORT = encode(Report(source=7, sent=None), "name")


@pytest.mark.parametrize(("suite", "tag_bytes"), [(SUITES[0], 10), (SUITES[1], 4)])
def test_what_was_sealed_is_opened_with_its_key_alone(suite: str, tag_bytes: int) -> None:
    key = new_key(1, suite)
    sealed = Sealer(key).rtp(PACKET)
    assert len(sealed) == len(PACKET) + tag_bytes and sealed[12:172] != PACKET[12:]
    assert Opener(key).rtp(sealed) == PACKET
    assert Opener(new_key(1, suite)).rtp(sealed) is None


@pytest.mark.parametrize("suite", SUITES)
def test_reports_are_sealed_too(suite: str) -> None:
    key = new_key(1, suite)
    sealed = Sealer(key).rtcp(REPORT)
    assert Opener(key).rtcp(sealed) == REPORT
    assert Opener(new_key(1, suite)).rtcp(sealed) is None


def test_what_was_changed_played_back_or_is_no_packet_is_not_opened() -> None:
    key = new_key(1, SUITES[0])
    sealed, opener = Sealer(key).rtp(PACKET), Opener(key)
    changed = sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]
    assert opener.rtp(changed) is None
    assert opener.rtp(sealed) == PACKET
    assert opener.rtp(sealed) is None
    for rubbish in (b"", b"\x80", bytes(12), bytes(MAX_PACKET), bytes(MAX_PACKET + 1), bytes(60_000)):
        assert opener.rtp(rubbish) is None
        assert opener.rtcp(rubbish) is None


def test_a_wrap_around_of_the_count_is_followed() -> None:
    key = new_key(1, SUITES[0])
    sealer, opener = Sealer(key), Opener(key)
    for sequence in (65_534, 65_535, 0, 1):
        packet = encode_rtp(Packet(0, False, sequence, 160, 7, b"sound"))
        assert opener.rtp(sealer.rtp(packet)) == packet
