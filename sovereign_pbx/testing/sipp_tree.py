"""A private sipp, which plays SIP calls by script, from the suite that the private Asterisk comes from.

Standard library only.
"""

import shutil
from pathlib import Path

from sovereign_pbx.testing.asterisk_tree import DEBIAN_SUITE
from sovereign_pbx.testing.debian_packages import Progress, quiet, unpack_packages
from sovereign_pbx.testing.debian_source import Source, own_family, own_source
from sovereign_pbx.testing.private_tree import PrivateTree, cached_tree

PROGRAM = "usr/bin/sipp"


def sipp_tree(progress: Progress = quiet, source: Source | None = None) -> PrivateTree:
    """The private sipp, fetched on first use. Raises PackagesUnavailable."""
    chosen = source or own_source(DEBIAN_SUITE if own_family() == "debian" else None)

    def build(root: Path) -> None:
        tree, work = PrivateTree(root), root / ".apt"
        work.mkdir()
        unpack_packages(["sip-tester"], root, chosen, work, progress=progress)
        shutil.rmtree(work)
        # the C library loads it by name, when a thread is cancelled
        by_name = [*tree.library_dir.glob("libgcc_s.so.*")]
        terminals = root.glob("usr/share/terminfo/*/xterm*")
        tree.slim([tree.loader, root / PROGRAM, *tree.closure(PROGRAM), *by_name, *terminals])

    name = f"sipp-{chosen.suite}-{chosen.architecture}"
    return PrivateTree(cached_tree(name, PROGRAM, build))
