import struct
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sovereign_pbx.core.values import Word
from sovereign_pbx.media.playout import ATTACK_MS, Playout

RATE = 8000
FRAME = 320


def ramp(start: int, samples: int) -> bytes:
    """Samples that count upwards in small steps: each is recognisable, and none is loud enough to need a release."""
    return struct.pack(f"<{samples}h", *((start + n) % 60 + 1 for n in range(samples)))


def tone(samples: int, hertz: float = 100.0) -> bytes:
    wave = 12000 * np.cos(2 * np.pi * hertz * np.arange(samples) / RATE)
    return wave.astype("<i2").tobytes()


def samples(frames: list[bytes]) -> NDArray[np.int16]:
    return np.frombuffer(b"".join(frames), "<i2")


def drain(playout: Playout, limit: int = 1000) -> list[bytes]:
    frames: list[bytes] = []
    while (frame := playout.next_frame()) is not None and len(frames) < limit:
        assert len(frame) == FRAME
        frames.append(frame)
    return frames


def one_segment(pcm: bytes, segment: int = 1) -> Playout:
    playout = Playout(RATE)
    playout.open(segment)
    playout.add(segment, pcm)
    playout.finish(segment)
    return playout


def test_an_empty_queue_has_no_frame() -> None:
    assert Playout(RATE).next_frame() is None


def test_a_segment_goes_out_whole_and_its_ends_are_told() -> None:
    playout = one_segment(ramp(0, 400))
    first = playout.next_frame()
    assert playout.events() == [("started", 1)]
    second, third = playout.next_frame(), playout.next_frame()
    assert playout.events() == [("finished", 1)]
    assert first is not None and second is not None and third is not None
    assert (first + second + third)[:800] == ramp(0, 400)
    assert playout.next_frame() is None


def test_the_last_partial_frame_is_filled_with_silence_led_down_from_the_last_sample() -> None:
    playout = one_segment(struct.pack("<100h", *([10000] * 100)))
    frame = samples(drain(playout))
    assert (frame[:100] == 10000).all()
    assert (np.diff(frame[99:].astype(int)) <= 0).all()
    assert abs(np.diff(frame[99:].astype(int))).max() < 600
    assert (frame[141:] == 0).all()


def test_speech_that_ends_loud_on_a_frames_edge_is_led_to_zero_in_the_next_frame() -> None:
    frames = drain(one_segment(struct.pack("<160h", *([10000] * 160))))
    assert len(frames) == 2
    assert abs(np.diff(samples(frames).astype(int))).max() < 600


def test_too_little_room_for_the_release_carries_it_into_the_next_frame() -> None:
    frames = drain(one_segment(struct.pack("<155h", *([10000] * 155))))
    assert len(frames) == 2
    assert abs(np.diff(samples(frames).astype(int))).max() < 600


def test_segments_go_out_in_the_order_in_which_they_were_opened_whatever_arrives_first() -> None:
    playout = Playout(RATE)
    playout.open(1)
    playout.open(2)
    playout.add(2, b"\2\0" * 160)
    playout.finish(2)
    assert playout.next_frame() is None
    playout.add(1, b"\1\0" * 160)
    playout.finish(1)
    assert drain(playout) == [b"\1\0" * 160, b"\2\0" * 160]
    assert playout.events() == [("started", 1), ("finished", 1), ("started", 2), ("finished", 2)]


def test_the_next_segment_follows_within_the_same_frame() -> None:
    playout = Playout(RATE)
    for segment, value in ((1, b"\1\0"), (2, b"\2\0")):
        playout.open(segment)
        playout.add(segment, value * 80)
        playout.finish(segment)
    assert playout.next_frame() == b"\1\0" * 80 + b"\2\0" * 80


def test_a_segment_without_audio_is_finished_without_a_start() -> None:
    playout = Playout(RATE)
    playout.open(7)
    playout.finish(7)
    assert playout.next_frame() is None
    assert playout.events() == [("finished", 7)]


def test_an_underrun_is_counted_once_and_is_not_an_end() -> None:
    playout = Playout(RATE)
    playout.open(1)
    playout.add(1, ramp(0, 160))
    assert playout.next_frame() is not None
    assert [playout.next_frame() for _ in range(5)] == [None] * 5
    playout.add(1, ramp(160, 160))
    playout.finish(1)
    assert playout.next_frame() is not None
    assert playout.statistics()["underruns"] == 1
    assert playout.events() == [("started", 1), ("finished", 1)]


def test_a_late_finish_is_no_underrun() -> None:
    playout = Playout(RATE)
    playout.open(1)
    playout.add(1, ramp(0, 160))
    playout.next_frame()
    playout.next_frame()
    playout.finish(1)
    playout.next_frame()
    assert playout.events() == [("started", 1), ("finished", 1)]
    assert playout.statistics()["underruns"] == 0


def test_waiting_for_the_first_audio_is_no_underrun() -> None:
    playout = Playout(RATE)
    playout.open(1)
    playout.next_frame()
    playout.add(1, ramp(0, 160))
    playout.next_frame()
    assert playout.statistics()["underruns"] == 0


def test_flush_tells_what_each_open_segment_played() -> None:
    playout = Playout(RATE)
    for segment in (1, 2, 3):
        playout.open(segment)
    playout.add(1, ramp(0, 160))
    playout.finish(1)
    playout.add(2, ramp(0, 480))
    playout.next_frame()
    playout.next_frame()
    assert playout.flush() == [(2, 20.0), (3, 0.0)]
    assert playout.queued_ms == 0


def test_after_a_flush_sound_is_gone_within_one_frame_and_without_a_click() -> None:
    playout = one_segment(tone(1600))
    frames = [playout.next_frame() or b"" for _ in range(3)]
    playout.flush()
    frames += drain(playout)
    assert len(frames) == 4
    assert abs(np.diff(samples(frames).astype(int))).max() < 1200  # the tone's own steepest step is 943
    assert (samples(frames)[-100:] == 0).all()


def test_audio_for_a_flushed_segment_is_ignored() -> None:
    playout = one_segment(ramp(0, 160))
    playout.flush()
    playout.add(1, ramp(0, 160))
    playout.finish(1)
    assert playout.next_frame() is None
    assert playout.events() == []


def test_a_dropped_segment_is_never_heard_and_the_next_one_is() -> None:
    playout = Playout(RATE)
    for segment, value in ((1, b"\1\0"), (2, b"\2\0")):
        playout.open(segment)
        playout.add(segment, value * 160)
        playout.finish(segment)
    playout.drop(1)
    assert drain(playout) == [b"\2\0" * 160]
    assert playout.events() == [("started", 2), ("finished", 2)]


def test_dropping_the_playing_segment_joins_the_next_one_without_a_click() -> None:
    playout = one_segment(tone(1600))
    playout.open(2)
    playout.add(2, b"\0\0" * 160)
    frames = [playout.next_frame() or b""]
    playout.drop(1)
    frames.append(playout.next_frame() or b"")
    assert abs(np.diff(samples(frames).astype(int))).max() < 1200


WORDS = (Word("one", 0.0, 0.08), Word("two", 0.08, 0.2))


def test_held_between_two_words_speech_goes_on_at_the_very_sample() -> None:
    plain = samples(drain(one_segment(tone(1600, 300))))
    playout = one_segment(tone(1600, 300))
    heard = [playout.next_frame() or b"" for _ in range(4)]
    playout.pause()
    assert playout.paused
    release = drain(playout)
    assert len(release) == 1 and playout.next_frame() is None
    playout.resume(WORDS)
    heard += drain(playout)
    attack = int(RATE * ATTACK_MS / 1000)
    assert (samples(heard)[:640] == plain[:640]).all()
    assert (samples(heard)[640 + attack :] == plain[640 + attack :]).all()
    assert abs(samples(heard)[640]) < 100


def held_after(frames: int, pcm: bytes) -> Playout:
    playout = one_segment(pcm)
    for _ in range(frames):
        playout.next_frame()
    playout.pause()
    drain(playout)
    return playout


def test_held_in_a_word_speech_goes_on_with_that_word_from_its_beginning() -> None:
    playout = held_after(7, ramp(0, 1600))
    assert playout.resume(WORDS) == (1, 80.0)
    attack = int(RATE * ATTACK_MS / 1000)
    again = samples(drain(playout))[: 1600 - 640]
    assert (again[attack:] == samples([ramp(0, 1600)])[640 + attack :]).all()
    assert playout.statistics()["again_ms"] == 60


def test_what_is_said_again_counts_once() -> None:
    playout = held_after(7, ramp(0, 1600))
    playout.resume(WORDS)
    playout.next_frame()
    assert playout.flush() == [(1, 100.0)]


def test_a_word_of_which_nothing_but_the_end_is_left_is_not_said_again() -> None:
    playout = held_after(9, ramp(0, 1600))
    playout.resume(WORDS)
    assert playout.statistics()["again_ms"] == 0


def test_without_word_times_speech_goes_on_at_the_very_sample() -> None:
    playout = held_after(7, ramp(0, 1600))
    playout.resume()
    assert playout.flush() == [(1, 140.0)]


def test_a_syllable_that_is_over_soon_is_finished() -> None:
    pcm = tone(1600) + bytes(800) + tone(1600)
    playout = one_segment(pcm)
    for _ in range(8):
        playout.next_frame()
    playout.pause()
    rest = drain(playout)
    assert 2 <= len(rest) <= 3  # 40 ms, and the release
    assert playout.flush() == [(1, 200.0)]


def test_a_syllable_that_goes_on_for_long_is_not_waited_for() -> None:
    playout = held_after(5, tone(1600) + bytes(800))
    assert playout.flush() == [(1, 100.0)]


def test_going_on_before_the_syllable_was_finished_changes_nothing() -> None:
    pcm = tone(1600) + bytes(800) + tone(1600)
    playout = one_segment(pcm)
    heard = [playout.next_frame() or b"" for _ in range(8)]
    playout.pause()
    heard.append(playout.next_frame() or b"")
    playout.resume(WORDS)
    heard += drain(playout)
    assert b"".join(heard)[: len(pcm)] == pcm


def test_held_twice_in_one_word_it_goes_back_twice() -> None:
    playout = held_after(7, ramp(0, 1600))
    playout.resume(WORDS)
    playout.next_frame()
    playout.pause()
    playout.resume(WORDS)
    assert playout.flush() == [(1, 80.0)]


def test_a_long_segment_can_still_go_back_after_its_played_part_was_given_up() -> None:
    playout = held_after(700, ramp(0, 8000 * 20))
    playout.resume((Word("long", 13.5, 14.5),))
    assert playout.flush() == [(1, 13500.0)]


def test_where_nothing_had_begun_nothing_goes_on() -> None:
    playout = one_segment(tone(160))
    playout.pause()
    assert playout.resume(WORDS) is None
    assert playout.resume(WORDS) is None


def test_pausing_before_speech_began_leaves_its_beginning_untouched() -> None:
    playout = one_segment(tone(160))
    playout.pause()
    assert playout.next_frame() is None
    playout.resume()
    assert playout.next_frame() == tone(160)


def test_audio_past_the_bound_is_refused_and_counted() -> None:
    playout = Playout(RATE, max_queued_s=1.0)
    playout.open(1)
    for _ in range(60):
        playout.add(1, ramp(0, 160))
    assert playout.queued_ms == 1000
    assert playout.statistics()["refused_ms"] == 200


def test_speech_that_goes_on_after_an_underrun_is_faded_in() -> None:
    playout = Playout(RATE)
    playout.open(1)
    loud = struct.pack("<160h", *([10000] * 160))
    playout.add(1, loud)
    frames = [playout.next_frame() or b"" for _ in range(3)]
    playout.add(1, loud)
    frames.append(playout.next_frame() or b"")
    assert abs(np.diff(samples(frames).astype(int))).max() < 600
    assert (samples(frames)[-100:] == 10000).all()


def test_other_speech_right_after_a_flush_joins_without_a_click() -> None:
    playout = one_segment(tone(1600))
    frames = [playout.next_frame() or b""]
    playout.flush()
    playout.open(2)
    playout.add(2, bytes(320))
    frames.append(playout.next_frame() or b"")
    assert abs(np.diff(samples(frames).astype(int))).max() < 1200


def test_half_a_sample_waits_for_its_other_half() -> None:
    whole = ramp(0, 160)
    playout = Playout(RATE)
    playout.open(1)
    playout.add(1, whole[:101])
    first = playout.next_frame() or b""
    playout.add(1, whole[101:])
    playout.finish(1)
    second = playout.next_frame() or b""
    attack = int(RATE * ATTACK_MS / 1000) * 2
    assert first[:100] == whole[:100]
    assert second[attack:220] == whole[100 + attack :]


def test_a_long_segment_goes_out_whole_while_memory_is_given_back() -> None:
    whole = ramp(0, 8000 * 30)
    playout = one_segment(whole)
    assert b"".join(drain(playout, 2000)) == whole


def test_a_segment_opened_twice_keeps_its_place_and_its_audio() -> None:
    playout = one_segment(b"\1\0" * 160)
    playout.open(2)
    playout.open(1)
    playout.add(2, b"\2\0" * 160)
    playout.finish(2)
    assert drain(playout) == [b"\1\0" * 160, b"\2\0" * 160]


def test_a_vendors_chunk_may_end_within_a_sample() -> None:
    whole = ramp(0, 480)
    playout = Playout(RATE)
    playout.open(1)
    for at in range(0, len(whole), 7):
        playout.add(1, whole[at : at + 7])
    playout.finish(1)
    assert b"".join(drain(playout)) == whole


class _Ledger:
    """Runs a script of operations on a Playout and keeps what ought to be heard beside what was."""

    def __init__(self) -> None:
        self.playout = Playout(RATE)
        self.order: list[int] = []
        self.given: dict[int, bytes] = {}
        self.played: dict[int, int] = {}
        self.done: set[int] = set()
        self.heard: list[bytes] = []
        self.events: list[tuple[str, int]] = []
        self.fresh = 0

    def open(self, _: int) -> None:
        self.fresh += 1
        self.order.append(self.fresh)
        self.given[self.fresh] = b""
        self.playout.open(self.fresh)

    def add(self, size: int) -> None:
        segment = self.pick(size)
        pcm = struct.pack("<h", segment % 60 + 1) * size
        self.playout.add(segment, pcm)
        if segment in self.order and segment not in self.done:
            self.given[segment] += pcm

    def finish(self, seed: int) -> None:
        segment = self.pick(seed)
        self.playout.finish(segment)
        if segment in self.order:
            self.done.add(segment)

    def drop(self, seed: int) -> None:
        segment = self.pick(seed)
        self.playout.drop(segment)
        if segment in self.order:
            self.order.remove(segment)

    def flush(self, _: int) -> None:
        flushed = dict(self.playout.flush())
        assert list(flushed) == self.order
        for segment, ms in flushed.items():
            assert ms == self.played.get(segment, 0) / 8
        self.order.clear()

    def pause(self, _: int) -> None:
        self.playout.pause()

    def resume(self, _: int) -> None:
        self.playout.resume()

    def frame(self, _: int) -> None:
        expected = self.expect()
        frame = self.playout.next_frame()
        assert (frame or b"")[: len(expected)] == expected or self.softened(frame, expected)
        assert frame is None or len(frame) == FRAME
        self.events += self.playout.events()

    def softened(self, frame: bytes | None, expected: bytes) -> bool:
        """After a gap the first 5 ms rise from zero; behind them every sample is as it was given."""
        skip = int(RATE * ATTACK_MS / 1000) * 2
        return frame is not None and frame[skip : len(expected)] == expected[skip:]

    def expect(self) -> bytes:
        if self.playout.paused:
            return b""
        out = b""
        while self.order and len(out) < FRAME:
            head = self.order[0]
            at = self.played.get(head, 0)
            piece = self.given[head][at * 2 : at * 2 + FRAME - len(out)]
            self.played[head] = at + len(piece) // 2
            out += piece
            if len(self.given[head]) > self.played[head] * 2:
                break
            if head not in self.done:
                break
            self.order.pop(0)
        return out

    def pick(self, seed: int) -> int:
        return seed % (self.fresh + 1) if self.fresh else 99


_OPERATIONS = ("open", "add", "add", "add", "finish", "drop", "flush", "pause", "resume", "frame", "frame", "frame")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_OPERATIONS), st.integers(0, 700)), max_size=80))
def test_nothing_is_lost_repeated_or_reordered_over_any_sequence_of_operations(script: list[tuple[str, int]]) -> None:
    ledger = _Ledger()
    for name, number in script:
        operation: Any = getattr(ledger, name)
        operation(number)
    started = [segment for name, segment in ledger.events if name == "started"]
    finished = [segment for name, segment in ledger.events if name == "finished"]
    assert started == sorted(set(started))
    assert finished == sorted(set(finished))
