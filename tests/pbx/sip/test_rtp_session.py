"""A call's RTP: what is heard, what is sent, and who may say anything."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkClosed, LinkEnded, LinkFinished, Refused
from sovereign_pbx.media.levels import dbfs
from sovereign_pbx.pbx.sip.rtp_ports import RtpSocket
from sovereign_pbx.pbx.sip.sound import Sound, SoundSettings
from sovereign_pbx.pbx.sip.srtp import Opener, Sealer
from sovereign_pbx.wire import rtcp
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm
from sovereign_pbx.wire.l16 import pcm_to_l16
from sovereign_pbx.wire.negotiation import offer
from sovereign_pbx.wire.rtp import Packet, encode
from sovereign_pbx.wire.sdes import Keys, new_key
from sovereign_pbx.wire.telephone_event import Event
from tests.pbx.sip.rtp_rig import FAR, SOURCE, STRANGER, Rig, Socket, agreement, frames, tone


def within_a_loop(test: Callable[..., None]) -> Callable[..., None]:
    """The session's timers need a loop; nothing in these tests waits for them."""

    @wraps(test)
    def outer(**arguments: Any) -> None:
        async def run() -> None:
            test(**arguments)

        asyncio.run(run())

    return outer


def conversation(rig: Rig, ticks: int = 50) -> bytes:
    """The far side says a tone; what the link gives."""
    heard = b""
    for frame in frames(tone(8000, ticks * 0.02), 8000):
        rig.speak(frame)
        heard += b"".join(rig.tick())
    return heard


@within_a_loop
def test_what_the_far_side_says_is_heard() -> None:
    rig = Rig()
    heard = conversation(rig)
    assert len(heard) >= 48 * 320
    assert abs(dbfs(heard[3200:]) - dbfs(tone(8000, 1))) < 0.5


@within_a_loop
def test_a_packet_goes_out_each_tick_with_random_beginnings() -> None:
    rig, other = Rig(), Rig()
    for _ in range(5):
        rig.tick()
        other.tick()
    packets, others = rig.sent(), other.sent()
    assert [packet.payload_type for packet in packets] == [0] * 5
    assert [len(packet.payload) for packet in packets] == [160] * 5
    assert [packet.marker for packet in packets] == [True, False, False, False, False]
    steps = [(b.sequence - a.sequence) % 65536 for a, b in pairwise(packets)]
    clock = [(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(packets)]
    assert (steps, clock) == ([1] * 4, [160] * 4)
    assert (packets[0].sequence, packets[0].timestamp, packets[0].source) != (
        others[0].sequence,
        others[0].timestamp,
        others[0].source,
    )
    assert all(packet.sequence < 2**15 + 5 for packet in (*packets, *others))


@within_a_loop
def test_the_timestamp_is_a_clock_that_jumps_where_we_stood_still() -> None:
    rig = Rig()
    rig.tick()
    rig.now += 1.0
    rig.tick()
    first, second = rig.sent()
    assert (second.timestamp - first.timestamp) % 2**32 == 51 * 160
    assert second.marker and second.sequence == (first.sequence + 1) % 65536


@pytest.mark.parametrize(("codec", "size", "step"), [("L16", 640, 320), ("G722", 160, 160)])
def test_a_wideband_codec_is_sent_from_a_narrow_link_and_heard_on_it(codec: str, size: int, step: int) -> None:
    @within_a_loop
    def run() -> None:
        rig = Rig(codec, rate=8000)
        for frame in frames(tone(8000, 0.2), 8000):
            rig.tick(frame)
        packets = rig.sent()
        assert {len(packet.payload) for packet in packets} == {size}
        assert (packets[1].timestamp - packets[0].timestamp) % 2**32 == step
        for number in range(10):
            rig.timestamp = (packets[0].timestamp + number * step) % 2**32
            rig.hear(rig.packet(packets[number].payload, rig.agreed.payload_type))
            heard = rig.tick()
        assert [len(frame) for frame in heard] == [320]
        assert abs(dbfs(heard[0]) - dbfs(tone(8000, 1))) < 1.5

    run()


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 60])
def test_packets_of_other_lengths_are_cut_to_frames(ptime_ms: int) -> None:
    @within_a_loop
    def run() -> None:
        rig = Rig()
        size, sent, heard = ptime_ms * 8, 0, 0
        for tick in range(120):
            while sent * ptime_ms < tick * 20:
                rig.hear(rig.packet(bytes([0x10]) * size))
                rig.timestamp = (rig.timestamp + size) % 2**32
                sent += 1
            got = rig.tick()
            assert all(len(frame) == 320 for frame in got)
            heard += len(got)
        assert heard >= 110
        assert rig.session.statistics()["packets_lost"] == 0

    run()


@within_a_loop
def test_ten_milliseconds_are_sent_to_who_takes_no_more() -> None:
    rig = Rig()
    rig.session.change(replace(rig.agreed, ptime_ms=10))
    rig.tick()
    first, second = rig.sent()
    assert len(first.payload) == len(second.payload) == 80
    assert (second.timestamp - first.timestamp) % 2**32 == 80


# --- digits


def press(rig: Rig, digit: str, ticks: int = 4) -> None:
    """The far side presses a key, and sends no sound meanwhile."""
    at = rig.timestamp
    for tick in range(1, ticks + 1):
        rig.hear(Packet(101, tick == 1, rig.sequence, at, SOURCE, Event(digit, False, 160 * tick).encode()))
        rig.sequence = (rig.sequence + 1) % 65536
        rig.tick()
    for _ in range(3):
        rig.hear(Packet(101, False, rig.sequence, at, SOURCE, Event(digit, True, 160 * ticks).encode()))
        rig.sequence = (rig.sequence + 1) % 65536
    rig.timestamp = (at + 160 * ticks) % 2**32


@within_a_loop
def test_digits_are_told_once_and_cost_nothing_of_the_sound() -> None:
    rig = Rig()
    conversation(rig)
    press(rig, "5")
    press(rig, "#")
    conversation(rig)
    assert rig.listener.digits == "5#"
    statistics = rig.session.statistics()
    assert (statistics["packets_lost"], statistics["packets_strange"]) == (0, 0)
    quality = rig.session.quality()
    assert quality is not None and quality.loss_percent == 0 and quality.concealed_ms <= 40


@within_a_loop
def test_a_key_is_silence_though_its_tone_comes_as_sound_too() -> None:
    rig = Rig()
    conversation(rig, 20)
    rig.hear(Packet(101, True, rig.sequence, rig.timestamp, SOURCE, Event("1", False, 160).encode()))
    rig.sequence = (rig.sequence + 1) % 65536
    heard = b""
    for frame in frames(tone(8000, 0.1), 8000):
        rig.speak(frame)
        heard += b"".join(rig.tick())
    assert dbfs(heard) < -50


@within_a_loop
def test_a_press_whose_ends_got_lost_does_not_silence_the_call() -> None:
    rig = Rig()
    conversation(rig, 20)
    rig.hear(Packet(101, True, rig.sequence, rig.timestamp, SOURCE, Event("1", False, 160).encode()))
    rig.sequence = (rig.sequence + 1) % 65536
    assert dbfs(conversation(rig, 60)[-3200:]) > -20


@within_a_loop
def test_a_digit_that_came_another_way_already_is_not_told() -> None:
    rig = Rig()
    rig.link.admit_digit = lambda digit: False
    press(rig, "5")
    assert rig.listener.digits == ""


def test_digits_are_sent_with_marker_duration_and_three_ends() -> None:
    async def run() -> None:
        rig = Rig()
        rig.tick()
        sending = asyncio.ensure_future(rig.session.send_digits("1d"))
        await asyncio.sleep(0)
        rig.sent()
        for _ in range(30):
            rig.tick()
        await sending
        packets = rig.sent()
        events = [packet for packet in packets if packet.payload_type == 101]
        first = [packet for packet in events if packet.timestamp == events[0].timestamp]
        found = [Event.parse(packet.payload) for packet in first]
        assert [packet.marker for packet in first] == [True, *[False] * 7]
        assert [event.duration for event in found] == [160, 320, 480, 640, 800, 800, 800, 800]
        assert [event.end for event in found] == [False] * 5 + [True] * 3
        assert {Event.parse(packet.payload).digit for packet in events} == {"1", "D"}
        sequences = [packet.sequence for packet in packets]
        assert all((b - a) % 65536 == 1 for a, b in pairwise(sequences))
        sound = [packet for packet in packets if packet.payload_type == 0]
        assert len(sound) == 30 - 12  # six ticks a digit
        assert sound[0].marker

    asyncio.run(run())


def test_digits_that_nobody_can_be_told_are_refused() -> None:
    async def run() -> None:
        rig = Rig()
        with pytest.raises(BadInput, match="keys X"):
            await rig.session.send_digits("1x")
        with pytest.raises(BadInput, match="128"):
            await rig.session.send_digits("1" * 129)
        rig.session.change(replace(rig.agreed, telephone_event=None))
        with pytest.raises(Refused, match="telephone events"):
            await rig.session.send_digits("1")
        rig.session.close()
        with pytest.raises(LinkClosed):
            await rig.session.send_digits("1")

    asyncio.run(run())


def test_digits_end_with_the_call() -> None:
    async def run() -> None:
        rig = Rig()
        sending = asyncio.ensure_future(rig.session.send_digits("123"))
        await asyncio.sleep(0)
        rig.session.close()
        with pytest.raises(LinkClosed):
            await sending

    asyncio.run(run())


def test_digits_are_timed_by_the_clock_of_a_wideband_codec() -> None:
    async def run() -> None:
        rig = Rig("L16")
        sending = asyncio.ensure_future(rig.session.send_digits("1"))
        await asyncio.sleep(0)
        for _ in range(8):
            rig.tick()
        await sending
        events = [packet for packet in rig.sent() if packet.payload_type == rig.agreed.telephone_event]
        assert [Event.parse(packet.payload).duration for packet in events] == [320, 640, 960, 1280, 1600, *[1600] * 3]

    asyncio.run(run())


# --- silence, hold, changes


@within_a_loop
def test_announced_silence_is_heard_at_its_level_and_is_no_loss() -> None:
    rig = Rig()
    conversation(rig)
    rig.hear(rig.packet(bytes([48]), 13))
    heard = b""
    for _ in range(100):
        rig.timestamp = (rig.timestamp + 160) % 2**32
        heard += b"".join(rig.tick())
    assert len(heard) == 100 * 320
    assert abs(dbfs(heard[-16000:]) + 48) < 1.5
    assert dbfs(conversation(rig, 30)[-3200:]) > -20
    quality = rig.session.quality()
    assert quality is not None and quality.loss_percent == 0 and quality.concealed_ms <= 20


@within_a_loop
def test_who_does_not_listen_is_sent_nothing() -> None:
    rig = Rig()
    rig.tick()
    rig.sent()
    rig.session.change(replace(rig.agreed, direction="recvonly"))
    rig.tick()
    assert rig.sent() == []
    rig.session.change(rig.agreed)
    rig.tick()
    (packet,) = rig.sent()
    assert packet.marker


@within_a_loop
def test_another_codec_in_the_middle_of_a_call_is_heard_and_spoken() -> None:
    rig = Rig("PCMU")
    conversation(rig)
    before = rig.agreed
    rig.sent()
    rig.session.change(agreement("L16")[1])
    rig.tick()
    (packet,) = rig.sent()
    assert packet.payload_type != before.payload_type and len(packet.payload) == 640
    wide = agreement("L16")[1]
    heard = b""
    for frame in frames(tone(16000, 0.5), 16000):
        rig.hear(rig.packet(pcm_to_l16(frame), wide.payload_type))
        rig.timestamp = (rig.timestamp + 320) % 2**32
        heard += b"".join(rig.tick())
    assert len(heard) >= 22 * 320  # the link's rate has stayed
    assert dbfs(heard[-3200:]) > -20


@within_a_loop
def test_sound_follows_a_new_address() -> None:
    rig = Rig()
    conversation(rig, 3)
    rig.socket.sent.clear()
    rig.session.change(replace(rig.agreed, remote=("192.0.2.77", 8000)))
    rig.tick()
    assert [to for _, to in rig.socket.sent] == [("192.0.2.77", 8000)]


# --- strangers


@within_a_loop
def test_a_strangers_packets_are_not_heard() -> None:
    rig = Rig()
    conversation(rig)
    for number in range(50):
        rig.speak(bytes(320))
        rig.hear(Packet(0, False, number, number * 160, 7, bytes(160)), STRANGER)
        assert all(dbfs(frame) < -50 for frame in rig.tick()[:1] if number > 5)
    assert rig.session.statistics()["packets_refused"] == 50
    assert {to for _, to in rig.socket.sent} == {FAR}


@within_a_loop
def test_only_permitted_networks_may_send_beside_the_described_address() -> None:
    settings = SoundSettings(permit=("203.0.113.0/24", "192.0.2.200"))
    for sender, heard in ((STRANGER, 0), (("203.0.113.9", 7), 3), (("192.0.2.200", 7), 3), (FAR, 5)):
        socket = Socket()
        sound = Sound(settings, cast(RtpSocket, socket), "192.0.2.9")
        sound.answer(offer(host=FAR[0], port=FAR[1], codecs=("PCMU",)).encode())
        sound.begin()
        for number in range(5):
            socket.rtp(encode(Packet(0, False, number, number * 160, SOURCE, bytes(160))), sender)
        assert sound.link(8000).statistics()["packets_in"] == heard
        sound.close(LinkClosed("over"))


@within_a_loop
def test_a_few_packets_of_another_source_do_not_end_the_stream() -> None:
    rig = Rig()
    conversation(rig, 20)
    rig.hear(Packet(0, False, 1, 1, 0xBAD, bytes(160)))
    heard = conversation(rig, 20)
    assert dbfs(heard[-3200:]) > -20
    assert rig.session.statistics()["packets_strange"] == 1


@within_a_loop
def test_a_new_source_is_heard_from_its_second_packet_on() -> None:
    rig = Rig()
    conversation(rig, 20)
    heard = b""
    for number, frame in enumerate(frames(tone(8000, 0.5), 8000)):
        rig.hear(Packet(0, False, 100 + number, number * 160, 0xCAFE, pcm_to_ulaw(frame)))
        heard += b"".join(rig.tick())
    assert dbfs(heard[-3200:]) > -20
    assert rig.session.statistics()["packets_lost"] == 0


@within_a_loop
def test_a_source_that_begins_anew_is_heard_and_what_was_lost_before_still_counts() -> None:
    rig = Rig()
    conversation(rig, 20)
    rig.packet(b"")
    conversation(rig, 20)
    rig.sequence, rig.timestamp = 30_000, 12345
    assert dbfs(conversation(rig, 30)[-3200:]) > -20
    statistics = rig.session.statistics()
    assert (statistics["packets_lost"], statistics["packets_in"]) == (1, 69)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans(), st.booleans()), max_size=60))
def test_rubbish_is_dropped_and_hurts_nobody(datagrams: list[tuple[bytes, bool, bool]]) -> None:
    async def run() -> None:
        rig = Rig()
        conversation(rig, 5)
        for data, headed, report in datagrams:
            data = encode(rig.packet(data)) if headed else data
            (rig.socket.rtcp if report else rig.socket.rtp)(data, FAR)
        rig.tick()
        assert dbfs(conversation(rig, 60)[-3200:]) > -25

    asyncio.run(run())


# --- encryption


@within_a_loop
def test_encrypted_sound_is_heard_and_another_key_is_not() -> None:
    rig = Rig(srtp="required")
    assert rig.theirs.crypto is not None
    rig.tick()
    data, _ = rig.socket.sent[-1]
    assert len(data) == 12 + 160 + 10
    assert Opener(rig.theirs.crypto.theirs).rtp(data) is not None
    good, bad = Sealer(rig.theirs.crypto.ours), Sealer(agreement("PCMU", srtp="required")[0].crypto.ours)  # type: ignore[union-attr]  # required
    for sealer in (good, bad):
        sealed = sealer.rtp(encode(rig.packet(bytes(160))))
        rig.socket.rtp(sealed, FAR)
        rig.socket.rtp(sealed, FAR)  # played back
    rig.socket.rtp(encode(rig.packet(bytes(160))), FAR)  # in the clear
    statistics = rig.session.statistics()
    assert (statistics["packets_in"], statistics["packets_refused"]) == (1, 4)


@within_a_loop
def test_their_new_key_counts_and_our_own_goes_on() -> None:
    rig = Rig(srtp="required")
    keys = rig.agreed.crypto
    assert keys is not None
    listener = Opener(keys.ours)
    assert rig.session._outbound is not None
    rig.session._outbound._sequence = 65_534  # SRTP counts the wrap-arounds: who began anew would begin at none
    for _ in range(4):
        rig.tick()
        assert listener.rtp(rig.socket.sent[-1][0]) is not None
    fresh = new_key(1, keys.theirs.suite)
    rig.session.change(replace(rig.agreed, crypto=Keys(keys.ours, fresh)))
    rig.tick()
    assert listener.rtp(rig.socket.sent[-1][0]) is not None
    rig.socket.rtp(Sealer(fresh).rtp(encode(rig.packet(bytes(160)))), FAR)
    assert rig.session.statistics()["packets_in"] == 1


# --- reports


@within_a_loop
def test_reports_of_the_far_side_are_in_the_quality() -> None:
    rig = Rig()
    conversation(rig, 50)
    ours = rig.sent()[0].source
    block = rtcp.Block(source=ours, fraction_lost=0.1, lost=5, highest=0, jitter=80, last_report=0, delay=0)
    rig.socket.rtcp(rtcp.encode(rtcp.Report(source=SOURCE, sent=None, blocks=(block,)), "far"), (FAR[0], 4001))
    quality = rig.session.quality()
    assert quality is not None
    assert (quality.far_loss_percent, quality.far_jitter_ms) == (10.0, 10.0)
    rig.socket.rtcp(rtcp.encode(rtcp.Report(source=1, sent=None), "x"), STRANGER)
    assert rig.session.statistics()["packets_refused"] == 1


@within_a_loop
def test_what_was_lost_here_is_in_the_quality_and_lowers_the_mos() -> None:
    rig, whole = Rig(), Rig()
    conversation(whole, 200)
    for number, frame in enumerate(frames(tone(8000, 4), 8000)):
        if number % 10 == 4:
            rig.packet(b"")
            rig.timestamp = (rig.timestamp + 160) % 2**32
        else:
            rig.speak(frame)
        rig.tick()
    lossy, good = rig.session.quality(), whole.session.quality()
    assert lossy is not None and good is not None
    assert lossy.loss_percent == pytest.approx(10, abs=0.6)
    assert lossy.concealed_ms == pytest.approx(400, abs=60)
    assert lossy.mos < 3.7 < 4.3 < good.mos
    assert (good.codec, good.loss_percent) == ("PCMU", 0)


@within_a_loop
def test_the_call_says_goodbye() -> None:
    rig = Rig()
    conversation(rig, 3)
    ours = rig.sent()[0].source
    rig.session.close(LinkFinished("the caller has hung up"))
    report, goodbye = rtcp.parse(rig.socket.reports[-1][0])
    assert isinstance(report, rtcp.Report) and report.sent is not None and report.sent.packets == 3
    assert [block.source for block in report.blocks] == [SOURCE]
    assert goodbye == rtcp.Goodbye((ours,))
    assert isinstance(rig.link.ended, LinkFinished) and rig.socket.closed
    rig.session.close()
    rig.link.put(bytes(320))
    assert rig.link.take() is None


# --- links


@within_a_loop
def test_a_closed_link_leaves_the_session_and_another_takes_over() -> None:
    rig = Rig()
    conversation(rig, 10)
    first = rig.link
    told: list[LinkEnded] = []
    first.on_ended = told.append
    first.close()
    assert isinstance(first.ended, LinkClosed) and len(told) == len(rig.listener.ends) == 1
    rig.link = rig.attach(16000)
    heard = conversation(rig, 20)
    assert len(heard) >= 17 * 640 and first.take() is None
    assert first.statistics()["frames_in"] <= 10 < rig.link.statistics()["frames_in"]
    rig.attach(8000)
    assert isinstance(rig.link.ended, LinkClosed)


@within_a_loop
def test_a_new_link_hears_nothing_of_what_came_before() -> None:
    rig = Rig()
    rig.link.close()
    for frame in frames(tone(8000, 0.2), 8000):
        rig.speak(frame)
    rig.link = rig.attach(8000)
    assert rig.tick() == []


def test_without_a_link_the_other_side_hears_what_is_played() -> None:
    async def run() -> None:
        rig = Rig()
        rig.link.close()
        rig.session.play(iter([tone(16000, 0.02)] * 2))
        ticks = 0
        while len(rig.socket.sent) < 5:  # real time: the loop's timers bring the ticks
            rig.now += 0.02
            await asyncio.sleep(0.005)
            ticks += 1
            assert ticks < 3000
        loud = [dbfs(packet_pcm(packet)) > -30 for packet in rig.sent()]
        assert loud[:2] == [True, True] and not any(loud[2:])
        rig.session.close()

    asyncio.run(run())


def packet_pcm(packet: Packet) -> bytes:
    return ulaw_to_pcm(packet.payload)


def silent_for(rig: Rig, seconds: float) -> None:
    """The watch of each second, by hand."""
    for _ in range(int(seconds)):
        rig.now += 1
        rig.session._watch()


@within_a_loop
def test_a_call_that_nothing_comes_from_is_given_up() -> None:
    lost: list[bool] = []
    rig = Rig(media_timeout_s=5, on_lost=lambda: lost.append(True))
    conversation(rig, 5)
    silent_for(rig, 4)
    assert rig.link.ended is None
    silent_for(rig, 2)
    assert isinstance(rig.link.ended, LinkBroken) and not lost
    silent_for(rig, 5)
    assert lost == [True]


@within_a_loop
def test_a_call_on_hold_or_with_its_microphone_off_is_not() -> None:
    rig = Rig(media_timeout_s=5)
    rig.session.change(replace(rig.agreed, direction="recvonly"))
    silent_for(rig, 60)
    rig.session.change(rig.agreed)
    for _ in range(10):
        silent_for(rig, 3)
        rig.socket.rtcp(rtcp.encode(rtcp.Report(source=SOURCE, sent=None), "far"), FAR)
    assert rig.link.ended is None
