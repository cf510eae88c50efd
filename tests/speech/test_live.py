"""A recogniser's stream against sockets that misbehave, without a network."""

import asyncio
from typing import Any, cast

import pytest

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.sockets import Socket
from sovereign_pbx.speech.stt import Heard
from sovereign_pbx.speech.stt.live import LiveStream, Patience, Reading
from tests.speech.hearing import Hearing
from tests.speech.running import SOON_S, eventually, run_clean
from tests.speech.sounds import quiet


class Wire:
    """A socket that notes what is sent, and hangs if told to."""

    def __init__(self, hangs: bool = False) -> None:
        self.hangs = hangs
        self.sent: list[bytes | str] = []
        self.inbox: asyncio.Queue[str | ProviderError] = asyncio.Queue()
        self.closed = 0

    async def hand_over(self, message: bytes | str) -> None:
        if self.hangs:
            await asyncio.sleep(3600)
        self.sent.append(message)

    async def receive(self) -> str:
        item = await self.inbox.get()
        if isinstance(item, ProviderError):
            raise item
        return item

    async def close(self, farewell: str | None = None) -> None:
        self.closed += 1

    def is_deaf(self, waiting_s: float) -> bool:
        return waiting_s > 0.2

    def deaf(self) -> ProviderError:
        return self.fault("stalled", "deaf")

    def fault(self, kind: Any, detail: str) -> ProviderError:
        return ProviderError("vendor", "stt", kind, detail)


class Words:
    """A dialect in which every message is a final text; "bug" is a fault of ours."""

    chunk_ms = 20
    farewell = "bye"

    def __init__(self, *wires: Wire | ProviderError) -> None:
        self.wires = list(wires)
        self.connects_at: list[float] = []

    async def connect(self, within_s: float | None = None) -> Socket:
        self.connects_at.append(asyncio.get_running_loop().time())
        wire = self.wires.pop(0) if len(self.wires) > 1 else self.wires[0]
        if isinstance(wire, ProviderError):
            raise wire
        return cast(Socket, wire)

    def read(self, message: str | bytes) -> Reading:
        if message == "bug":
            raise RuntimeError("a fault of ours")
        return Reading((Heard(str(message), True),), alive=True)

    def finalize(self) -> str:
        return "finalize"

    def keep_alive(self) -> str:
        return "alive"


def opened(first: Wire, dialect: Words, **patience: float) -> Hearing:
    limits = Patience(**{"answer_s": 5.0, "outage_s": 1.0, **patience})
    return Hearing(LiveStream(dialect, cast(Socket, first), 8000, limits))


REFUSED = ProviderError("vendor", "stt", "refused")


def test_a_send_that_hangs_is_noticed_and_everything_goes_out_again_on_a_new_connection() -> None:
    async def main() -> None:
        deaf, well = Wire(hangs=True), Wire()
        heard = opened(deaf, Words(well))
        for _ in range(10):
            heard.stream.send(quiet())
        await eventually(lambda: sum(len(part) for part in well.sent) == 3200, "the audio went out again")
        assert deaf.closed == 1
        await heard.stream.close()

    run_clean(main())


def test_the_first_reconnect_is_at_once_and_the_next_ones_are_spaced() -> None:
    async def main() -> None:
        wire, dialect = Wire(), Words(REFUSED)
        heard = opened(wire, dialect, outage_s=3.0)
        began = asyncio.get_running_loop().time()
        wire.inbox.put_nowait(ProviderError("vendor", "stt", "dropped"))
        await heard.listen()
        assert heard.error is REFUSED
        waits = [at - began for at in dialect.connects_at]
        assert waits[0] < waits[1] - 0.1  # the second one waits, the first did not
        assert 2 <= len(waits) <= 8
        assert asyncio.get_running_loop().time() - began < 3.0 + SOON_S
        await heard.stream.close()

    run_clean(main())


async def speak(heard: Hearing, frames: int) -> None:
    heard.stream.speech(True)
    for _ in range(frames):
        heard.stream.send(quiet())
    heard.stream.speech(False)


def test_speech_that_stays_unanswered_counts_as_an_outage_from_its_beginning() -> None:
    async def main() -> None:
        dialect = Words(Wire())
        heard = opened(Wire(), dialect, answer_s=0.3, outage_s=0.2)
        began = asyncio.get_running_loop().time()
        await speak(heard, 40)
        await heard.listen()
        assert heard.error is not None
        assert heard.error.kind == "stalled"
        assert dialect.connects_at == []  # the limit was passed when it was noticed: the next provider has its turn
        assert asyncio.get_running_loop().time() - began < SOON_S
        await heard.stream.close()

    run_clean(main())


def test_a_cough_need_not_be_answered_and_an_answer_ends_the_waiting() -> None:
    async def main() -> None:
        wire = Wire()
        heard = opened(wire, Words(Wire()), answer_s=0.2, outage_s=0.1)
        await speak(heard, 10)
        await asyncio.sleep(0.5)
        await speak(heard, 60)
        wire.inbox.put_nowait("heard")
        await asyncio.sleep(0.5)
        assert heard.error is None
        assert wire.closed == 0
        await heard.stream.close()

    run_clean(main())


def test_a_caller_who_talks_on_is_answered_in_between_or_the_line_is_dead() -> None:
    async def main() -> None:
        wire = Wire()
        heard = opened(wire, Words(Wire()), answer_s=0.3, outage_s=0.1)
        listening = asyncio.create_task(heard.listen())
        heard.stream.speech(True)
        for number in range(3):
            for _ in range(20):
                heard.stream.send(quiet())
            wire.inbox.put_nowait(f"part {number}")
            await asyncio.sleep(0.2)
        assert heard.error is None
        for _ in range(30):
            heard.stream.send(quiet())
        await listening
        assert heard.error is not None
        assert heard.error.kind == "stalled"
        await heard.stream.close()

    run_clean(main())


def test_an_outage_is_over_when_the_vendor_answers_again() -> None:
    async def main() -> None:
        wires = [Wire() for _ in range(4)]
        heard = opened(wires[0], Words(*wires[1:], REFUSED), outage_s=0.3)
        listening = asyncio.create_task(heard.listen())
        for number, wire in enumerate(wires):
            wire.inbox.put_nowait(f"text {number}")
            await eventually(lambda: len(heard.finals) == number + 1, "the text was heard")  # noqa: B023 - waited for
            await asyncio.sleep(0.2)
            wire.inbox.put_nowait(ProviderError("vendor", "stt", "dropped"))
        await listening  # after the last one there is nobody any more
        assert len(heard.finals) == 4
        await heard.stream.close()

    run_clean(main())


def test_a_finalise_goes_out_behind_the_audio_that_it_is_to_cover() -> None:
    async def main() -> None:
        wire = Wire()
        heard = opened(wire, Words(Wire()))
        heard.stream.send(quiet())
        heard.stream.finalize()
        heard.stream.send(bytes(100))  # less than a chunk goes out too when a final is wanted
        await eventually(lambda: "finalize" in wire.sent, "it was sent")
        assert b"".join(part for part in wire.sent[:-1] if isinstance(part, bytes)) == quiet() + bytes(100)
        assert wire.sent[-1] == "finalize"
        await heard.stream.close()

    run_clean(main())


def test_a_fault_of_our_own_is_reported_instead_of_leaving_the_call_waiting() -> None:
    async def main() -> None:
        wire = Wire()
        heard = opened(wire, Words(Wire()))
        wire.inbox.put_nowait("bug")
        await heard.listen()
        assert heard.error is not None
        assert heard.error.kind == "garbled"
        await heard.stream.close()

    run_clean(main())


@pytest.mark.parametrize("events", [1, 255, 256, 400])
def test_closing_ends_the_iterator_however_much_was_unread(events: int) -> None:
    async def main() -> None:
        wire = Wire()
        heard = opened(wire, Words(Wire()))
        for number in range(events):
            wire.inbox.put_nowait(str(number))
        await asyncio.sleep(0.05)
        await heard.stream.close()
        await heard.listen()
        assert len(heard.finals) <= 256

    run_clean(main())
