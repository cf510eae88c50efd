"""The embedded stack on a real Asterisk: what was understood of callers, and how long they waited for an answer.

One call a language over SIP and RTP (G.711 µ-law): the private Asterisk, the shipped dialplan, a daemon in a process of
its own with Whisper and a voice of this machine. The caller says sentences one after the other and hears each answer
out. What the call record holds of his words is compared with what he said; what he waited is measured at his ear and by
the turns of the record. The receptionist answers without a language model, so the waits are those of hearing, deciding
and speaking; a call with the language model is measured beside it.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import zlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import tomli_w
from numpy.typing import NDArray

from scripts.bench_conversation import page, recordings
from scripts.bench_conversation.recordings import Recording
from scripts.bench_conversation.tables import markdown
from sovereign_pbx.commands.demo.stage import Ports, asterisk_for, running_daemon
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.core.values import TurnRecord
from sovereign_pbx.speech import models
from sovereign_pbx.speech.tts.pico import Pico
from sovereign_pbx.store import reading as stored
from sovereign_pbx.store import schema
from sovereign_pbx.testing.asterisk_tree import asterisk_tree
from sovereign_pbx.testing.debian_packages import Progress, quiet
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.progress_line import ProgressLine
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone

NUMBER: Final = "100"
_ANSWER_S: Final = 40.0  # the language model on two busy cores
_FINISHED_S: Final = 1.2
_AUDIBLE: Final = 330  # -40 dBFS
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

# Whisper's model and the voice of each language. Pico speaks no Dutch: a Dutch caller is answered by the German voice.
ENGINES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "en": ("tiny.en", {"provider": "hibari", "language": "en"}),
    "fr": ("base", {"provider": "pico", "language": "fr"}),
    "es": ("base", {"provider": "pico", "language": "es"}),
    "de": ("base", {"provider": "pico", "language": "de"}),
    "nl": ("base", {"provider": "pico", "voice_id": "de-DE"}),
}


# What a synthetic caller says, where there are no free recordings of people with their words.
SYNTHETIC: Final[dict[str, tuple[str, ...]]] = {
    "de": (
        "Guten Tag, wann haben Sie am Montag geöffnet?",
        "Ich möchte gern einen Termin für nächste Woche.",
        "Wo finde ich Ihre Praxis in der Stadt?",
        "Können Sie mich mit der Buchhaltung verbinden?",
        "Meine Rechnung ist noch nicht angekommen.",
        "Wie lange dauert die Lieferung nach Hamburg?",
        "Das ist leider nicht das, was ich bestellt habe.",
        "Bitte rufen Sie mich morgen früh zurück.",
        "Haben Sie auch am Wochenende geöffnet?",
        "Vielen Dank für Ihre Hilfe und auf Wiederhören.",
    )
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a caller says: 8 kHz PCM, its words, and who speaks ("human" or the name of a synthetic voice)."""

    text: str
    pcm: bytes
    voice: str

    @property
    def tail_s(self) -> float:
        """The silence behind the last audible sample: the caller has stopped speaking before his audio ends."""
        loud = np.flatnonzero(np.abs(np.frombuffer(self.pcm, "<i2").astype(np.int32)) > _AUDIBLE)
        return (len(self.pcm) // 2 - int(loud[-1]) - 1) / PHONE_RATE if loud.size else 0.0


@dataclass(slots=True)
class Outcome:
    """One call. Waits in milliseconds, from the caller's last sample."""

    language: str
    model: str
    voice: str
    said: list[str] = field(default_factory=list)
    understood: str = ""
    at_the_ear_ms: list[float] = field(default_factory=list)
    unanswered: int = 0
    turns: list[TurnRecord] = field(default_factory=list)

    @property
    def word_errors(self) -> float:
        """Errors by word, over the whole call: turns that were split or joined cost nothing by themselves."""
        return word_error_rate(" ".join(self.said), self.understood)


async def sentences(language: str, recorded: Sequence[Recording], count: int) -> list[Sentence]:
    """`count` whole sentences of people in `language`, or of a synthetic voice where there are none of people."""
    found = [one for one in recorded if one.kind == "speech" and one.language == language and _fit(one)]
    if not found:
        return await _synthetic(language, count)
    chosen = sorted(found, key=lambda one: zlib.crc32(f"{one.voice}/{one.name}".encode()))[:count]
    return [Sentence(one.text, _quiet_edges(one.audio), one.voice) for one in chosen]


def _fit(one: Recording) -> bool:
    """A sentence of words only: how a number is written says nothing about what was understood."""
    seconds = one.audio.size / PHONE_RATE
    plain = not any(character.isdigit() for character in one.text)
    return one.whole and plain and 1.2 <= seconds <= 6.0 and len(_words(one.text)) >= 4


def _quiet_edges(audio: NDArray[np.int16]) -> bytes:
    edge = np.zeros(PHONE_RATE // 10, np.int16)
    return np.concatenate([edge, audio, edge]).astype("<i2").tobytes()


async def _synthetic(language: str, count: int) -> list[Sentence]:
    maker = Pico(language=language, render_s=60.0)  # nobody waits on a line for it
    voice = await maker.open(rate=PHONE_RATE, language=language)
    try:
        return [
            Sentence(text, b"".join([audio.pcm async for audio in voice.speak(text)]), "synthetic (Pico)")
            for text in SYNTHETIC[language][:count]
        ]
    finally:
        await voice.close()


def word_error_rate(said: str, understood: str) -> float:
    """Substitutions, insertions and deletions for each word said; case and punctuation do not count."""
    truth, found = _words(said), _words(understood)
    row = list(range(len(found) + 1))
    for place, word in enumerate(truth, 1):
        before, row[0] = row[0], place
        for other, candidate in enumerate(found, 1):
            change = before + (word != candidate)
            before, row[other] = row[other], min(change, row[other] + 1, row[other - 1] + 1)
    return row[-1] / max(1, len(truth))


def _words(text: str) -> list[str]:
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def call(language: str, sentences: Sequence[Sentence], *, model: str = "receptionist") -> Outcome:
    """Place one call and say `sentences`. Raises what a daemon or an Asterisk that does not start raises."""
    outcome = Outcome(language, model, sentences[0].voice, [sentence.text for sentence in sentences])
    root = await asyncio.to_thread(lambda: asterisk_tree().root)
    with tempfile.TemporaryDirectory(prefix="sovereign-embedded-") as work:
        folder = Path(work)
        async with AsyncExitStack() as stack:
            block = reserve_ports()
            stack.callback(block.release)
            ports = Ports(block)
            asterisk = await stack.enter_async_context(asterisk_for(root, ports))
            config = _configuration(ports, folder, language, model)
            await stack.enter_async_context(running_daemon(config, ports, folder / "daemon.log"))
            phone = await stack.enter_async_context(SipPhone(asterisk.sip_address, port=asterisk.caller_port))
            line = await phone.call(NUMBER, name="Caller", user="caller")
            await line.answered(30.0)
            await _converse(line, sentences, outcome)
            await line.hang_up()
            await asyncio.sleep(1.0)  # the daemon writes the end of the call
        _read_record(folder / "state" / "sovereign.sqlite", outcome)
    return outcome


def _configuration(ports: Ports, folder: Path, language: str, model: str) -> Path:
    recogniser, voice = ENGINES[language]
    llm: dict[str, Any] = {"provider": "receptionist", "facts": [], "language": "nl" if language == "nl" else "en"}
    if model != "receptionist":
        prompt = "You answer the telephone of a shop. Answer in one short sentence."
        llm = {"provider": model, "temperature": 0.0, "messages": [{"role": "system", "content": prompt}]}
    settings = {
        "daemon": {"state_dir": str(folder / "state"), "drain_seconds": 2},
        "http": {"port": ports.http},
        "asterisk": {"agi": {"port": ports.agi}, "audiosocket": {"port": ports.audio}},
        "providers": {"local": {"first_s": 25.0, "gap_s": 15.0}},
        "assistants": {
            "clerk": {
                "name": "Clerk",
                "first_message": "Hello.",
                "stt_config": {"provider": "whisper", "model": recogniser, "language": language},
                "llm_config": llm,
                "tts_config": voice,
            }
        },
        "numbers": [{"number": NUMBER, "assistant": "clerk"}],
    }
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(settings), "utf-8")
    return path


async def _converse(line: SipCall, sentences: Sequence[Sentence], outcome: Outcome) -> None:
    heard = line.ear.heard
    await _silence_after(heard, line.answered_at or 0.0)
    for sentence in sentences:
        spoken = line.say(sentence.pcm)
        await asyncio.wait_for(spoken.finished.wait(), len(sentence.pcm) / 16000 + 10)
        assert spoken.ended_at is not None
        silent_at = spoken.ended_at - sentence.tail_s
        began = await _answer(heard, silent_at)
        if began is None:
            outcome.unanswered += 1
            continue
        outcome.at_the_ear_ms.append((began - silent_at) * 1000)
        await _silence_after(heard, began)


async def _answer(heard: Heard, after: float) -> float | None:
    """When the caller first heard something after `after`."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            while True:
                for sound in heard.sounds(join_s=0.1):
                    if sound.end > after:
                        return max(sound.start, after)
                await asyncio.sleep(0.05)
    except TimeoutError:
        return None


async def _silence_after(heard: Heard, since: float) -> None:
    """Until the assistant has finished what it began at `since`."""
    now = asyncio.get_running_loop().time
    async with asyncio.timeout(60):
        while True:
            ends = [sound.end for sound in heard.sounds() if sound.end > since]
            if ends and now() - ends[-1] > _FINISHED_S:
                return
            await asyncio.sleep(0.05)


def _read_record(database: Path, outcome: Outcome) -> None:
    connection = schema.connect_observer(database)
    try:
        (row,) = stored.calls(connection, 1, 0, None)
        messages = [message for _, message in stored.messages_with_times(connection, row.id)]
        outcome.turns = stored.turns(connection, row.id)
    finally:
        connection.close()
    outcome.understood = " ".join(message.content for message in messages if message.role == "user")


async def measured(recorded: Sequence[Recording], *, count: int = 10, progress: Progress = quiet) -> list[Outcome]:
    """A call in every language, then one with the language model in English."""
    outcomes = []
    for language in ENGINES:
        progress(f"embedded stack: a call in {language}", len(outcomes) / (len(ENGINES) + 1))
        outcomes.append(await call(language, await sentences(language, recorded, count)))
    progress("embedded stack: a call with the language model", len(outcomes) / (len(ENGINES) + 1))
    outcomes.append(await call("en", await sentences("en", recorded, count), model="local"))
    return outcomes


HEAD: Final = (
    "language",
    "caller",
    "answers",
    "sentences",
    "word errors",
    "wait at the ear, p50 ms",
    "p95 ms",
    "deciding",
    "last words",
    "model",
    "voice",
    "unanswered",
)


def row(outcome: Outcome) -> list[str]:
    """language, who speaks, sentences, word errors, wait p50 / p95 at the ear, the record's parts (median)."""
    waits = outcome.at_the_ear_ms
    timings = [turn.timing for turn in outcome.turns if turn.timing is not None and turn.said]

    def part(name: str) -> str:
        return f"{median([getattr(timing, name) for timing in timings]):.0f}" if timings else "-"

    return [
        outcome.language,
        outcome.voice,
        outcome.model,
        str(len(outcome.said)),
        f"{outcome.word_errors:.1%}",
        f"{median(waits):.0f}" if waits else "-",
        f"{percentile(waits, 0.95):.0f}" if waits else "-",
        *(part(name) for name in ("endpointing_ms", "stt_ms", "llm_ms", "tts_ms")),
        str(outcome.unanswered),
    ]


def main() -> int:
    """`python -m scripts.bench_conversation.embedded [--write]`: six calls, about eight minutes on two quiet cores."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/conversation.md")
    parser.add_argument("--count", type=int, default=10, help="sentences a call")
    arguments = parser.parse_args()
    line = ProgressLine("bench-conversation")
    try:
        models.fetch(["tests", "demo"])
        recorded = recordings.load(line)
        outcomes = asyncio.run(measured(recorded, count=arguments.count, progress=line))
    except SovereignError as exc:
        line.end()
        print(f"bench-conversation: {exc}", file=sys.stderr)
        return 2
    line.end()
    table = markdown(HEAD, [row(outcome) for outcome in outcomes])
    print(table)
    if arguments.write:
        page.write("embedded", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
