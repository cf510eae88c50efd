"""One bench caller's part: a fixed timetable, so that a hundred of them need no attention while they talk.

Every caller asks at the same points of its own call; the calls begin spread over the timetable's period. Everything is
worked out afterwards from what was heard and when.
"""

import asyncio
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files

from sovereign_pbx.commands.bench.callers import BenchCaller
from sovereign_pbx.testing.audiosocket_caller import CallerReport, NotAnswered
from sovereign_pbx.testing.heard import Sound
from sovereign_pbx.testing.utterance import Utterance

FIRST_QUESTION_S = 4.5  # the greeting is over
PERIOD_S = 9.0  # question, answer, and a pause before the next question
INTERRUPT_S = 1.2  # into the answer
ANSWER_S = 4.0  # an answer that begins later than this counts as lost


class Lost(Exception):
    """The call was ended by somebody else."""


@dataclass(slots=True)
class Spoken:
    """Something the caller said. An interruption is meant to stop what is being heard."""

    utterance: Utterance
    interrupts: bool = False


@dataclass(slots=True)
class Outcome:
    """What one caller met."""

    refused: bool = False
    lost: bool = False
    report: CallerReport | None = None
    latencies_ms: list[float] = field(default_factory=list)
    cuts_ms: list[float] = field(default_factory=list)
    unanswered: int = 0
    not_cut: int = 0


def sound(name: str) -> bytes:
    """A sentence shipped with the bench, 8 kHz: `question` or `interruption`."""
    with (
        as_file(files("sovereign_pbx.testing").joinpath("sounds", f"{name}.wav")) as path,
        wave.open(str(path)) as file,
    ):
        pcm: bytes = file.readframes(file.getnframes())
    return pcm


async def talk(caller: BenchCaller, begin_s: float, seconds: float) -> Outcome:
    """Be a caller for `seconds`, beginning after `begin_s`."""
    await asyncio.sleep(begin_s)
    outcome = Outcome()
    async with caller:
        try:
            await caller.place()
        except NotAnswered:
            outcome.refused = True
            return outcome
        try:
            spoken = await _follow_timetable(caller, seconds)
        except Lost:
            outcome.lost = True
            return outcome
        work_out(spoken, caller.heard.sounds(join_s=0.1), outcome)
        outcome.report = caller.report()
        await caller.hang_up()
    return outcome


async def _follow_timetable(caller: BenchCaller, seconds: float) -> list[Spoken]:
    question, interruption = sound("question"), sound("interruption")
    loop = asyncio.get_running_loop()
    began = loop.time()
    spoken: list[Spoken] = []
    number = 0
    while FIRST_QUESTION_S + (number + 1) * PERIOD_S <= seconds:
        await asyncio.sleep(max(0.0, began + FIRST_QUESTION_S + number * PERIOD_S - loop.time()))
        if caller.gone:
            raise Lost
        said = caller.say(question)
        spoken.append(Spoken(said))
        if number == 1:  # once a call, into the second answer
            await asyncio.wait_for(said.finished.wait(), 10.0)
            await asyncio.sleep(INTERRUPT_S + 0.75)
            spoken.append(Spoken(caller.say(interruption), interrupts=True))
        number += 1
    await asyncio.sleep(max(0.0, began + seconds - loop.time()))
    return spoken


def work_out(spoken: Sequence[Spoken], sounds: Sequence[Sound], outcome: Outcome) -> None:
    """How long each answer was waited for, and how soon an interruption silenced the assistant; into `outcome`."""
    for said in spoken:
        started, ended = said.utterance.started_at, said.utterance.ended_at
        if started is None or ended is None:
            continue
        if said.interrupts:
            _work_out_cut(started, sounds, outcome)
        begins = [sound.start for sound in sounds if ended <= sound.start < ended + ANSWER_S]
        if begins:
            outcome.latencies_ms.append((begins[0] - ended) * 1000)
        else:
            outcome.unanswered += 1


def _work_out_cut(started: float, sounds: Sequence[Sound], outcome: Outcome) -> None:
    """From the interruption's first sample to the last sample that was heard of what it interrupted."""
    during = [sound for sound in sounds if sound.start <= started < sound.end]
    if not during:
        return  # a pause between two sentences: there was nothing to cut
    cut = (during[0].end - started) * 1000
    if cut > 1000:
        outcome.not_cut += 1
    else:
        outcome.cuts_ms.append(cut)
