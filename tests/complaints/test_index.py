"""Every complaint that is known about others has a named test, and the page says which."""

import subprocess
import sys

from tests.imports import ROOT


def test_the_complaints_in_docs_are_those_that_tests_name() -> None:
    script = ROOT / "scripts" / "draw-complaints.py"
    drawn = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=30)
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
