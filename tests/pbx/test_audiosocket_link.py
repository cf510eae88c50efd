"""An AudioSocket link by itself: frames in, frames out, and its four ends."""

import asyncio
import time

import numpy as np
import pytest

from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFinished, LinkFull
from sovereign_pbx.media import intake
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.wire import audiosocket as wire


class Transport(asyncio.Transport):
    """Keeps what was written; refuses writes after the end of stream, as a socket does."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.buffered = 0
        self.eof = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.eof and not self.aborted
        self.writes.append(bytes(data))

    def write_eof(self) -> None:
        self.eof = True

    def get_write_buffer_size(self) -> int:
        return self.buffered

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
    def __init__(self, rate: int = 8000) -> None:
        self.transport, self.listener = Transport(), Listener()
        self.told: list[LinkEnded] = []
        self.link = AudioSocketLink(
            self.transport, rate, write_limit_bytes=3230, on_ended=lambda link, how: self.told.append(how)
        )
        self.link.listener = self.listener

    def hear(self, *payloads: bytes, kind: int = wire.SLIN8) -> None:
        self.link.received(b"".join(wire.encode(kind, payload) for payload in payloads))

    def taken(self) -> list[bytes]:
        return list(iter(self.link.take, None))


def frame(number: int, size: int = 320) -> bytes:
    return bytes([number]) * size


def test_frames_come_out_in_the_order_they_came_in() -> None:
    rig = Rig()
    rig.hear(frame(1), frame(2))
    assert rig.taken() == [frame(1), frame(2)]
    assert rig.link.statistics() == {"frames_in": 2, "frames_out": 0, "frames_dropped": 0, "frames_unknown": 0}


def test_a_backlog_keeps_the_newest_ten_frames() -> None:
    rig = Rig()
    rig.hear(*(frame(n) for n in range(150)))
    assert rig.taken() == [frame(n) for n in range(140, 150)]
    assert rig.link.statistics()["frames_dropped"] == 140


def test_what_is_older_than_200_ms_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, now = Rig(), time.monotonic()
    rig.hear(frame(1))
    monkeypatch.setattr(time, "monotonic", lambda: now + 0.15)
    rig.hear(frame(2))
    monkeypatch.setattr(time, "monotonic", lambda: now + 0.21)
    assert rig.taken() == [frame(2)]
    assert rig.link.statistics()["frames_dropped"] == 1


def test_a_standing_backlog_is_worked_off() -> None:
    rig = Rig()
    rig.hear(*(frame(n) for n in range(8)))
    for n in range(60):
        rig.hear(frame(8 + n))
        assert rig.link.take() is not None
    assert len(rig.taken()) == 1
    assert rig.link.statistics()["frames_dropped"] == 7


def test_jitter_of_two_frames_is_left_alone() -> None:
    rig = Rig()
    rig.hear(frame(0))
    for n in range(120):
        rig.hear(frame(n))
        rig.link.take()
    assert rig.link.statistics()["frames_dropped"] == 0


def test_odd_sizes_are_cut_to_20_ms() -> None:
    rig = Rig()
    sound = bytes(range(256)) * 5
    rig.hear(sound[:100], sound[100:800], sound[800:1280])
    assert b"".join(rig.taken()) == sound


def test_half_a_sample_is_thrown_away_so_that_the_next_frame_begins_on_a_sample() -> None:
    rig = Rig()
    rig.hear(b"\x01" * 320 + b"\xff", b"\x02" * 320)
    assert rig.taken() == [b"\x01" * 320, b"\x02" * 320]


def test_another_rate_than_agreed_is_refused() -> None:
    rig = Rig()
    rig.hear(frame(1, 640), kind=0x12)
    assert isinstance(rig.link.ended, LinkBroken)
    assert "16000 Hz on a link of 8000 Hz" in str(rig.link.ended)
    assert rig.transport.aborted


def test_a_wideband_link_understands_8_khz() -> None:
    """Asterisk's application brings it where its channel can't be had."""
    rig = Rig(16000)
    tone = np.asarray(8000 * np.sin(np.arange(8000) * (2 * np.pi * 700 / 8000)), "<i2").tobytes()
    heard = b""
    for at in range(0, len(tone), 320):
        rig.hear(tone[at : at + 320])
        heard += b"".join(rig.taken())
    samples = np.frombuffer(heard, "<i2").astype(float)[1600:]
    assert rig.link.ended is None
    assert len(heard) == 2 * len(tone)
    assert abs(abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 16000 / len(samples) - 700) < 3
    assert abs(np.sqrt((samples**2).mean()) - 8000 / np.sqrt(2)) < 30


def test_a_wideband_link_takes_no_other_rate() -> None:
    rig = Rig(16000)
    rig.hear(frame(1, 960), kind=0x13)
    assert "24000 Hz on a link of 16000 Hz" in str(rig.link.ended)


def test_a_wideband_link_has_its_own_frame() -> None:
    rig = Rig(16000)
    rig.hear(frame(1, 640), kind=0x12)
    rig.link.put(frame(2, 640))
    assert rig.taken() == [frame(1, 640)]
    assert rig.transport.writes == [b"\x12\x02\x80" + frame(2, 640)]


def test_a_frame_leaves_in_one_write() -> None:
    rig = Rig()
    rig.link.put(frame(7))
    assert rig.transport.writes == [b"\x10\x01\x40" + frame(7)]


def test_a_short_last_frame_says_its_own_length() -> None:
    rig = Rig()
    rig.link.put(frame(7, 10))
    assert rig.transport.writes == [b"\x10\x00\x0a" + frame(7, 10)]


def test_a_peer_that_stops_reading_is_dropped() -> None:
    rig = Rig()
    rig.transport.buffered = 323
    rig.link.put(frame(1))
    assert rig.link.ended is None
    rig.transport.buffered = 3231
    rig.link.put(frame(2))
    assert isinstance(rig.link.ended, LinkFull)
    assert rig.transport.aborted
    rig.link.put(frame(3))
    assert len(rig.transport.writes) == 1


def test_a_digit_reaches_the_listener_once_it_is_admitted() -> None:
    rig = Rig()
    rig.hear(b"5", kind=wire.DTMF)
    rig.link.admit_digit = lambda digit: digit != "6"
    rig.hear(b"6", b"7", kind=wire.DTMF)
    assert rig.listener.digits == ["5", "7"]


def test_a_kind_from_the_future_is_ignored_and_counted() -> None:
    rig = Rig()
    rig.hear(b"?", kind=0x42)
    assert rig.link.ended is None
    assert rig.link.statistics()["frames_unknown"] == 1


@pytest.mark.parametrize(("kind", "payload"), [(wire.ID, bytes(16)), (wire.ERROR, b""), (wire.DTMF, b"xx")])
def test_what_asterisk_never_sends_breaks_the_link(kind: int, payload: bytes) -> None:
    rig = Rig()
    rig.hear(payload, kind=kind)
    assert isinstance(rig.link.ended, LinkBroken)


def test_a_header_without_measure_breaks_the_link() -> None:
    rig = Rig()
    rig.link.received(b"\x10\xff\xff")
    assert isinstance(rig.link.ended, LinkBroken)


def test_closing_says_goodbye_and_waits_for_the_peer() -> None:
    rig = Rig()
    rig.link.close()
    assert rig.transport.writes == [b"\x00\x00\x00"]
    assert rig.transport.eof and not rig.transport.aborted
    rig.hear(frame(1))
    rig.link.put(frame(2))
    rig.link.lost(None)
    rig.link.close()
    assert rig.taken() == []
    assert [type(how) for how in rig.listener.ends] == [LinkClosed]
    assert rig.told == rig.listener.ends


@pytest.mark.parametrize(
    ("exc", "how"),
    [
        (None, LinkFinished),
        (ConnectionResetError(), LinkFinished),
        (BrokenPipeError(), LinkFinished),
        (TimeoutError(110, "timed out"), LinkBroken),
        (OSError(113, "no route"), LinkBroken),
    ],
)
def test_the_end_of_a_connection_has_a_name(exc: Exception | None, how: type[LinkEnded]) -> None:
    rig = Rig()
    rig.link.lost(exc)
    assert type(rig.link.ended) is how
    assert [type(end) for end in rig.listener.ends] == [how]


def test_a_hang_up_frame_finishes_the_link() -> None:
    rig = Rig()
    rig.hear(b"", kind=wire.HANGUP)
    assert isinstance(rig.link.ended, LinkFinished)


def test_the_limits_are_200_ms() -> None:
    assert (intake.MAX_QUEUED, intake.MAX_AGE_S) == (10, 0.2)
