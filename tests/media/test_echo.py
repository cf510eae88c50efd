"""Our own voice on the line: told from the caller's, and taken away."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sovereign_pbx.media.echo import TAIL_MS, EchoGuard
from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm

RATE, FRAME = 8000, 160
Signal = NDArray[np.float64]


def voice(seed: int, seconds: float = 4.0) -> Signal:
    """Something like speech: syllables of noise with formants that move, and pauses."""
    dice = np.random.default_rng(seed)
    pieces: list[Signal] = []
    while sum(piece.size for piece in pieces) < seconds * RATE:
        length = int(dice.uniform(0.1, 0.3) * RATE)
        at = np.arange(length) / RATE
        pitch, formant = dice.uniform(90, 220), dice.uniform(400, 2500)
        source = np.sign(np.sin(2 * np.pi * np.cumsum(pitch * (1 + 0.1 * at)) / RATE)) + 0.5 * dice.standard_normal(
            length
        )
        ring = np.exp(-np.arange(40) / 8) * np.cos(2 * np.pi * formant * np.arange(40) / RATE)
        pieces += [np.convolve(source, ring)[:length] * np.hanning(length), np.zeros(int(dice.uniform(0, 0.12) * RATE))]
    signal = np.concatenate(pieces)[: int(seconds * RATE)]
    return np.asarray(signal / np.sqrt(np.mean(signal**2)) * 3000, dtype=np.float64)


def returned(far: Signal, loss_db: float, delay_ms: float, seed: int = 1) -> Signal:
    dice = np.random.default_rng(seed)
    path = dice.standard_normal(56) * np.exp(-np.arange(56) / 11)
    late = np.concatenate((np.zeros(int(delay_ms * 8)), np.convolve(far, path)))[: far.size]
    return np.asarray(late * np.sqrt(np.mean(far**2) / np.mean(late**2)) * 10 ** (-loss_db / 20), dtype=np.float64)


def frames(signal: Signal) -> list[bytes]:
    pcm = np.clip(signal, -32768, 32767).astype("<i2").tobytes()
    coded = ulaw_to_pcm(pcm_to_ulaw(pcm))
    return [coded[at : at + 2 * FRAME] for at in range(0, len(coded) - 2 * FRAME + 1, 2 * FRAME)]


def through(guard: EchoGuard, sent: Iterable[bytes | None], received: Iterable[bytes], every: int = 8) -> Signal:
    """What comes out behind the guard; the voice detector finds an onset in every so many ticks."""
    out = []
    for tick, (far, near) in enumerate(zip(sent, received, strict=True)):
        out.append(guard.clean(near))
        if tick % every == every - 1 and loud(out[-1]):
            guard.refuses()
        guard.sent(far)
    return np.frombuffer(b"".join(out), "<i2").astype(np.float64)


def loud(frame: bytes) -> bool:
    return float(np.abs(np.frombuffer(frame, "<i2").astype(float)).mean()) > 100


def level(signal: Signal) -> float:
    return float(np.sqrt(np.mean(signal**2)))


@pytest.mark.parametrize("loss_db", [6, 13, 20])
@pytest.mark.parametrize("delay_ms", [20, 90, 300])
def test_an_echo_is_recognised_and_taken_away(loss_db: float, delay_ms: float) -> None:
    far = voice(1)
    echo = returned(far, loss_db, delay_ms)
    left = through(EchoGuard(RATE), frames(far), frames(echo))
    later = slice(RATE, left.size)
    assert level(left[later]) < level(echo[later]) / 10


def test_the_first_echo_of_a_call_is_refused_within_its_first_syllables() -> None:
    far = voice(2)
    guard = EchoGuard(RATE)
    ours = far[: 20 * FRAME]
    through(guard, frames(ours), frames(returned(ours, 10, 60)), every=99)
    assert guard.refuses()
    assert guard.statistics()["onsets_refused"] == 1
    assert abs(guard.statistics()["delay_ms"] - 60 + 2) <= 2  # the filter begins 2 ms before


def test_a_caller_over_our_speech_is_not_refused() -> None:
    told = 0
    for seed in range(20):
        far, near = voice(seed), voice(100 + seed)
        guard = EchoGuard(RATE)
        silence = np.zeros_like(near)
        start = 2 * RATE
        silence[start:] = near[: near.size - start]
        stop = (start + 1200) // FRAME
        through(guard, frames(far)[:stop], frames(silence)[:stop], every=999)
        told += not guard.refuses()
    assert told >= 19


def test_a_caller_over_a_known_echo_is_let_through_whole() -> None:
    far, near = voice(3), voice(4)
    speech = np.zeros_like(far)
    speech[2 * RATE : 3 * RATE] = near[:RATE]
    left = through(EchoGuard(RATE), frames(far), frames(returned(far, 10, 80) + speech))
    window = slice(int(2.05 * RATE), 3 * RATE)
    agreement = float(np.corrcoef(left[window], speech[window])[0, 1])
    assert agreement > 0.95
    assert level(left[window]) > 0.8 * level(speech[window])


def test_a_line_without_echo_passes_every_sample_as_it_came() -> None:
    far, near = voice(5), voice(6)
    near[: 2 * RATE] = 0
    received = frames(near)
    guard = EchoGuard(RATE)
    left = [guard.clean(frame) for frame, _ in zip(received, map(guard.sent, frames(far)), strict=True)]
    assert left == received
    assert guard.statistics()["frames_cleaned"] == 0


def test_nothing_is_ours_long_after_we_fell_silent() -> None:
    guard = EchoGuard(RATE)
    far = frames(voice(7, 1.0))
    for frame in far:
        guard.clean(frame)
        guard.sent(frame)
    assert guard.active
    for _ in range(TAIL_MS // 20 + 1):
        guard.clean(far[0])
        guard.sent(None)
    assert not guard.active
    assert not guard.refuses()


def test_an_echo_whose_delay_jumps_is_found_again() -> None:
    far = voice(8, 8.0)
    jumping = np.concatenate((returned(far, 10, 60)[: 4 * RATE], returned(far, 10, 100)[4 * RATE :]))
    guard = EchoGuard(RATE)
    left = through(guard, frames(far), frames(jumping), every=4)
    assert level(left[5 * RATE :]) < level(jumping[5 * RATE :]) / 10


def test_two_frames_in_one_tick_are_cleaned_each_at_its_own_time() -> None:
    far = voice(9)
    echo = frames(returned(far, 10, 120))
    guard, left = EchoGuard(RATE), b""
    for tick, frame in enumerate(frames(far)):
        late = tick > 60 and tick % 10 in (4, 5)
        if not late:
            left += guard.clean(echo[tick])
        elif tick % 10 == 5:
            left += guard.clean(echo[tick - 1], 1) + guard.clean(echo[tick])
        if tick in (12, 20, 28):
            guard.refuses()
        guard.sent(frame)
    tail = np.frombuffer(left, "<i2").astype(float)[2 * RATE :]
    assert level(tail) < level(returned(far, 10, 120)[2 * RATE :]) / 10


def test_a_wideband_line_is_guarded_too() -> None:
    far = np.repeat(voice(10), 2)
    path = np.random.default_rng(1).standard_normal(112) * np.exp(-np.arange(112) / 22)  # 7 ms
    echo = np.concatenate((np.zeros(1600), np.convolve(far, path)))[: far.size] * 0.15
    guard, out = EchoGuard(16000), []
    for tick in range(far.size // 320):
        part = slice(tick * 320, tick * 320 + 320)
        out.append(guard.clean(echo[part].astype("<i2").tobytes()))
        if tick in (12, 20, 28):
            guard.refuses()
        guard.sent(far[part].astype("<i2").tobytes())
    left = np.frombuffer(b"".join(out), "<i2").astype(float)
    assert level(left[16000:]) < level(echo[16000:]) / 10


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["loud", "silent", "noise"]), min_size=4, max_size=60), st.integers(0, 1000))
def test_whatever_comes_in_frames_stay_frames_and_nothing_grows(kinds: list[str], seed: int) -> None:
    dice = np.random.default_rng(seed)
    guard = EchoGuard(RATE)
    for kind in kinds:
        amplitude = {"loud": 32767, "silent": 0, "noise": 200}[kind]
        near, far = (dice.integers(-amplitude, amplitude + 1, FRAME).astype("<i2") for _ in range(2))
        cleaned = guard.clean(near.tobytes())
        assert len(cleaned) == 2 * FRAME
        assert level(np.frombuffer(cleaned, "<i2").astype(float)) <= level(near.astype(float)) + 1
        guard.refuses()
        guard.sent(far.tobytes() if kind != "silent" else None)
