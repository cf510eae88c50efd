"""A crash leaves no image of the memory behind: keys are in it, and what callers said."""

import resource
from typing import Final

# Less than a page, so that no file is written; and the one value at which Linux does not call a program that collects
# images either (`core(5)`, a pattern that begins with `|`; fs/coredump.c), which 0 does not keep it from.
NO_IMAGE: Final = 1


def forbid() -> None:
    """From now on, for this process and those it starts. A limit that is lower already stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = NO_IMAGE if hard == resource.RLIM_INFINITY else min(NO_IMAGE, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
