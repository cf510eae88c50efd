"""Blocks of ports that nobody else has."""

import socket

import pytest

from sovereign_pbx.config_sip import Sip
from sovereign_pbx.testing.port_block import BLOCK, _candidates, reserve_ports


def test_no_block_reaches_the_ports_that_a_daemon_has_for_its_sound() -> None:
    assert max(_candidates()) + BLOCK <= Sip().rtp_first_port


def test_two_blocks_never_meet() -> None:
    one, two = reserve_ports(), reserve_ports()
    assert abs(one.first - two.first) >= BLOCK
    one.release()
    two.release()


def test_a_released_block_can_be_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.testing.port_block._candidates", lambda: iter((9000, 10000)))
    blocks = [reserve_ports(), reserve_ports()]
    with pytest.raises(OSError, match="reserved by another instance"):
        reserve_ports()
    blocks[0].release()
    again = reserve_ports()
    assert again.first == blocks[0].first
    again.release()
    blocks[1].release()


def test_a_port_that_is_taken_is_passed_over() -> None:
    block = reserve_ports()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an earlier connection's TIME_WAIT is no owner
            taken.bind(("127.0.0.1", block.first))
            taken.listen()
            assert block.take(socket.SOCK_STREAM) > block.first
    finally:
        block.release()


def test_what_is_left_for_audio_begins_even() -> None:
    block = reserve_ports()
    block.take(socket.SOCK_DGRAM)
    first, last = block.rest
    assert first % 2 == 0
    assert block.first < first < last < block.first + BLOCK
    block.release()


def test_a_block_that_is_used_up_says_so() -> None:
    block = reserve_ports()
    block._next = BLOCK
    with pytest.raises(OSError, match="no free port"):
        block.take(socket.SOCK_DGRAM)
    block.release()
