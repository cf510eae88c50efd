"""Bring a package's binary libraries into the page cache, so that importing it does not stop the calls.

An import holds the interpreter while the linker maps a library; from a cold disk that is seconds (faster-whisper: 0.9 s
measured on one machine, 5.9 s on another). Reading the same files first does not hold it, and the import that follows
took 15 ms at most.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_AT_ONCE = 1 << 20


def read_ahead(*packages: str) -> int:
    """Read the libraries of these packages, those that wheels put beside them (`NAME.libs`) included; bytes read.
    A package that is missing counts nothing: the import says what to do about it."""
    read = 0
    for path in (path for package in packages for path in _libraries(package)):
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_AT_ONCE):
                read += len(piece)
    return read


def _libraries(package: str) -> Iterator[Path]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return
    home = Path(spec.origin).parent
    for folder in (home, home.parent / f"{package}.libs"):
        yield from (path for path in folder.rglob("*.so*") if path.is_file())
