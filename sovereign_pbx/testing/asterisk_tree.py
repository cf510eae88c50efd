"""A private Asterisk for tests and for the demo: fetched once per user, unpacked without root, relocatable.

Debian's stable suites carry no Asterisk any more, so on Debian it comes from forky, whose Release file older
keyrings (12, 13) verify too; on Ubuntu from the machine's own suite. The tree keeps the program, every module,
the libraries they need and Asterisk's own data: 150 MB, started through the tree's own loader, so that the
machine's C library does not matter.

`SOVEREIGN_PBX_ASTERISK_ROOT` names a tree to use instead (a directory with usr/sbin/asterisk in it).
Standard library only.
"""

import os
import shutil
from pathlib import Path

from sovereign_pbx.testing.debian_packages import Progress, quiet, unpack_packages
from sovereign_pbx.testing.debian_source import PackagesUnavailable, Source, own_family, own_source
from sovereign_pbx.testing.private_tree import PrivateTree, cached_tree, files_below

ROOT_VARIABLE = "SOVEREIGN_PBX_ASTERISK_ROOT"
DEBIAN_SUITE = "forky"
PACKAGES = ("asterisk", "asterisk-modules", "asterisk-core-sounds-en-gsm")
PROGRAM = "usr/sbin/asterisk"
MANIFEST = "manifest.txt"
LAYOUT = 1  # part of the cache's name; raise it when what is kept changes


def asterisk_tree(progress: Progress = quiet, source: Source | None = None) -> PrivateTree:
    """The private Asterisk, fetched on first use (about 90 MB, 20 s). Raises PackagesUnavailable."""
    chosen = os.environ.get(ROOT_VARIABLE)
    if chosen:
        return PrivateTree(_checked(Path(chosen)))
    cached = source or own_source(DEBIAN_SUITE if own_family() == "debian" else None)
    name = f"asterisk-{cached.suite}-{cached.architecture}-{LAYOUT}"
    return PrivateTree(cached_tree(name, MANIFEST, lambda root: _fetch(root, cached, progress)))


def _checked(root: Path) -> Path:
    if not (root / PROGRAM).exists():
        raise PackagesUnavailable(f"{ROOT_VARIABLE}={root} holds no {PROGRAM}", "Unset it to have Asterisk fetched.")
    return root.resolve()


def _fetch(root: Path, source: Source, progress: Progress) -> None:
    work = root / ".apt"
    work.mkdir()
    versions = unpack_packages(PACKAGES, root, source, work, progress=progress)
    shutil.rmtree(work)
    progress("slimming", 0.0)
    _slim(PrivateTree(root))
    (root / MANIFEST).write_text("\n".join([*versions, ""]), encoding="utf-8")
    progress("slimming", 1.0)


def _slim(tree: PrivateTree) -> None:
    modules = sorted(tree.library_dir.glob("asterisk/modules/*.so"))
    libraries = tree.closure(PROGRAM, modules)
    # the C library loads these two by name, when a thread is cancelled and when a name is looked up
    loaded_by_name = [*tree.library_dir.glob("libgcc_s.so.*"), *tree.library_dir.glob("libnss_*.so.*")]
    data = files_below([tree.root / "usr/share/asterisk"])
    tree.slim([tree.loader, tree.root / PROGRAM, *modules, *libraries, *loaded_by_name, *data])
