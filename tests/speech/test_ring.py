"""The un-finalised audio of a recogniser's stream."""

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.speech.stt.ring import AudioRing

RATE = 8000
FRAME = bytes(320)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 80)),
        st.tuples(st.just("take"), st.integers(1, 4000)),
        st.tuples(st.just("settle"), st.integers(0, 40)),
        st.tuples(st.just("rewind"), st.just(0)),
    ),
    max_size=60,
)


def test_audio_is_taken_in_the_order_it_came() -> None:
    ring = AudioRing(RATE)
    ring.append(b"\x01\x02" * 4)
    ring.append(b"\x03\x04" * 4)
    assert ring.take(8) + ring.take(100) == b"\x01\x02" * 4 + b"\x03\x04" * 4
    assert ring.take(100) == b""


def test_a_new_connection_gets_everything_that_is_not_final() -> None:
    ring = AudioRing(RATE)
    for number in range(50):
        ring.append(bytes([number]) * 320)
    ring.take(50 * 320)
    ring.settle(0.4)
    ring.rewind()
    assert ring.origin_s == 0.4
    assert ring.take(320) == bytes([20]) * 320


def test_audio_that_was_never_sent_cannot_be_settled() -> None:
    ring = AudioRing(RATE)
    ring.append(FRAME * 10)
    ring.take(320)
    ring.settle(5.0)
    assert ring.unsent == 9 * 320


def test_over_the_limit_the_oldest_is_dropped_and_counted_and_the_clock_stays_right() -> None:
    ring = AudioRing(RATE, keep_s=1.0)
    ring.append(FRAME * 10)
    ring.take(320 * 10)
    ring.append(FRAME * 60)  # 0.2 s too much before, of which the sent 0.2 s go first
    assert ring.dropped_bytes == 20 * 320
    assert ring.start_s == 0.4
    assert ring.origin_s == 0.2  # 0.2 s of unsent audio were never seen by the connection


@given(steps)
def test_positions_never_cross_and_the_limit_holds(moves: list[tuple[str, int]]) -> None:
    ring = AudioRing(RATE, keep_s=1.0)
    appended = 0
    for move, amount in moves:
        if move == "append":
            ring.append(FRAME * amount)
            appended += len(FRAME) * amount
        elif move == "take":
            ring.take(amount * 2)
        elif move == "settle":
            ring.settle(amount / 10)
        else:
            ring.rewind()
        assert 0 <= ring.unsent <= RATE * 2
        assert 0 <= ring.origin_s <= ring.end_s
        assert ring.start_s <= ring.end_s == appended / (RATE * 2)
