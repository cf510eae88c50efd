"""Recordings of whole calls, compared with what was sent and heard: what is in the file, where, and what is not.

What the caller sends is noise, found in the file by correlation; every time is that of the sender's own clock.
"""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.media.age import opened
from sovereign_pbx.media.age_keys import new_secret_key, public_key_of, public_text
from sovereign_pbx.media.wav import read_wav
from sovereign_pbx.store import CallRow
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.colleague import Colleague
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.utterance import Utterance
from tests.calls.house import QUESTION, House, assistant, house, play, quiet
from tests.calls.realtime_house import asks, greeted, live_assistant, live_house
from tests.calls.test_keys import COLLECTOR
from tests.calls.test_transfers import DIALLING, goes
from tests.waiting import until

RATE = 8000
PART = RATE // 10
RECORDING: dict[str, Any] = {"recording": {"enabled": True}}
ASKS = {"enabled": True, "message": "This call is recorded. Press 1 to agree."}

Sound = NDArray[np.int16]


def noise(seed: int, seconds: float = 0.5) -> Sound:
    """Too soft for speech, and like nothing else."""
    return np.random.default_rng(seed).integers(-250, 250, int(seconds * RATE)).astype(np.int16)


def fit(signal: Sound, channel: Sound) -> tuple[int, float]:
    """(the sample at which the signal fits the channel best, however loud that is around it; how well, 1: to the
    bit)."""
    places = len(channel) - len(signal) + 1
    if places <= 0:
        return 0, 0.0
    size = 1 << (len(signal) + len(channel)).bit_length()
    here, there = signal.astype(float), channel.astype(float)
    product = np.fft.irfft(np.fft.rfft(there, size) * np.conj(np.fft.rfft(here, size)), size)[:places]
    energy = np.concatenate(([0.0], np.cumsum(there**2)))
    loudness = np.sqrt(np.maximum(energy[len(signal) :] - energy[: -len(signal)], 0.0))
    fits = product / (max(np.linalg.norm(here), 1.0) * np.maximum(loudness, 1.0))
    return int(np.argmax(fits)), float(fits.max())


def begins(signal: Sound, channel: Sound) -> list[float]:
    """Where the signal would begin, in seconds, by each tenth of a second of it that is in the channel to the bit: a
    machine that is busy loses a frame now and then on the way."""
    found = [(at, fit(signal[at : at + PART], channel)) for at in range(0, len(signal) - PART + 1, PART)]
    return [(there - at) / RATE for at, (there, fits) in found if fits > 0.97]


def share(signal: Sound, channel: Sound) -> float:
    """How much of the signal is in the channel."""
    return len(begins(signal, channel)) * PART / len(signal)


def where(signal: Sound, channel: Sound) -> float:
    """When it began, in seconds of the recording."""
    return float(np.median(begins(signal, channel)))


def are_in(channel: Sound, *seeds: int, seconds: float = 0.5) -> list[bool]:
    """Whether each noise is there; one that is there in a small part only is neither."""
    shares = [share(noise(seed, seconds), channel) for seed in seeds]
    assert all(one == 0 or one >= 0.4 for one in shares), shares
    return [one > 0 for one in shares]


async def sends(caller: AudioSocketCaller, signal: Sound) -> Utterance:
    said = caller.say(signal.tobytes())
    await said.finished.wait()
    return said


async def row_of(place: House) -> CallRow:
    await place.reported()
    (row,) = await place.rows()
    return row


async def channels(row: CallRow) -> tuple[Sound, Sound]:
    assert row.recording_path is not None
    left, right = (await asyncio.to_thread(read_wav, Path(row.recording_path)))[1]
    return left, right


def the_call(place: House) -> str:
    (call_id,) = (call.id for call in place.daemon.desk._calls.values())
    return call_id


def test_both_sides_lie_where_they_were_sent_and_heard(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **RECORDING) as place, place.caller() as caller:
            await caller.place()
            first = await sends(caller, noise(1))
            await quiet(caller)
            second = await sends(caller, noise(2))
            await caller.hang_up()
            row = await row_of(place)
            left, right = await channels(row)
            first_at, second_at = where(noise(1), left), where(noise(2), left)
            assert first.started_at is not None and second.started_at is not None
            assert second_at - first_at == pytest.approx(second.started_at - first.started_at, abs=0.06)
            (greeting, *_) = caller.heard.sounds()
            heard = np.frombuffer(caller.heard.recording(first.started_at), "<i2")
            start = int((greeting.start - first.started_at) * RATE) + PART
            spoken = where(heard[start : start + RATE // 2].copy(), right)
            assert spoken - first_at == pytest.approx(start / RATE, abs=0.15)  # the lead, and a frame's jitter
            assert len(left) == len(right) and row.recording is not None
            assert row.recording["duration_seconds"] == pytest.approx(len(left) / RATE, abs=0.01)

    play(scene())


def test_not_a_sample_is_in_the_file_from_before_the_caller_agreed(tmp_path: Path) -> None:
    async def scene() -> None:
        asking = {"reception": assistant(recording_consent=ASKS)}
        async with house(tmp_path, asking, **RECORDING) as place, place.caller() as caller:
            await caller.place()
            await sends(caller, noise(1))
            await quiet(caller)
            await sends(caller, noise(2))
            assert not list((tmp_path / "state" / "recordings").iterdir())
            await asyncio.sleep(0.2)  # until what is on its way has arrived
            caller.press("1")
            await quiet(caller, 1)
            await sends(caller, noise(3))
            await caller.hang_up()
            left, _ = await channels(await row_of(place))
            assert are_in(left, 1, 2, 3) == [False, False, True]

    play(scene())


def test_who_does_not_agree_is_not_recorded_and_the_row_says_why(tmp_path: Path) -> None:
    async def scene() -> None:
        asking = {"reception": assistant(recording_consent=ASKS)}
        async with house(tmp_path, asking, **RECORDING) as place, place.caller() as caller:
            await caller.place()
            await caller.hang_up()
            row = await row_of(place)
            assert (row.recording_path, row.recording) == (None, {"error": "the caller did not agree to be recorded"})

    play(scene())


def test_an_order_pauses_the_recording_and_the_axis_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **RECORDING) as place, place.caller() as caller:
            await caller.place()
            await quiet(caller)
            before = await sends(caller, noise(1))
            desk = place.daemon.desk
            await asyncio.sleep(0.2)
            await desk.pause_recording(the_call(place), True)
            await sends(caller, noise(2))
            await asyncio.sleep(0.2)
            await desk.pause_recording(the_call(place), False)
            await asyncio.sleep(0.2)
            after = await sends(caller, noise(3))
            await caller.hang_up()
            row = await row_of(place)
            left, _ = await channels(row)
            assert are_in(left, 1, 2, 3) == [True, False, True]
            assert before.started_at is not None and after.started_at is not None
            passed = where(noise(3), left) - where(noise(1), left)
            assert passed == pytest.approx(after.started_at - before.started_at, abs=0.06)
            assert row.recording is not None and row.recording["paused_seconds"] == pytest.approx(0.7, abs=0.2)

    play(scene())


def test_a_call_that_is_not_recorded_can_not_be_paused(tmp_path: Path) -> None:
    async def scene() -> None:
        silent = {"reception": assistant(recording={"enabled": False})}
        async with house(tmp_path, silent, **RECORDING) as place, place.caller() as caller:
            await caller.place()
            with pytest.raises(Refused) as refused:
                await place.daemon.desk.pause_recording(the_call(place), True)
            assert refused.value.code == "not_recorded"
            await caller.hang_up()
            row = await row_of(place)
            assert (row.recording_path, row.recording) == (None, None)

    play(scene())


def pausing(body: dict[str, Any]) -> Answer:
    """Pauses at the first question, and goes on at the second."""
    asked = sum(message["role"] == "user" for message in body["messages"])
    done = sum(message["role"] == "tool" for message in body["messages"])
    if done < asked:
        return Answer(tools=((("pause_recording", "resume_recording")[done], "{}"),))
    return Answer("All right.")


def answers_of(body: dict[str, Any]) -> list[str]:
    """What its tools have told the model."""
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


def test_the_model_pauses_the_recording_and_goes_on_with_it(tmp_path: Path) -> None:
    async def scene() -> None:
        able = {"reception": assistant(recording={"pause_tools": True})}
        async with house(tmp_path, able, **RECORDING) as place, place.caller() as caller:
            place.openai.script = pausing
            await caller.place()
            await quiet(caller)
            await sends(caller, noise(1))
            await caller.say(QUESTION).finished.wait()
            await until(lambda: len(place.openai.requests) >= 2)
            await quiet(caller, 1)
            await sends(caller, noise(2))
            await caller.say(QUESTION).finished.wait()
            await until(lambda: len(place.openai.requests) >= 4)
            await quiet(caller, 2)
            await sends(caller, noise(3))
            await caller.hang_up()
            left, _ = await channels(await row_of(place))
            assert are_in(left, 1, 2, 3) == [True, False, True]
            told = max((answers_of(request) for request in place.openai.requests), key=len)
            assert told == [
                "The recording is paused. Nothing of what is said now is kept in it.",
                "The recording goes on.",
            ]

    play(scene())


@pytest.mark.parametrize("pauses", [True, False])
def test_while_masked_keys_are_collected_the_recording_is_silent_unless_that_is_off(
    tmp_path: Path, pauses: bool
) -> None:
    async def scene() -> None:
        digits = {"collectors": [{**COLLECTOR, "min_digits": 4, "max_digits": 4, "mask": True}]}
        able = {"reception": assistant(digits=digits, recording={"pause_for_keys": pauses})}
        async with house(tmp_path, able, **RECORDING) as place, place.caller() as caller:
            place.openai.script = lambda body: (
                Answer("Thank you.")
                if any(message["role"] == "tool" for message in body["messages"])
                else Answer(tools=(("card_number", "{}"),))
            )
            await caller.place()
            await quiet(caller)
            await caller.say(QUESTION).finished.wait()
            await until(lambda: len(place.openai.requests) >= 1)
            await quiet(caller, 1)
            await sends(caller, noise(1))  # the tones of keys are as loud in the line
            caller.press("1234")
            await until(lambda: len(place.openai.requests) >= 2)
            await quiet(caller, 2)
            await sends(caller, noise(2))
            await caller.hang_up()
            left, _ = await channels(await row_of(place))
            assert are_in(left, 1, 2) == [not pauses, True]

    play(scene())


def test_a_caller_who_was_away_is_silent_for_as_long_and_the_file_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **DIALLING, **RECORDING) as place, place.caller() as caller:
            caller.colleagues = [Colleague(status="NOANSWER", rings_s=2.5)]
            spoken = asyncio.ensure_future(sends_when_up(caller, noise(1)))
            await goes(place, caller)
            before = await spoken
            await until(lambda: caller.steps == ["dial", "talk"], 15)
            await quiet(caller, 1)
            after = await sends(caller, noise(2))
            await caller.hang_up()
            row = await row_of(place)
            left, right = await channels(row)
            assert before.started_at is not None and after.started_at is not None
            assert where(noise(2), left) - where(noise(1), left) == pytest.approx(
                after.started_at - before.started_at, abs=0.1
            )
            assert longest_silence(left, right) >= 2.3

    play(scene())


async def sends_when_up(caller: AudioSocketCaller, signal: Sound) -> Utterance:
    await until(lambda: caller.leg is not None, 5.0)
    return await sends(caller, signal)


def longest_silence(*sides: Sound) -> float:
    """Seconds in which there is not one sample on any side."""
    sounding = np.flatnonzero(np.any(np.stack(sides) != 0, axis=0))
    return float(np.diff(sounding).max()) / RATE


def test_an_encrypted_call_has_nothing_in_the_clear_on_the_disk_while_it_goes_on(tmp_path: Path) -> None:
    secret = new_secret_key()
    sealed = {"recording": {"enabled": True, "public_key": public_text(public_key_of(secret))}}

    async def scene() -> None:
        async with house(tmp_path, **sealed) as place, place.caller() as caller:
            await caller.place()
            for n in range(5):
                await sends(caller, noise(n, 1.0))
            folder = tmp_path / "state" / "recordings"
            (file,) = folder.iterdir()
            await until(lambda: file.stat().st_size > 64_000, 5.0)
            on_disk = await asyncio.to_thread(file.read_bytes)
            assert b"WAVE" not in on_disk
            await caller.hang_up()
            row = await row_of(place)
            assert row.recording_path == str(file) and row.recording is not None
            assert row.recording["encrypted"] is True and row.recording["sha256"]
            plain = await asyncio.to_thread(read_sealed, file, secret)
            left = np.frombuffer(plain[44:], "<i2")[::2]
            assert are_in(left, *range(5), seconds=1.0) == [True] * 5

    play(scene())


def read_sealed(file: Path, secret: bytes) -> bytes:
    with file.open("rb") as sealed:
        return b"".join(opened(sealed, [secret]))


def test_a_disk_that_takes_nothing_costs_no_call_and_the_row_says_why(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **RECORDING) as place, place.caller() as caller:
            folder = tmp_path / "state" / "recordings"
            await asyncio.to_thread(folder.rmdir)
            await asyncio.to_thread(folder.write_text, "a file where the folder was")
            await caller.place()
            await quiet(caller)
            await caller.hang_up()
            row = await row_of(place)
            assert (row.status, row.recording_path) == ("ended", None)
            assert row.recording is not None and row.recording["error"] == "File exists"

    play(scene())


def test_a_realtime_model_pauses_too_and_so_does_the_api(tmp_path: Path) -> None:
    async def scene() -> None:
        able = live_assistant(recording={"pause_tools": True})
        async with live_house(tmp_path, "openai", able, **RECORDING) as place, place.house.caller() as caller:
            place.vendor.answers = [Answer(tools=(("pause_recording", "{}"),)), "It is paused."]
            await greeted(caller)
            await sends(caller, noise(1))
            await asks(caller)
            await quiet(caller, 1)
            await sends(caller, noise(2))
            assert await place.order(type="resume-recording") == (
                200,
                {"success": True, "message": "Command sent successfully"},
            )
            await asyncio.sleep(0.2)
            await sends(caller, noise(3))
            await caller.hang_up()
            left, _ = await channels(await row_of(place.house))
            assert are_in(left, 1, 2, 3) == [True, False, True]
            status, told = await place.order(type="pause-recording")
            assert (status, told["code"]) == (400, "call_not_active")

    play(scene())
