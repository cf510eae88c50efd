"""Measure the conversation on human speech: `make bench-conversation`, or `python -m scripts.bench_conversation`.

    --turns --split train --only ours       when turns end, on the training half: the one to tune on (under a minute
                                            once the models' scores are in the cache)
    --turns --split train --only ours --list    each turn that was cut or slow, with the policy's own reasons
    --write                                 put the numbers and the picture into docs/
    --quick                                 a tenth of it, and without the latency, to see that it works

With none of `--turns`, `--only`, `--list`: when turns end, then, in programs of their own, what interrupts (`barge`),
how long answers take (`latency`) and what the engines of this machine make of callers (`embedded`). The test half is
for the page.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from scripts.bench_conversation import corpus, page, plots, recordings, sources, tables
from scripts.bench_conversation.hearing import Scores
from scripts.bench_conversation.turns import SETTINGS, Bench, curve, prepared
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.speech import models
from sovereign_pbx.testing.progress_line import ProgressLine

QUICK = 0.1


def main() -> int:
    arguments = _arguments()
    line = ProgressLine("bench-conversation")
    try:
        models.fetch(["silero-vad", "smart-turn", "whisper-tiny.en", "whisper-base"])
        _report_recordings(arguments.write, line)
        _turn_ends(arguments, line)
        return 0 if arguments.turns or arguments.only or arguments.list else _others(arguments)
    except SovereignError as exc:
        print(f"bench-conversation: {exc}", file=sys.stderr)
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", action="store_true", help="when turns end, and no other part")
    parser.add_argument("--split", choices=["train", "test"], default="test")
    parser.add_argument("--only", choices=list(SETTINGS), help="one policy's curve")
    parser.add_argument("--share", type=float, default=1.0, help="use this share of the items")
    parser.add_argument("--quick", action="store_true", help=f"the same as --share {QUICK}")
    parser.add_argument("--list", action="store_true", help="each turn that was cut or slow, with the reasons")
    parser.add_argument("--write", action="store_true", help="put the numbers into docs/conversation.md")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.share = QUICK
    if arguments.write and (arguments.split != "test" or arguments.share < 1 or arguments.only):
        parser.error("the page shows all of the test half")
    return arguments


def _report_recordings(write: bool, line: ProgressLine) -> None:
    found = recordings.load(line)
    line.end()
    for name in sources.strangers():
        print(f"bench-conversation: {name} holds other recordings than the page was made from", file=sys.stderr)
    if write:
        page.write("recordings", sources.table(found))


def _others(arguments: argparse.Namespace) -> int:
    """The other parts, each a program of its own; 0 when all went well."""
    parts = {"barge": ["--share", str(arguments.share)]}
    if arguments.share == 1:  # they play calls in real time and have no smaller measure
        parts |= {"latency": [], "embedded": []}
    failed = 0
    for part, options in parts.items():
        command = [sys.executable, "-m", f"scripts.bench_conversation.{part}", *options]
        failed += subprocess.run([*command, *(["--write"] if arguments.write else [])], check=False).returncode != 0
    return 1 if failed else 0


def _turn_ends(arguments: argparse.Namespace, line: ProgressLine) -> None:
    began = time.monotonic()
    items = corpus.load(arguments.split, share=arguments.share, progress=line)
    policies = [arguments.only] if arguments.only else list(SETTINGS)
    scores = Scores()
    try:
        bench = prepared(items, scores, policies, line)
        line.end()
        _tell(bench, policies, arguments)
    finally:
        scores.close()
    print(f"{len(items)} turns of the {arguments.split} half, {time.monotonic() - began:.0f} s", flush=True)


def _tell(bench: Bench, policies: Sequence[str], arguments: argparse.Namespace) -> None:
    sweeps = {policy: bench.sweep(policy) for policy in policies}
    curves = {policy: curve(sweep) for policy, sweep in sweeps.items()}
    summary = [tables.equal(curves), tables.usual(curves)]
    if len(policies) > 1:
        summary += [tables.verdict(curves), tables.lead(curves)]
    details = tables.parts(sweeps), tables.breakdown(sweeps)
    print("\n".join([*summary, *(tables.whole(policy, points) for policy, points in curves.items()), *details]))
    if arguments.list:
        print(tables.listing(bench, policies[0]))
    if arguments.write:
        page.write("turns", "\n".join(summary))
        page.write("turns by", "\n".join(details))
        plots.draw_curves(curves, page.PAGE.with_name("conversation-turns.svg"))


if __name__ == "__main__":
    sys.exit(main())
