"""Whose packets are believed."""

from ipaddress import ip_network

from sovereign_pbx.pbx.sip.rtp_latch import RELATCH_S, Latch
from sovereign_pbx.wire.rtp import Packet

DESCRIBED, NAT, STRANGER = ("192.0.2.1", 4000), ("203.0.113.9", 61000), ("198.51.100.66", 5)


def packet(sequence: int, source: int = 1) -> Packet:
    return Packet(0, False, sequence, sequence * 160, source, b"x")


def believed(latch: Latch, sender: tuple[str, int], start_s: float, sequences: range) -> list[bool]:
    return [latch.admits(packet(number), sender, start_s + place * 0.02) for place, number in enumerate(sequences)]


def expecting() -> Latch:
    latch = Latch()
    latch.expect(DESCRIBED)
    return latch


def test_the_described_address_is_believed_at_once() -> None:
    latch = expecting()
    assert latch.target == DESCRIBED
    assert latch.admits(packet(1), DESCRIBED, 0)
    assert not latch.moved


def test_another_is_believed_with_its_third_packet_and_sent_to_from_then_on() -> None:
    latch = expecting()
    assert believed(latch, NAT, 0, range(7, 11)) == [False, False, True, True]
    assert latch.target == NAT and latch.moved


def test_packets_that_do_not_follow_each_other_prove_nothing() -> None:
    latch = expecting()
    assert not any(latch.admits(packet(number * 7), NAT, number * 0.02) for number in range(20))
    assert latch.target == DESCRIBED


def test_a_stranger_takes_nothing_over_while_the_other_side_is_heard() -> None:
    latch = expecting()
    for number in range(100):
        assert latch.admits(packet(number), DESCRIBED, number * 0.02)
        assert not latch.admits(packet(number, source=9), STRANGER, number * 0.02 + 0.001)
    assert latch.target == DESCRIBED


def test_who_has_been_believed_is_replaced_only_after_silence() -> None:
    latch = expecting()
    believed(latch, NAT, 0, range(5))
    assert not any(believed(latch, STRANGER, RELATCH_S - 0.2, range(5)))
    assert believed(latch, STRANGER, 0.1 + RELATCH_S, range(3))[-1]


def test_another_description_ends_what_was_believed() -> None:
    latch = expecting()
    believed(latch, NAT, 0, range(5))
    latch.expect(DESCRIBED)
    assert latch.target == NAT  # the same again: the call goes on
    latch.expect(("192.0.2.2", 6000))
    assert latch.target == ("192.0.2.2", 6000)


def test_where_a_name_was_described_nothing_is_sent_before_it_is_heard() -> None:
    latch = Latch()
    latch.expect(("", 4000))
    assert latch.target is None
    believed(latch, NAT, 0, range(3))
    assert latch.target == NAT


def test_outside_the_permitted_networks_only_the_described_address_is_believed() -> None:
    latch = Latch([ip_network("203.0.113.0/24")])
    latch.expect(DESCRIBED)
    assert not any(believed(latch, STRANGER, 0, range(9)))
    assert believed(latch, NAT, 1, range(3))[-1]
    latch = Latch([ip_network("203.0.113.0/24")])
    latch.expect(DESCRIBED)
    assert latch.admits(packet(1), DESCRIBED, 0)
