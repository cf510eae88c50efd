"""Programs that must not outlive the test that started them, however that ends."""

import shutil
from typing import Literal


def dying_with_us(by: Literal["KILL", "TERM"] = "KILL") -> list[str]:
    """What goes before a command so that the kernel signals it when we are gone. TERM is for what has children of its
    own to end. Empty where there is no setpriv (util-linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", by, "--"] if setpriv else []
