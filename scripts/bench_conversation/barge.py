"""How the assistant is interrupted, and by what it is not: `python -m scripts.bench_conversation.barge`.

    --only backchannel --list           one kind of sound; each case that went wrong
    --write                             put the numbers onto the page

Real recordings over a voice of this machine, in stepped time, with the daemon's own clock, voice detector, echo guard,
playout and conversation. Callers are understood word for word. What nobody means as an interruption is also heard by
the embedded Whisper, so that the words that it makes of coughs and music count.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from scripts.bench_conversation import barge_resume, page, recordings
from scripts.bench_conversation.barge_call import Call, Recogniser, Spoken
from scripts.bench_conversation.barge_cases import Case, What, cases
from scripts.bench_conversation.mixing import at_level
from scripts.bench_conversation.tables import markdown
from sovereign_pbx.core import commands as c
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.speech import models
from sovereign_pbx.speech.stt.whisper_engine import OTHER_WINDOW_S, SMALL_WINDOW_S, Engine, EngineKey, Job
from sovereign_pbx.speech.tts.hibari import _render as render  # the voice itself, without a session
from sovereign_pbx.testing.progress_line import ProgressLine

SPEECHES: Final = (
    "We are open every weekday from nine in the morning until six in the evening, and on Saturday we close at four."
    " You will find us at the market square, just behind the old town hall.",
    "Your appointment with the dentist is confirmed for next Thursday afternoon at a quarter past three."
    " Please arrive ten minutes early and bring your insurance card with you.",
    "The restaurant serves breakfast, lunch and dinner seven days a week, and you can book a table by telephone."
    " There is a garage underneath the building, which is free for visitors.",
)
RESUMED: Final = (
    "We are open every weekday from nine in the morning until six in the evening.",
    "Your appointment with the dentist is confirmed for next Thursday afternoon.",
    "I can transfer you to the customer service department if you would like.",
    "The restaurant serves breakfast, lunch and dinner seven days a week.",
    "Please remember to bring your identification and the original invoice.",
    "The delivery will arrive between two and four o'clock on Wednesday.",
    "There is a parking garage underneath the building, and it is free for visitors.",
    "Unfortunately the technician cannot come before the end of the month.",
)
LEVEL_DBFS: Final = -20.0
LABELS: Final[dict[What, str]] = {
    "interruption": "sentences into the assistant's speech",
    "order": "orders (stop, wait, no, one moment)",
    "backchannel": "backchannels, understood",
    "mumble": "backchannels, as Whisper understands them",
    "oh": 'short "oh"s',
    "sound": "coughs, sneezes, laughter, steps and the like",
    "music": "music at 20, 10 and 5 dB",
    "talk": "other people talking at 20, 10 and 5 dB",
    "echo": "echo alone, 6-20 dB, 20-300 ms",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one case. `cut_s`: from the caller's first sample to the last one of the assistant's that was heard."""

    case: Case
    told: bool  # the voice detector's word reached the conversation
    held_s: float
    taken: bool  # the assistant stopped for good
    cut_s: float | None
    words: str


def measured(share: float, only: str | None, progress: ProgressLine) -> list[Outcome]:
    detector = SpeechDetector(models.locate("silero-vad"))
    everything = [case for case in cases(recordings.load(progress), share) if only in (None, case.what)]
    outcomes = []
    for number, case in enumerate(everything):
        outcomes.append(outcome(detector, case, number))
        progress("interrupting", (number + 1) / len(everything))
    return outcomes


def outcome(detector: SpeechDetector, case: Case, number: int) -> Outcome:
    heard: list[str] = []
    spoken = _spoken(SPEECHES[number % len(SPEECHES)])
    plan = Plan(first_message=spoken.text, language=case.language)
    understood_as = case.text if case.own or case.what == "backchannel" else None
    recogniser = _writes_down(understood_as, heard, case.language)
    call = Call(detector, plan, spoken, case.near, recogniser, echo=case.echo, seed=case.seed).run()
    held = [at for at in call.times(c.Pause) if at >= case.at]
    cut = _cut(call, case.at, held[0]) if held else None
    return Outcome(
        case, bool(call.onsets), call.held_s, bool(call.times(c.Flush)), cut, " | ".join(filter(None, heard))
    )


def _cut(call: Call, at: float, held: float) -> float | None:
    """None where the assistant drew breath just then."""
    start = round(at * PHONE_RATE)
    loud = np.flatnonzero(np.abs(call.link.sent[start : round((held + 0.1) * PHONE_RATE)]) > 100)
    return float(loud[-1]) / PHONE_RATE if loud.size else None


def _writes_down(text: str | None, heard: list[str], language: str = "en") -> Recogniser:
    def read(pcm: bytes) -> str:
        found = text if text is not None else understood(pcm, language)
        heard.append(found)
        return found

    return read


@cache
def _spoken(text: str) -> Spoken:
    pcm = render("heart", text, 1.0, PHONE_RATE)
    return Spoken(text, np.clip(at_level(samples_of(pcm), LEVEL_DBFS), -32768, 32767).astype("<i2"))


def understood(pcm: bytes, language: str) -> str:
    """By the embedded Whisper: tiny for English, base for all others."""
    job = Job(pcm, PHONE_RATE, language)
    engine = _engine("tiny.en" if language == "en" else "base")
    engine.submit(job)
    return job.future.result(timeout=60).text


@cache
def _engine(model: str) -> Engine:
    engine = Engine(EngineKey(model, 1, 1, 3, "int8", SMALL_WINDOW_S.get(model, OTHER_WINDOW_S)))
    engine.loading.result(timeout=60)
    return engine


# --- the figures


def report(outcomes: Sequence[Outcome]) -> str:
    """Two tables: who meant to interrupt, and who did not."""
    return f"{_meant(outcomes)}\n{_not_meant(outcomes)}"


def _meant(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for label, chosen in _groups_meant(outcomes):
        cuts = [each.cut_s * 1000 for each in chosen if each.cut_s is not None]
        if cuts:
            p50, p95 = np.percentile(cuts, [50, 95])
            stopped = sum(each.taken for each in chosen)
            rows.append([label, str(len(chosen)), f"{p50:.0f}", f"{p95:.0f}", f"{max(cuts):.0f}", f"{stopped}"])
    return markdown(["meant to interrupt", "cases", "cut p50, ms", "p95", "worst", "took the floor"], rows)


def _groups_meant(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    own = [each for each in outcomes if each.case.what == "interruption"]
    yield "sentences, no echo", [each for each in own if each.case.echo is None]
    yield "sentences, over an echo of 6-20 dB and 20-300 ms", [each for each in own if each.case.echo is not None]
    yield LABELS["order"], [each for each in outcomes if each.case.what == "order"]


def _not_meant(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for what, label in LABELS.items():
        chosen = [each for each in outcomes if each.case.what == what and not each.case.own]
        if chosen:
            held = [each.held_s for each in chosen if each.held_s and not each.taken]
            rows.append(
                [
                    label,
                    str(len(chosen)),
                    f"{sum(each.taken for each in chosen)}",
                    f"{sum(each.told for each in chosen)}",
                    f"{np.median(held):.2f}" if held else "-",
                ]
            )
    return markdown(["not meant to", "cases", "interrupted", "held", "for, median s"], rows)


def _resumed(progress: ProgressLine) -> str:
    speeches = [_spoken(text) for text in RESUMED]
    return barge_resume.table(barge_resume.measured(speeches, lambda pcm: understood(pcm, "en"), progress))


def listing(outcomes: Sequence[Outcome]) -> str:
    """What went wrong."""
    wrong = [each for each in outcomes if each.taken != each.case.own or (each.case.what == "echo" and each.told)]
    return "\n".join(
        f"{each.case.what} {each.case.name}: {'interrupted' if each.taken else 'held'}"
        f" {each.held_s:.2f} s, heard {each.words!r}"
        for each in wrong
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="use this share of the cases")
    parser.add_argument("--only", choices=list(LABELS))
    parser.add_argument("--list", action="store_true", help="each case that went wrong")
    parser.add_argument("--write", action="store_true", help="into docs/conversation.md")
    arguments = parser.parse_args()
    if arguments.write and (arguments.only or arguments.share < 1):
        parser.error("the page shows all of it")
    began, line = time.monotonic(), ProgressLine("bench-conversation")
    outcomes = measured(arguments.share, arguments.only, line)
    text = report(outcomes)
    if arguments.only is None:
        text += f"\n{_resumed(line)}"
    line.end()
    print(text)
    if arguments.write:
        page.write("barge-in", text)
    if arguments.list:
        print(listing(outcomes))
    print(f"{len(outcomes)} cases, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
