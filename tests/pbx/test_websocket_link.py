"""A chan_websocket link by itself: frames in and out, Asterisk's queue kept short, and the link's ends."""

import pytest

from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFinished, LinkFull
from sovereign_pbx.pbx.asterisk.websocket_link import ASK_FRAMES, WebSocketLink
from sovereign_pbx.wire import chan_websocket as wire

LOUD, SOFT = b"\x00\x40" * 160, b"\x10\x00" * 160


class Wire:
    """The connection: keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[bytes | str] = []
        self.buffered = 0
        self.closed = self.aborted = False

    def send_binary(self, data: bytes) -> None:
        self.sent.append(data)

    def send_text(self, text: str) -> None:
        self.sent.append(text)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


class Listener:
    def __init__(self) -> None:
        self.digits: list[str] = []
        self.ends: list[LinkEnded] = []

    def digit(self, digit: str) -> None:
        self.digits.append(digit)

    def ended(self, how: LinkEnded) -> None:
        self.ends.append(how)


class Rig:
    def __init__(self, rate: int = 8000, *, is_json: bool = False, stalled_s: float = 10.0) -> None:
        self.wire, self.listener = Wire(), Listener()
        self.told: list[LinkEnded] = []
        self.link = WebSocketLink(
            self.wire,
            wire.MediaStart(rate, rate // 25, "WebSocket/x", "9.1"),
            is_json=is_json,
            write_limit_bytes=3200,
            stalled_s=stalled_s,
            on_ended=lambda link, how: self.told.append(how),
        )
        self.link.listener = self.listener

    def second(self, frame: bytes = LOUD) -> None:
        for _ in range(ASK_FRAMES):
            self.link.put(frame)

    def queue_is(self, length: int) -> None:
        self.link.text(f"STATUS channel_id:9.1 queue_length:{length} xon_level:800 xoff_level:900")

    def frames(self) -> int:
        return sum(isinstance(each, bytes) for each in self.wire.sent)


def test_frames_come_out_in_the_order_they_came_in_and_are_cut_to_20_ms() -> None:
    rig = Rig()
    rig.link.binary(b"\x01" * 320)
    rig.link.binary(b"\x02" * 640 + b"\x03" * 100)
    rig.link.binary(b"\x03" * 220)
    assert list(iter(rig.link.take, None)) == [bytes([n]) * 320 for n in (1, 2, 2, 3)]


def test_each_frame_leaves_as_one_message() -> None:
    rig = Rig()
    rig.link.put(LOUD)
    rig.link.put(SOFT)
    assert rig.wire.sent == [LOUD, SOFT]


def test_a_digit_reaches_the_listener_once_it_is_admitted() -> None:
    rig = Rig()
    rig.link.text("DTMF_END digit:5 channel_id:9.1")
    rig.link.admit_digit = lambda digit: False
    rig.link.text("DTMF_END digit:6 channel_id:9.1")
    assert rig.listener.digits == ["5"]


@pytest.mark.parametrize("is_json", [False, True])
def test_asterisk_is_asked_for_its_queue_once_a_second(is_json: bool) -> None:
    rig = Rig(is_json=is_json)
    rig.second()
    rig.second()
    asked = [each for each in rig.wire.sent if isinstance(each, str)]
    assert asked == ['{"command":"GET_STATUS"}' if is_json else "GET_STATUS"] * 2


def test_a_queue_that_stands_is_shortened_by_quiet_frames() -> None:
    rig = Rig()
    rig.queue_is(5)
    rig.link.put(SOFT)
    assert rig.link.statistics()["frames_left_out"] == 0  # once may be jitter
    rig.queue_is(6)
    for _ in range(10):
        rig.link.put(LOUD)
        rig.link.put(SOFT)
    assert rig.link.statistics()["frames_left_out"] == 4
    assert rig.wire.sent.count(LOUD) == 10


def test_a_queue_of_two_frames_is_left_alone() -> None:
    rig = Rig()
    rig.queue_is(2)
    rig.queue_is(2)
    rig.second(SOFT)
    assert rig.link.statistics()["frames_left_out"] == 0


def test_a_queue_that_is_far_behind_is_shortened_at_once() -> None:
    rig = Rig()
    rig.queue_is(40)
    rig.queue_is(40)
    rig.second()
    assert rig.link.statistics()["frames_left_out"] == 32  # down to 160 ms; the rest in the next pause


def test_flushing_has_asterisk_forget_what_it_has_and_nothing_is_left_out_for_that() -> None:
    rig = Rig()
    rig.queue_is(30)
    rig.queue_is(30)
    rig.link.flush()
    rig.link.put(SOFT)
    assert rig.wire.sent == ["FLUSH_MEDIA", SOFT]
    assert rig.link.statistics()["flushes"] == 1


def test_after_xoff_nothing_is_sent_until_xon() -> None:
    rig = Rig()
    rig.link.text("MEDIA_XOFF")
    rig.link.put(LOUD)
    rig.link.text("MEDIA_XON")
    rig.link.put(SOFT)
    assert rig.wire.sent == [SOFT]
    assert rig.link.statistics()["frames_withheld"] == 1


def test_an_asterisk_that_answers_no_question_is_dead() -> None:
    rig = Rig(stalled_s=3)
    for _ in range(3):
        rig.second()
        assert rig.link.ended is None
    rig.queue_is(0)
    for _ in range(4):
        rig.second()
    assert isinstance(rig.link.ended, LinkBroken)
    assert rig.wire.aborted


def test_a_peer_that_stops_reading_is_dropped() -> None:
    rig = Rig()
    rig.wire.buffered = 3201
    rig.link.put(LOUD)
    assert isinstance(rig.link.ended, LinkFull)
    assert rig.wire.aborted
    assert rig.wire.sent == []


@pytest.mark.parametrize(
    "text", ["STATUS queue_length:many", "DTMF_END digit:", "MEDIA_START format:slin", "{", "", '{"event":3}']
)
def test_what_asterisk_never_says_breaks_the_link(text: str) -> None:
    rig = Rig()
    rig.link.text(text)
    assert isinstance(rig.link.ended, LinkBroken)
    assert rig.wire.aborted
    assert rig.told == rig.listener.ends == [rig.link.ended]


def test_what_is_not_known_is_counted_and_ignored() -> None:
    rig = Rig()
    rig.link.text("QUEUE_DRAINED")
    rig.link.text("ERROR channel_id:9.1 error_text:no")
    assert rig.link.ended is None
    assert rig.link.statistics()["events_unknown"] == 1
    assert rig.link.statistics()["errors"] == 1


def test_closing_ends_the_link_in_order_and_once() -> None:
    rig = Rig()
    rig.link.close()
    rig.link.close()
    rig.link.lost(LinkFinished("the peer ended the connection"))
    assert rig.wire.closed and not rig.wire.aborted
    assert [type(how) for how in rig.listener.ends] == [LinkClosed]


def test_after_the_end_nothing_is_taken_or_sent() -> None:
    rig = Rig()
    rig.link.lost(LinkFinished("the peer ended the connection"))
    rig.link.put(LOUD)
    rig.link.flush()
    rig.link.binary(LOUD)
    rig.link.text("DTMF_END digit:5")
    assert rig.wire.sent == []
    assert rig.link.take() is None
    assert rig.listener.digits == []
