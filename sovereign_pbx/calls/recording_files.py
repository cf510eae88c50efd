"""The recordings' folder: which files of it are recordings, whose, and what is in them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from sovereign_pbx.media.recording_file import PLAIN, SEALED

MEDIA_TYPES: Final[Mapping[str, str]] = {
    PLAIN: "audio/wav",
    ".mp3": "audio/mpeg",
    ".opus": "audio/ogg; codecs=opus",
    ".flac": "audio/flac",
    SEALED: "application/vnd.age",
}
"""By the ending of the name. A sealed one is not called sound: no player could do anything with it."""


def ending_of(name: str) -> str:
    """The ending that makes it a recording, "" for any other file."""
    return next((ending for ending in MEDIA_TYPES if name.endswith(ending) and name != ending), "")


def call_of(name: str) -> str:
    """The id of the call whose recording has this name, "" for any other file."""
    ending = ending_of(name)
    return name.removesuffix(ending) if ending else ""


def inside(folder: Path, written: str) -> Path | None:
    """The recording that a row names, if it lies in the folder itself: a row of another installation, or a link, must
    not open any other file. Blocks."""
    path = (folder / written).resolve()
    return path if path.parent == folder.resolve() and ending_of(path.name) else None


def recordings_in(folder: Path) -> Iterator[Path]:
    """Every recording of the folder; none where there is no folder. Raises OSError. Blocks."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if ending_of(path.name) and path.is_file())
