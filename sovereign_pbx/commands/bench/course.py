"""One caller's course through a conversation: questions, a one-word answer, sentences with a pause, a short "oh".

What the recogniser makes of it all is scripted, in this order; so is what the assistant answers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal

from sovereign_pbx.commands.bench.load import Lost, sound
from sovereign_pbx.core.audio import FRAME_S, PHONE_RATE, SAMPLE_BYTES
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller, NotAnswered
from sovereign_pbx.testing.heard import Sound
from sovereign_pbx.testing.providers.ear import Ear
from sovereign_pbx.testing.utterance import Utterance

Kind = Literal["question", "word", "pause", "oh"]

PAUSE_S: Final = 0.7
BEGIN_S: Final = 4.0  # the greeting is over
STEP_S: Final = 6.0  # what is said, its answer even where it comes late, and a breath
PAUSED_STEP_S: Final = 7.0  # the same of a sentence with a pause
OH_S: Final = 2.9  # into the last answer, and into a sentence of it
LISTEN_S: Final = 4.0  # to how the assistant takes that
ANSWER_S: Final = 3.5  # an answer that begins later than this counts as lost
SLACK_S: Final = 0.06  # what began within it of the caller's going on was on its way already

Course = tuple[tuple[Kind, tuple[str, ...]], ...]
COURSE: Final[Course] = (
    ("question", ("question",)),
    ("word", ("yes",)),
    ("pause", ("pause1a", "pause1b")),
    ("question", ("question",)),
    ("pause", ("pause2a", "pause2b")),
    ("word", ("yes",)),
    ("pause", ("pause3a", "pause3b")),
    ("question", ("question",)),
    ("oh", ("oh",)),
)
"""What is said, in sounds; a pause of `PAUSE_S` lies between the two of a sentence."""

_TEXTS: Final = {
    "question": "What time do you open in the morning?",
    "yes": "Yes.",
    "oh": "Oh.",
    "pause1a": "I would like to book a table for",
    "pause1b": "two people on Sunday.",
    "pause2a": "Could you tell me if",
    "pause2b": "you are open on Sunday?",
    "pause3a": "I have got a question",
    "pause3b": "about your opening hours.",
}
_LAST_QUESTION: Final = "What do you bake all day long then?"  # the same sound, and a long answer
_ANSWER: Final = "We open at nine, and we close at five."
_LONG: Final = (
    "We bake bread in the morning, and cakes at noon, and when the afternoon comes we clean the ovens and wait for"
    " tomorrow, because everything begins again long before the sun is up."
)
COURSE_S: Final = BEGIN_S + PAUSED_STEP_S * len(COURSE) + LISTEN_S  # no longer than that


def seconds(name: str) -> float:
    """How long a sound is loud, as the scripted recogniser hears it."""
    loud = list(Ear("linear16", PHONE_RATE).slices(sound(name)))
    return FRAME_S * (len(loud) - loud.index(True) - loud[::-1].index(True))


def script() -> dict[str, Any]:
    """What recogniser and model say in the course of it."""
    names = [name for _, sounds in COURSE for name in sounds]
    said = [{"text": _TEXTS[name], "seconds": seconds(name)} for name in names]
    said[-2]["text"] = _LAST_QUESTION
    answers = [_ANSWER, {"when": _LAST_QUESTION, "text": _LONG}, {"when": "Oh.", "text": "Right."}]
    return {"deepgram": said, "openai": answers}


@dataclass(slots=True)
class Met:
    """What callers met, added up."""

    question_ms: list[float] = field(default_factory=list)
    word_ms: list[float] = field(default_factory=list)
    pauses: int = 0
    talked_into: int = 0
    ohs: int = 0
    stopped_by_oh: int = 0
    unanswered: int = 0
    lost: int = 0

    def add(self, other: "Met") -> None:
        """Take in another caller's."""
        self.question_ms += other.question_ms
        self.word_ms += other.word_ms
        for name in ("pauses", "talked_into", "ohs", "stopped_by_oh", "unanswered", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


async def follow(caller: AudioSocketCaller, begin_s: float, *, steps: int = len(COURSE)) -> Met:
    """Be a caller who goes through the course, or its first `steps`, beginning after `begin_s`."""
    await asyncio.sleep(begin_s)
    met = Met()
    async with caller:
        try:
            await caller.place()
            spoken = await _speak(caller, COURSE[:steps])
        except (NotAnswered, Lost):
            met.lost += 1
            return met
        work_out(spoken, caller.heard.sounds(join_s=0.1), met)
        await caller.hang_up()
    return met


async def _speak(caller: AudioSocketCaller, course: Course) -> list[tuple[Kind, list[Utterance]]]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    spoken: list[tuple[Kind, list[Utterance]]] = []
    at = began + BEGIN_S
    for kind, names in course:
        if kind == "oh":
            await asyncio.wait_for(spoken[-1][1][-1].finished.wait(), STEP_S)
            await asyncio.sleep(OH_S)
        else:
            await asyncio.sleep(max(0.0, at - loop.time()))
            at += STEP_S if len(names) == 1 else PAUSED_STEP_S
        if caller.leg is None or caller.leg.ended.is_set():
            raise Lost
        said = []
        for place, name in enumerate(names):
            if place:
                caller.say(bytes(int(PAUSE_S * PHONE_RATE) * SAMPLE_BYTES))
            said.append(caller.say(sound(name)))
        spoken.append((kind, said))
    await asyncio.sleep(LISTEN_S)
    return spoken


def work_out(spoken: Sequence[tuple[Kind, Sequence[Utterance]]], sounds: Sequence[Sound], met: Met) -> None:
    """Compare what was said with what was heard meanwhile."""
    for kind, said in spoken:
        if kind == "oh":
            _take_oh(said[0], sounds, met)
            continue
        for one, next_one in pairwise(said):
            met.pauses += 1
            met.talked_into += _talked_into(one, next_one, sounds)
        ended = said[-1].ended_at or 0.0
        begins = [each.start for each in sounds if ended <= each.start < ended + ANSWER_S]
        met.unanswered += not begins
        times = {"question": met.question_ms, "word": met.word_ms}.get(kind)
        if begins and times is not None:
            times.append((begins[0] - ended) * 1000)


def _talked_into(one: Utterance, next_one: Utterance, sounds: Sequence[Sound]) -> bool:
    begins, ends = one.ended_at or 0.0, next_one.started_at or 0.0
    return any(begins <= each.start < ends + SLACK_S for each in sounds)


def _take_oh(oh: Utterance, sounds: Sequence[Sound], met: Met) -> None:
    """It was said into a long answer: was as much heard after it as there is to an answer that goes on?"""
    at = oh.started_at or 0.0
    if not any(each.start <= at < each.end for each in sounds):
        return  # a breath between two sentences: there was nothing to stop
    met.ohs += 1
    after = sum(min(each.end, at + LISTEN_S) - max(each.start, at) for each in sounds if each.end > at < at + LISTEN_S)
    met.stopped_by_oh += after < LISTEN_S / 2
