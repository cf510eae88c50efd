#!/usr/bin/env python3
"""A campaign on the real Asterisk while the daemon is killed three times and Asterisk once; what became of each lead.

    .venv/bin/python scripts/prove_campaign.py                    two hundred leads, about eight minutes
    .venv/bin/python scripts/prove_campaign.py --leads 40 --kills 1
    .venv/bin/python scripts/prove_campaign.py --write            and put the table into docs/campaigns.md

Telephones that answer, are busy (for good, or once), ring on, are mailboxes or decline stand behind a private Asterisk.
They count for themselves when each rang and until when its line was taken; by that alone window and pace are judged. In
the middle the window shuts for a while; some leads are in another time zone, whose window opens last; some are on the
do-not-call list. Exit status 1 when anything is not as promised.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

HOUSE = Path(__file__).parent.parent
sys.path.insert(0, str(HOUSE))

from sovereign_pbx.testing.asterisk_tree import asterisk_tree  # noqa: E402  found only now
from sovereign_pbx.testing.progress_line import ProgressLine  # noqa: E402  found only now
from tests.calls.campaign_proof import Outcome, Plan, prove  # noqa: E402  found only now
from tests.calls.scene_stage import play  # noqa: E402  found only now

PAGE = HOUSE / "docs" / "campaigns.md"
BEGIN, END = "<!-- proof: scripts/prove_campaign.py --write -->", "<!-- end of proof -->"


def main() -> int:
    asked = _arguments()
    plan = replace(
        Plan(),
        leads=asked.leads,
        kills=asked.kills,
        restarts=asked.restarts,
        away=min(Plan().away, asked.leads // 10),
        unwanted=min(Plan().unwanted, asked.leads // 10),
        at_once=asked.at_once,
        per_minute=asked.per_minute,
        until_gap_s=min(Plan().until_gap_s, asked.leads * 30 / asked.per_minute),
        gap_s=asked.gap,
        seed=asked.seed,
    )
    root = asterisk_tree(ProgressLine("Asterisk")).root
    with tempfile.TemporaryDirectory(prefix="prove-campaign-") as folder:
        outcome: Outcome = play(prove(root, asked.keep or Path(folder), plan, lambda line: print(line, flush=True)))
    text = f"{_heading(plan, outcome)}\n\n{outcome.table()}\n"
    print(f"\n{text}\n{'all as promised' if outcome.well else 'NOT AS PROMISED'}")
    if asked.write and outcome.well:
        _write(text)
    return 0 if outcome.well else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Plan()
    parser.add_argument("--leads", type=int, default=usual.leads)
    parser.add_argument("--kills", type=int, default=usual.kills, help="kill -9 of the daemon")
    parser.add_argument("--restarts", type=int, default=usual.restarts, help="kill -9 of Asterisk")
    parser.add_argument("--at-once", type=int, default=usual.at_once)
    parser.add_argument("--per-minute", type=int, default=usual.per_minute)
    parser.add_argument("--gap", type=float, default=usual.gap_s, help="seconds for which the window is shut")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--keep", type=Path, help="folder for the daemon's files and log, which stay")
    parser.add_argument("--write", action="store_true", help="put the table into docs/campaigns.md")
    return parser.parse_args()


def _heading(plan: Plan, outcome: Outcome) -> str:
    return (
        f"{plan.leads} leads, {plan.at_once} at once, {plan.per_minute} a minute, {plan.kills} × `kill -9` of"
        f" the daemon, {plan.restarts} of Asterisk; {outcome.seconds:.0f} s on {datetime.now(UTC):%Y-%m-%d}:"
    )


def _write(text: str) -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
