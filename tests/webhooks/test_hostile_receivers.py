"""The script that measures what bad receivers do to a good one still runs, and finds nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "hostile-receivers.py"


@pytest.mark.parametrize("kind", ["redirects", "TLS"])
def test_a_good_receiver_is_not_hurt(kind: str) -> None:
    arguments = ["--seconds", "0.5", "--only", kind, "--limit-ms", "2000"]  # a test is no measurement
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 4 and kind in done.stdout
