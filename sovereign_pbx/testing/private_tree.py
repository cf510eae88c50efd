"""A cached tree of unpacked packages whose programs run through the tree's own dynamic loader.

Linux only, no root, relocatable. Standard library only.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sovereign_pbx.testing.debian_source import PackagesUnavailable

LOCK_DEADLINE_S = 900.0


@dataclass(frozen=True, slots=True)
class PrivateTree:
    """The unpacked tree at `root` (which holds `usr/`)."""

    root: Path

    @property
    def library_dir(self) -> Path:
        """The multi-arch library directory, for example usr/lib/x86_64-linux-gnu."""
        for folder in sorted(self.root.glob("usr/lib/*-linux-gnu*")):
            if (folder / "libc.so.6").exists():
                return folder
        raise PackagesUnavailable(f"{self.root} holds no C library", "Remove it; it will be fetched anew.")

    @property
    def loader(self) -> Path:
        """The tree's dynamic loader; its name differs with the architecture."""
        # the library directory first: what older suites have in lib64 is an absolute link, out of the tree
        for folder in (self.library_dir, self.root / "usr/lib", self.root / "usr/lib64"):
            for path in sorted(folder.glob("ld-linux*.so.*")) + sorted(folder.glob("ld64.so.*")):
                if path.exists():
                    return path
        raise PackagesUnavailable(f"{self.root} holds no dynamic loader", "Remove it; it will be fetched anew.")

    def command(self, program: str, *arguments: str) -> list[str]:
        """argv that runs `program` (relative to the root, "usr/sbin/asterisk") with the tree's own libraries."""
        return [*self._loading(), str(self.root / program), *arguments]

    def _loading(self) -> list[str]:
        main = self.library_dir
        # some libraries find their private neighbours by a path fixed at compile time (libpulse in pulseaudio/),
        # a few still lie outside the multi-arch directory (Ubuntu's libresample)
        nested = sorted({path.parent for path in main.glob("*/lib*.so*")})
        return [str(self.loader), "--library-path", ":".join(map(str, [main, main.parent, *nested]))]

    def closure(self, program: str, modules: Iterable[Path] = ()) -> set[Path]:
        """Every library that `program` and the `modules` it may load need, by one run of the loader."""
        options = ["--preload", " ".join(map(str, modules)), "--list", str(self.root / program)]
        listing = subprocess.run([*self._loading(), *options], capture_output=True, text=True, check=False)
        if listing.returncode:
            raise PackagesUnavailable(f"the unpacked {program} does not load: {listing.stderr.strip()[-300:]}")
        words = (word for line in listing.stdout.splitlines() for word in line.split())
        return {Path(word) for word in words if word.startswith(str(self.root))}

    def slim(self, keep: Iterable[Path]) -> None:
        """Remove every file but `keep` (links with what they point to), then the folders left empty."""
        kept = {step for path in keep for step in _chain(path)}
        for folder, names, files in os.walk(self.root, topdown=False):
            for name in [*files, *names]:
                path = Path(folder, name)
                if path.is_dir() and not path.is_symlink():
                    _remove_if_empty(path)
                elif path not in kept and path.parent != self.root:
                    path.unlink()


def _chain(path: Path) -> Iterator[Path]:
    """`path` and every link on the way to the file behind it (bounded as the kernel bounds it)."""
    for _ in range(40):
        path = Path(os.path.abspath(path))
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # it holds something that is kept


def cache_dir() -> Path:
    """Where fetched things live: per user, outside any checkout (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "sovereign-pbx"


def cached_tree(name: str, sign: str, build: Callable[[Path], None]) -> Path:
    """The cached tree `name`, made by `build(empty directory)` if the file `sign` is not in it.

    Built beside its final place and renamed, under a lock: nobody ever sees half a tree, nobody builds it twice.
    """
    final = cache_dir() / name
    if (final / sign).exists():
        return final
    with _locked(final.with_name(f"{name}.lock")):
        if not (final / sign).exists():
            _build(final, sign, build)
    return final


def _build(final: Path, sign: str, build: Callable[[Path], None]) -> None:
    partial = final.with_name(f"{final.name}.partial")
    _remove(partial)  # what an interrupted build left; the lock says that nobody is at it now
    partial.mkdir()
    try:
        build(partial)
        if not (partial / sign).exists():
            raise PackagesUnavailable(f"the packages for {final.name} did not bring {sign}")
        _remove(final)
        partial.rename(final)
    finally:
        _remove(partial)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as exc:
        raise PackagesUnavailable(f"cannot write below {path.parent}: {exc}", "Set XDG_CACHE_HOME elsewhere.") from exc
    with handle:
        _acquire(handle.fileno(), path)
        yield


def _acquire(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.1)
    raise PackagesUnavailable(f"another process has held {path} for {LOCK_DEADLINE_S:.0f} s")


def files_below(folders: Sequence[Path]) -> Iterator[Path]:
    """Every file and link below `folders`."""
    for top in folders:
        for folder, names, files in os.walk(top):
            yield from (Path(folder, name) for name in files)
            yield from (Path(folder, name) for name in names if Path(folder, name).is_symlink())
