"""The page of attacks names every test that makes one, and no other."""

import subprocess
import sys

from tests.imports import ROOT


def test_the_attacks_in_docs_are_those_that_tests_make() -> None:
    script = ROOT / "scripts" / "draw-attacks.py"
    drawn = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=30)
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
