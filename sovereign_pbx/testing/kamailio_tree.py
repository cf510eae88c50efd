"""A private Kamailio from the machine's own suite: a SIP proxy, for tests of what one does to calls. Standard library
only."""

from dataclasses import dataclass
from pathlib import Path

from sovereign_pbx.testing.debian_packages import Progress, quiet, unpack_packages
from sovereign_pbx.testing.debian_source import Source, own_source
from sovereign_pbx.testing.private_tree import PrivateTree, cached_tree

PROGRAM = "usr/sbin/kamailio"
# in the order in which they must be loaded: each may need those before
MODULES = (
    "kex",
    "corex",
    "tm",
    "tmx",
    "sl",
    "rr",
    "pv",
    "maxfwd",
    "textops",
    "siputils",
    "usrloc",
    "registrar",
    "auth",
)
LAYOUT = 1  # part of the cache's name; raise it when what is kept changes


@dataclass(frozen=True, slots=True)
class PrivateKamailio:
    """`command` runs it, `modules` is where its modules lie."""

    tree: PrivateTree

    def command(self, *arguments: str) -> list[str]:
        return self.tree.command(PROGRAM, *arguments)

    @property
    def modules(self) -> Path:
        return self.tree.library_dir / "kamailio/modules"


def kamailio_tree(progress: Progress = quiet, source: Source | None = None) -> PrivateKamailio:
    """The private Kamailio, fetched on first use. Raises PackagesUnavailable."""
    chosen = source or own_source()

    def build(root: PrivateTree) -> None:
        work = root.root / ".apt"
        work.mkdir()
        unpack_packages(["kamailio"], root.root, chosen, work, progress=progress)
        made = PrivateKamailio(root)
        modules = [made.modules / f"{name}.so" for name in MODULES]
        private = sorted(root.library_dir.glob("kamailio/lib*.so*"))  # what modules share, found by its name
        looked_up = root.library_dir.glob("libnss_*.so.*")
        root.slim([root.loader, root.root / PROGRAM, *modules, *private, *looked_up, *root.closure(PROGRAM, modules)])

    name = f"kamailio-{chosen.suite}-{chosen.architecture}-{LAYOUT}"
    return PrivateKamailio(PrivateTree(cached_tree(name, PROGRAM, lambda root: build(PrivateTree(root)))))
