"""Measure when turns end on human speech: `python -m scripts.bench_conversation`.

    --turns --split train        the table of the turn policies on the training half (under a minute once cached)
    --turns --only ours          one policy's curve alone; with --list each wrong or slow turn and its reasons

The test half is for the page; tune on the training half.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench_conversation import corpus, tables
from scripts.bench_conversation.hearing import Scores
from scripts.bench_conversation.turns import SETTINGS, prepared
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.testing.progress_line import ProgressLine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", action="store_true", help="the turn policies")
    parser.add_argument("--split", choices=["train", "test"], default="test")
    parser.add_argument("--only", choices=list(SETTINGS), help="one policy")
    parser.add_argument("--share", type=float, default=1.0, help="use this share of the items")
    parser.add_argument("--list", action="store_true", help="each turn that was cut or slow, with the reasons")
    arguments = parser.parse_args()
    try:
        return turn_ends(arguments)
    except SovereignError as exc:
        print(f"bench-conversation: {exc}", file=sys.stderr)
        return 2


def turn_ends(arguments: argparse.Namespace) -> int:
    began, line = time.monotonic(), ProgressLine("bench-conversation")
    items = corpus.load(arguments.split, share=arguments.share, progress=line)
    scores = Scores()
    try:
        policies = [arguments.only] if arguments.only else list(SETTINGS)
        bench = prepared(items, scores, policies, line)
        line.end()
        print(tables.curves(bench, policies))
        print(tables.breakdown(bench, policies))
        if arguments.list:
            print(tables.listing(bench, policies[0]))
    finally:
        scores.close()
    print(f"{len(items)} turns of the {arguments.split} half, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
