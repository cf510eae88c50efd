"""A small one of the proof that `scripts/prove_campaign.py` is: telephones of every kind, and one `kill -9`."""

from pathlib import Path

import pytest

from tests.calls.campaign_proof import Plan, prove
from tests.calls.scene_stage import play

pytestmark = [pytest.mark.pbx, pytest.mark.long, pytest.mark.timeout(170)]


def test_twenty_leads_and_a_kill(asterisk_root: Path, tmp_path: Path) -> None:
    """One attempt each: who is to be tried again has to wait for a minute."""
    plan = Plan(
        leads=20,
        kills=1,
        restarts=0,
        away=2,
        unwanted=2,
        attempts=1,
        per_minute=200,
        until_gap_s=6.0,
        gap_s=3.0,
        within_s=120.0,
    )
    outcome = play(prove(asterisk_root, tmp_path, plan, lambda line: None))
    assert outcome.well, outcome.table()
