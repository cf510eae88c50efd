"""A private baresip from the machine's own suite: a SIP telephone that somebody else wrote. Standard library only."""

from dataclasses import dataclass
from pathlib import Path

from sovereign_pbx.testing.debian_packages import Progress, quiet, unpack_packages
from sovereign_pbx.testing.debian_source import Source, own_source
from sovereign_pbx.testing.private_tree import PrivateTree, cached_tree

PROGRAM = "usr/bin/baresip"
MODULES = ("account", "aubridge", "aufile", "cons", "ctrl_tcp", "g711", "g722", "menu", "sndfile", "srtp")
LAYOUT = 1  # part of the cache's name; raise it when what is kept changes


@dataclass(frozen=True, slots=True)
class PrivateBaresip:
    """`command` runs it, `modules` is where its modules lie."""

    tree: PrivateTree

    def command(self, *arguments: str) -> list[str]:
        return self.tree.command(PROGRAM, *arguments)

    @property
    def modules(self) -> Path:
        return self.tree.root / "usr/lib/baresip/modules"


def baresip_tree(progress: Progress = quiet, source: Source | None = None) -> PrivateBaresip:
    """The private baresip, fetched on first use. Raises PackagesUnavailable."""
    chosen = source or own_source()

    def build(root: PrivateTree) -> None:
        work = root.root / ".apt"
        work.mkdir()
        unpack_packages(["baresip-core"], root.root, chosen, work, progress=progress)
        modules = [path for name in MODULES if (path := PrivateBaresip(root).modules / f"{name}.so").exists()]
        looked_up = root.library_dir.glob("libnss_*.so.*")  # loaded by name, when an address is looked up
        root.slim([root.loader, root.root / PROGRAM, *modules, *looked_up, *root.closure(PROGRAM, modules)])

    name = f"baresip-{chosen.suite}-{chosen.architecture}-{LAYOUT}"
    return PrivateBaresip(PrivateTree(cached_tree(name, PROGRAM, lambda root: build(PrivateTree(root)))))
