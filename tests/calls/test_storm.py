"""The storm in small: more callers than may call within two seconds, of whom exactly as many are let in as may."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(120)
def test_in_a_storm_exactly_the_limit_is_let_in_and_the_others_are_the_dialplans_within_a_second() -> None:
    command = [sys.executable, "scripts/prove_storm.py", "--offered", "40", "--limit", "8", "--within", "2"]
    done = subprocess.run(
        [*command, "--seconds", "15", "--no-baseline"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| let in | 8 |" in done.stdout
    assert "| sent to the fallback | 32 |" in done.stdout
