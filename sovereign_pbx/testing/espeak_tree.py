"""A private espeak-ng from the machine's own suite, for machines that have none installed. Standard library only."""

from dataclasses import dataclass

from sovereign_pbx.testing.debian_packages import Progress, quiet, unpack_packages
from sovereign_pbx.testing.debian_source import Source, own_source
from sovereign_pbx.testing.private_tree import PrivateTree, cached_tree, files_below

PROGRAM = "usr/bin/espeak-ng"


@dataclass(frozen=True, slots=True)
class PrivateEspeak:
    """`command` runs it; `environment` must be added to the process's own."""

    tree: PrivateTree

    def command(self, *arguments: str) -> list[str]:
        return self.tree.command(PROGRAM, *arguments)

    @property
    def environment(self) -> dict[str, str]:
        """espeak-ng looks for its voices below the path it was compiled for unless told otherwise."""
        return {"ESPEAK_DATA_PATH": str(self.tree.library_dir)}


def espeak_tree(progress: Progress = quiet, source: Source | None = None) -> PrivateEspeak:
    """The private espeak-ng, fetched on first use (5 MB). Raises PackagesUnavailable."""
    chosen = source or own_source()

    def build(root: PrivateTree) -> None:
        work = root.root / ".apt"
        work.mkdir()
        unpack_packages(["espeak-ng"], root.root, chosen, work, progress=progress)
        data = root.library_dir / "espeak-ng-data"
        root.slim([root.loader, root.root / PROGRAM, *root.closure(PROGRAM), *files_below([data])])

    name = f"espeak-ng-{chosen.suite}-{chosen.architecture}"
    return PrivateEspeak(PrivateTree(cached_tree(name, PROGRAM, lambda root: build(PrivateTree(root)))))
