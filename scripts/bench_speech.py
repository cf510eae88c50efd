"""What the words and the room behind them cost: microseconds a sentence, and a tick of a call.

    python scripts/bench_speech.py

Processor time of this thread, the best of several rounds: what other work does on the machine is left out.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from sovereign_pbx.core.clauses import Clauses
from sovereign_pbx.core.speakable import speakable
from sovereign_pbx.core.spoken import lexicon_of, say
from sovereign_pbx.media.background import FADE_S, Background, loop
from sovereign_pbx.media.levels import dbfs, window_dbfs
from sovereign_pbx.media.rooms import CLIPS

RATE = 8000
ROUNDS = 9
SENTENCES = (
    ("nl", "Natuurlijk, ik kijk het meteen even voor u na, een ogenblikje alstublieft."),
    ("nl", "We zijn open van 9:00 tot 17:30, bel 06-12345678 of mail info@example.nl."),
    ("en", "That is no problem at all, I will put you through to my colleague now."),
    ("en", "It costs $12.50 and we open at 9 a.m. on November 20, 2026."),
    ("de", "Das kostet 12,50 €, wir öffnen am 20. November um 9:30 Uhr."),
    ("fr", "Ça coûte 12,50 €, appelez le 06 12 34 56 78 à 14h30."),
)


def cost_us(work: Callable[[], object], times: int) -> float:
    """Of one run of `work`, in microseconds."""
    work()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(times):
            work()
        best = min(best, (time.thread_time() - began) / times * 1e6)
    return best


def sentences() -> None:
    print(f"{'':2} {'chars':>5} {'all µs':>7} {'addresses µs':>12} {'markup µs':>9}  sentence")
    for code, text in SENTENCES:
        lexicon = lexicon_of(code)
        whole = cost_us(partial(say, text, lexicon), 50)
        part = cost_us(partial(say, text, lexicon, full=False), 50)
        markup = cost_us(partial(speakable, text), 50)
        print(f"{code} {len(text):>5} {whole:>7.0f} {part:>12.0f} {markup:>9.0f}  {text}")


def clauses() -> None:
    text = SENTENCES[0][1] + " " + SENTENCES[1][1] + " "
    tokens = [text[at : at + 4] for at in range(0, len(text), 4)]

    def stream() -> None:
        cutter = Clauses()
        for token in tokens:
            cutter.feed(token)

    print(f"\nclauses: {cost_us(stream, 10) / len(tokens):.1f} µs a token")


def rooms() -> None:
    heads = f"{'made s':>6} {'dBFS':>6} {'peak':>6} {'quiet':>6} {'loud':>6} {'alone µs':>8} {'under speech µs':>15}"
    print(f"\n{'clip':13} {heads}")
    said = (np.sin(np.arange(RATE // 50) / 3) * 8000).astype("<i2").tobytes()
    for clip in CLIPS:
        began = time.perf_counter()
        found = loop(clip, 0.3, RATE)
        made_s = time.perf_counter() - began
        samples = found.rows.reshape(-1)
        level = window_dbfs(samples, RATE, 100)
        background = Background(found, RATE)
        for _ in range(int(FADE_S * 50)):
            background.mix(None)
        peak = 20 * np.log10(np.abs(samples.astype(int)).max() / 32768)
        print(
            f"{clip:13} {made_s:>6.2f} {dbfs(samples):>6.1f} {peak:>6.1f} {np.percentile(level, 5):>6.1f}"
            f" {np.percentile(level, 95):>6.1f} {cost_us(partial(background.mix, None), 500):>8.2f}"
            f" {cost_us(partial(background.mix, said), 500):>15.2f}"
        )


if __name__ == "__main__":
    sentences()
    clauses()
    rooms()
