"""What loss, jitter and re-ordering do to a call: how much is understood of what is said on bad networks.

    .venv/bin/python -m scripts.impairment docs/impairment.csv
    .venv/bin/python scripts/draw-impairment.py docs/impairment.csv docs/impairment.svg

Telephones (µ-law, plain) talk to the daemon's own RTP sessions over impaired lines, all at once and in real time; both
sides speak all the while. What the sessions hear is read by the embedded recogniser: "understood", of a person's
recordings. What the telephones hear is read by the same: "heard", of the embedded voice. Each line is a row of the
table for either direction, with the quality that the session itself tells of.

The recordings and the models are fetched once per user (a few hundred megabytes). Takes about ten minutes on two cores.
"""

import argparse
import asyncio
import csv
import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path as File

import uvloop

from scripts.impairment.path import Condition, Path
from scripts.impairment.phone import Phone
from scripts.impairment.speech import Listener, Programme, assistants, callers, words
from sovereign_pbx.core.audio import FRAME_S, PHONE_RATE, frame_bytes
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.media.link import LinkQuality
from sovereign_pbx.media.schedule import Schedule
from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.rtp_ports import RtpPorts
from sovereign_pbx.pbx.sip.rtp_session import RtpSession
from sovereign_pbx.speech import models
from sovereign_pbx.testing.progress_line import ProgressLine
from sovereign_pbx.wire.negotiation import answer

LOSSES, HOPELESS = (0.0, 1.0, 3.0, 5.0), (10.0, 20.0)
JITTERS = (0.0, 20.0, 60.0)
CONDITIONS = (
    *(Condition(loss_percent=loss, jitter_ms=jitter) for jitter in JITTERS for loss in LOSSES),
    *(Condition(jitter_ms=jitter, reordered=True) for jitter in JITTERS[1:]),
    *(Condition(loss_percent=loss) for loss in HOPELESS),
)
SENTENCES, ROUNDS, QUICK = 24, 2, 4
PORTS = (40000, 40999)
SILENCE = bytes(frame_bytes(PHONE_RATE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line in one direction. The figures behind `errors` are the session's own."""

    round: int
    direction: str  # "understood" by us, or "heard" by the caller
    loss_percent: float
    jitter_ms: float
    reordered: bool
    really_lost_percent: float  # on the way, without what came too late
    missing_percent: float  # of what should have been heard, what came too late included
    told_lost_percent: float | None  # as the call tells it; of what callers hear, what the telephone reported
    words: int
    errors: int
    mos: float
    jitter_told_ms: float | None
    delay_ms: float
    concealed_ms: float
    round_trip_ms: float | None


class Line:
    """A telephone and a session, with a bad network between."""

    def __init__(self, condition: Condition, phone: Phone, session: RtpSession, link: RtpLink) -> None:
        self.condition, self.phone, self.session = condition, phone, session
        self.heard = bytearray()  # by us, from the beginning of the programmes
        self.quality: LinkQuality | None = None  # once it is closed
        self._link = link

    @classmethod
    async def open(cls, condition: Condition, ports: RtpPorts, seed: int) -> "Line":
        phone = await Phone.open(Path(condition, seed), Path(condition, seed + 1))
        socket = await ports.open()
        agreed, _ = answer(phone.offer(), host="127.0.0.1", port=socket.port, codecs=("PCMU",), srtp="off")
        session = RtpSession(socket)
        session.begin(agreed)
        phone.call(socket.port)
        return cls(condition, phone, session, session.link(PHONE_RATE))

    def tick(self, to_us: bytes, to_them: bytes) -> None:
        """20 ms, as the media clock does it."""
        self.phone.tick(to_us)
        frame = self._link.take()
        self.heard += frame if frame is not None else SILENCE
        if frame is not None and (more := self._link.take()) is not None:
            self.heard += more
        self._link.put(to_them)

    def skip(self, ticks: int) -> None:
        """We stood still: nobody spoke or listened, but time went by."""
        self.phone.skip(ticks)
        self.heard += SILENCE * ticks

    def close(self) -> None:
        self.quality = self._link.quality()
        self._link.close()
        self.session.close()
        self.phone.close()


def frame_of(pcm: bytes, number: int) -> bytes:
    at = number * len(SILENCE)
    return pcm[at : at + len(SILENCE)].ljust(len(SILENCE), b"\0")


async def play(lines: Sequence[Line], said: Programme, spoken: Programme, progress: ProgressLine) -> tuple[float, int]:
    """Both programmes on every line; (when they began, how many ticks this machine stood still)."""
    ticks = int(max(said.seconds, spoken.seconds) / FRAME_S) + 50
    began = time.monotonic()
    schedule, number = Schedule(began), 0
    while number < ticks:
        await asyncio.sleep(max(0.0, schedule.next_at - time.monotonic()))
        due = schedule.due(time.monotonic())
        for line in lines if due.skipped else ():
            line.skip(due.skipped)
        number += due.skipped
        for _ in range(due.ticks):
            to_us, to_them = frame_of(said.pcm, number), frame_of(spoken.pcm, number)
            for line in lines:
                line.tick(to_us, to_them)
            number += 1
            if not number % 250:
                progress(f"{len(lines)} lines talk, {number * FRAME_S:.0f} of {ticks * FRAME_S:.0f} s", number / ticks)
    return began, int(schedule.skipped)


def rows_of(line: Line, number: int, said: Programme, spoken: Programme, began: float, listener: Listener) -> list[Row]:
    """What came of a line, in round `number`. Blocks."""
    condition, phone, quality = line.condition, line.phone, line.quality
    assert quality is not None  # it is an RTP link, and has been closed
    arrived, missing = phone.heard(began, spoken.seconds)
    common = {
        "round": number,
        **asdict(condition),
        "mos": round(quality.mos, 2),
        "delay_ms": round(quality.delay_ms, 1),
        "concealed_ms": round(quality.concealed_ms),
        "round_trip_ms": None if quality.round_trip_ms is None else round(quality.round_trip_ms, 1),
    }
    ways = (
        (
            "understood",
            bytes(line.heard),
            said,
            phone.out,
            quality.loss_percent,
            quality.loss_percent,
            quality.jitter_ms,
        ),
        ("heard", arrived, spoken, phone.back, missing, quality.far_loss_percent, quality.far_jitter_ms),
    )
    return [
        Row(
            direction=direction,
            really_lost_percent=round(path.lost_percent, 2),
            missing_percent=round(gone, 2),
            told_lost_percent=None if told is None else round(told, 2),
            words=sum(len(words(each.text)) for each in programme.said),
            errors=sum(listener.errors(each, pcm) for each in programme.said),
            jitter_told_ms=None if jitter is None else round(jitter, 1),
            **common,
        )
        for direction, pcm, programme, path, gone, told, jitter in ways
    ]


async def one_round(
    number: int, conditions: Sequence[Condition], said: Programme, spoken: Programme, progress: ProgressLine
) -> tuple[list[Line], float]:
    """Lines on which everything has been said, and when that began."""
    ports = RtpPorts("127.0.0.1", *PORTS)
    seed = 1000 * number
    lines = [await Line.open(condition, ports, seed + 2 * CONDITIONS.index(condition)) for condition in conditions]
    began, skipped = await play(lines, said, spoken, progress)
    for line in lines:
        line.close()
    if skipped:
        print(f"impairment: this machine stood still for {skipped * FRAME_S:g} s, which counts too", file=sys.stderr)
    return lines, began


async def measure(conditions: Sequence[Condition], sentences: int, rounds: int, progress: ProgressLine) -> list[Row]:
    said = await asyncio.to_thread(callers, sentences, progress)
    spoken = await assistants(sentences)
    gc.freeze()
    rows: list[Row] = []
    for number in range(1, rounds + 1):
        lines, began = await one_round(number, conditions, said, spoken, progress)
        listener = await asyncio.to_thread(Listener)  # it spins on every core: not while the lines talk
        for at, line in enumerate(lines):
            progress(f"reading line {at + 1} of {len(lines)}", at / len(lines))
            rows += await asyncio.to_thread(rows_of, line, number, said, spoken, began, listener)
        await asyncio.to_thread(listener.close)
    return rows


def write(rows: Sequence[Row], file: File) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, [field.name for field in fields(Row)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=File, help="the CSV to be written")
    parser.add_argument("--sentences", type=int, default=SENTENCES, help=f"a line and direction, {SENTENCES} at most")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often, each time with other dice")
    parser.add_argument("--above", type=float, default=-1.0, help="only the lines that lose more than so many percent")
    parser.add_argument("--quick", action="store_true", help="one round of a few sentences, to see that it works")
    options = parser.parse_args()
    conditions = [condition for condition in CONDITIONS if condition.loss_percent > options.above]
    progress = ProgressLine("impairment")
    try:
        models.fetch(["whisper-tiny.en"])
        sentences, rounds = (QUICK, 1) if options.quick else (min(options.sentences, SENTENCES), options.rounds)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rows = runner.run(measure(conditions, sentences, rounds, progress))
    except SovereignError as exc:
        print(f"impairment: {exc}", file=sys.stderr)
        return 2
    write(rows, options.table)
    progress.end(f"{len(rows)} rows in {options.table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
