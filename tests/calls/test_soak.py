"""The soak in small: callers who come and go, and what the daemon keeps of them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(120)
def test_callers_who_come_and_go_for_twenty_seconds_leave_nothing_behind() -> None:
    command = [sys.executable, "scripts/soak.py", "--minutes", "0.2", "--callers", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing stayed" in done.stdout
