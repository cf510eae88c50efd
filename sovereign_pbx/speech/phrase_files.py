"""Phrases as files: a line of JSON with the words, then the PCM. Blocking; to be called in a thread.

Mode 0600 in a directory 0700: greetings and apologies may name a business and its callers. Written beside and renamed,
so that a crash leaves the old file or the new one.
"""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Final

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.values import Word

SUFFIX: Final = ".phrase"
VERSION: Final = 1
HEAD_LIMIT: Final = 256 * 1024
_NAME = re.compile(r"[0-9a-f]{64}")

Stored = tuple[bytes, tuple[Word, ...]]


def write(directory: Path, name: str, pcm: bytes, words: tuple[Word, ...], max_bytes: int) -> None:
    """Store one phrase, then remove the oldest beyond `max_bytes`. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = json.dumps({"version": VERSION, "words": [[word.text, word.start, word.end] for word in words]})
    handle, temporary = tempfile.mkstemp(dir=directory, suffix=".new")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(head.encode() + b"\n" + pcm)
        os.replace(temporary, directory / f"{name}{SUFFIX}")
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _prune(directory, max_bytes)


def read_all(directory: Path, max_bytes: int) -> dict[str, Stored]:
    """The newest phrases up to `max_bytes`, the oldest of them first. Files that make no sense are passed over."""
    found: dict[str, Stored] = {}
    total = 0
    for path in reversed(_oldest_first(directory)):
        stored = _read(path)
        if stored is None:
            continue
        total += len(stored[0])
        if total > max_bytes:
            break
        found[path.stem] = stored
    return dict(reversed(found.items()))


def _read(path: Path) -> Stored | None:
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline(HEAD_LIMIT))
            pcm = file.read()
        if head["version"] != VERSION or len(pcm) % SAMPLE_BYTES:
            return None
        words = tuple(Word(str(text), float(start), float(end)) for text, start, end in head["words"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return pcm, words


def _prune(directory: Path, max_bytes: int) -> None:
    paths = _oldest_first(directory)
    sizes = [_size(path) for path in paths]
    total = sum(sizes)
    for path, size in zip(paths, sizes, strict=True):
        if total <= max_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size


def _oldest_first(directory: Path) -> list[Path]:
    try:
        paths = [path for path in directory.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem) and path.is_file()]
    except OSError:
        return []
    return sorted(paths, key=_modified)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed by a neighbour meanwhile
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
