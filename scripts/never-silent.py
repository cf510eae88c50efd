#!/usr/bin/env python3
"""Let each provider fail at each moment of a turn, and print how long the caller hears nothing.

    .venv/bin/python scripts/never-silent.py            every case, about four minutes
    .venv/bin/python scripts/never-silent.py voice      those whose names hold the word

The whole daemon with strict scripted vendors on sockets of their own, no PBX. Silence is measured in what the caller
hears, from the last sample of his question to the end of the answer, or of the apology where there is no answer.
Exit status 1 when a case is over the limit.
"""

import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parent.parent
sys.path.insert(0, str(HOUSE))

import structlog  # noqa: E402  found only now

from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller  # noqa: E402  found only now
from sovereign_pbx.testing.utterance import Utterance  # noqa: E402  found only now
from tests.calls.house import QUESTION, House, assistant, house, play  # noqa: E402  found only now

LIMIT_S = 2.0
POLL_S = 0.01
LONG = "Our friendly neighbourhood workshop has been repairing bicycles since nineteen hundred and twelve."
SHORT = "We open at nine."
SPARE: dict[str, dict[str, Any]] = {
    "llm_config": {"fallbacks": [{"provider": "openai", "model": "spare"}]},
    "tts_config": {"fallbacks": [{"provider": "elevenlabs", "voice_id": "bert"}]},
    "stt_config": {"fallbacks": [{"provider": "deepgram", "model": "nova-2"}]},
}

Break = Callable[[House], None]


@dataclass(frozen=True)
class Case:
    """What breaks, and when: before the question, `in_s` into it, at its end, or `heard_s` into the answer."""

    name: str
    breaks: Break
    when: str = "before"
    answer: str = SHORT
    spares: tuple[str, ...] = ()
    pace: float = 0.05  # of the voice


@dataclass
class Found:
    """What the caller heard: the longest silence, and each stretch of sound after his question, in seconds."""

    longest_s: float
    sounds: list[tuple[float, float]] = field(default_factory=list)


def arm(server: str, *faults: tuple[Any, ...]) -> Break:
    def breaks(place: House) -> None:
        for kind, at, times in faults:
            getattr(place, server).faults.arm(kind, at, times)

    return breaks


def cases() -> list[Case]:
    every = []
    for spares, with_ in (((), ""), (("llm_config", "tts_config", "stt_config"), ", a spare stands by")):
        every += [
            Case(f"model refuses{with_}", arm("openai", ("refuse", "connect", 2)), spares=spares),
            Case(f"model does not answer the connection{with_}", arm("openai", ("stall", "connect", 1)), spares=spares),
            Case(f"model drops before the first word{with_}", arm("openai", ("drop", "first", 1)), spares=spares),
            Case(f"model says nothing{with_}", arm("openai", ("stall", "first", 1)), spares=spares),
            Case(f"model sends garbage{with_}", arm("openai", ("garbage", "first", 1)), spares=spares),
            Case(f"model drops in mid-reply{with_}", arm("openai", ("drop", "middle", 1)), answer=LONG, spares=spares),
            Case(
                f"model stalls in mid-reply{with_}", arm("openai", ("stall", "middle", 1)), answer=LONG, spares=spares
            ),
            Case(f"voice drops before a sound{with_}", arm("elevenlabs", ("drop", "now", 1)), spares=spares),
            Case(f"voice makes no sound{with_}", arm("elevenlabs", ("stall", "now", 1)), spares=spares),
            Case(
                f"voice drops in mid-sentence{with_}",
                arm("elevenlabs", ("drop", "now", 1)),
                "heard",
                LONG,
                spares,
                pace=0.9,
            ),
            Case(
                f"voice stalls in mid-sentence{with_}",
                arm("elevenlabs", ("stall", "now", 1)),
                "heard",
                LONG,
                spares,
                pace=0.9,
            ),
            Case(f"recogniser drops in speech{with_}", arm("deepgram", ("drop", "now", 1)), "in", spares=spares),
            Case(f"recogniser stalls in speech{with_}", arm("deepgram", ("stall", "now", 1)), "in", spares=spares),
            Case(f"recogniser stalls as he ends{with_}", arm("deepgram", ("stall", "now", 1)), "end", spares=spares),
            Case(f"recogniser drops as he ends{with_}", arm("deepgram", ("drop", "now", 1)), "end", spares=spares),
            Case(
                f"recogniser drops and refuses{with_}",
                arm("deepgram", ("drop", "now", 1), ("refuse", "connect", 2)),
                "in",
                spares=spares,
            ),
        ]
    return [Case("nothing fails", lambda place: None), *every]


def configured(spares: tuple[str, ...]) -> dict[str, Any]:
    usual = assistant()
    return assistant(**{block: {**usual[block], **SPARE[block]} for block in spares})


async def until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait for it, and go on without: then the table says so."""
    for _ in range(int(within_s / POLL_S)):
        if condition():
            return
        await asyncio.sleep(POLL_S)


async def played(case: Case, folder: Path) -> Found:
    async with house(folder, {"reception": configured(case.spares)}) as place:
        await place.daemon.ready.wait()
        async with place.caller() as first:  # what is said to everybody is in the cache from here on
            await first.place()
            await asyncio.sleep(2.5)
            await first.hang_up()
        place.openai.script = (case.answer,)
        place.elevenlabs.real_time_factor = case.pace
        async with place.caller() as caller:
            await caller.place()
            await until(lambda: len(caller.heard.sounds()) >= 1, 5)
            await asyncio.sleep(1.8)
            question = await ask(case, place, caller)
            await until(lambda: at_rest(caller, question), 15)
            await caller.hang_up()
            return found(caller, question)


async def ask(case: Case, place: House, caller: AudioSocketCaller) -> Utterance:
    if case.when == "before":
        case.breaks(place)
    question = caller.say(QUESTION)
    if case.when == "in":
        await asyncio.sleep(0.6)
        case.breaks(place)
    await question.finished.wait()
    if case.when == "end":
        case.breaks(place)
    if case.when == "heard":
        await until(lambda: bool(after(caller, question)), 5)
        await asyncio.sleep(1.0)
        case.breaks(place)
    return question


def after(caller: AudioSocketCaller, question: Utterance) -> list[tuple[float, float]]:
    ended_at = question.ended_at or 0.0
    return [(sound.start - ended_at, sound.end - ended_at) for sound in caller.heard.sounds() if sound.start > ended_at]


def at_rest(caller: AudioSocketCaller, question: Utterance) -> bool:
    """Something has been said, and nothing for three seconds."""
    sounds, ended_at = after(caller, question), question.ended_at or 0.0
    return bool(sounds) and asyncio.get_running_loop().time() - ended_at - sounds[-1][1] > 3.0


def found(caller: AudioSocketCaller, question: Utterance) -> Found:
    sounds = after(caller, question)
    edges = [0.0, *(edge for sound in sounds for edge in sound)]
    gaps = [edges[at + 1] - edges[at] for at in range(0, len(edges) - 1, 2)]
    return Found(max(gaps, default=99.0), sounds)


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wanted = " ".join(sys.argv[1:])
    over = 0
    print("| what fails | longest silence | what is heard, seconds after the question |\n|---|---:|---|")
    for case in [case for case in cases() if wanted in case.name]:
        with tempfile.TemporaryDirectory() as folder:
            results: list[Found] = []

            async def scene(case: Case = case, folder: str = folder, results: list[Found] = results) -> None:
                results.append(await played(case, Path(folder)))

            play(scene())
        heard = ", ".join(f"{start:.1f}-{end:.1f}" for start, end in results[0].sounds) or "nothing"
        over += results[0].longest_s > LIMIT_S
        print(f"| {case.name} | {results[0].longest_s:.2f} s | {heard} |", flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
