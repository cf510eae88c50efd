"""The table of all operations in the documentation is drawn from the operations themselves."""

import subprocess
import sys

from tests.imports import ROOT


def test_the_table_in_docs_is_what_the_operations_say() -> None:
    script = ROOT / "scripts" / "draw-operations.py"
    drawn = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=30)
    assert drawn.returncode == 0, drawn.stderr
