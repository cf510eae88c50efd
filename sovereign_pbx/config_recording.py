"""What `[recording]` needs of this machine: the programs and packages behind its settings, and room."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.config import Config
from sovereign_pbx.config_findings import Finding, located
from sovereign_pbx.config_source import read_source

LITTLE_ROOM: Final = 1 << 30
_AN_HOUR: Final = 8000 * 2 * 2 * 3600  # bytes: 16 bits, two channels
_PACKAGES: Final = "pip install 'sovereign-pbx[recording]'"


def recording_findings(config: Config, file: Path) -> list[Finding]:
    """What is missing for recordings to be made, kept and converted as the section says. Blocks."""
    problems = list(_problems(config)) if config.recordings is not None else []
    return located(problems, str(file), read_source(file).positions) if problems else []


def _problems(config: Config) -> Iterator[Problem]:
    section = config.recording
    if section.public_key and not _installed("cryptography"):
        what = "encrypting needs the package cryptography, which is not installed"
        yield Problem(("recording", "public_key"), what, _PACKAGES)
    if section.format != "wav":
        stays = f"so recordings stay wav and are not made {section.format}"
        if shutil.which("ffmpeg") is None:
            what = f"the program ffmpeg is not here, {stays}"
            yield Problem(("recording", "format"), what, "install it (Debian, Ubuntu: apt install ffmpeg)", "warning")
        if not _installed("pydub"):
            what = f"the package pydub is not installed, {stays}"
            yield Problem(("recording", "format"), what, _PACKAGES, "warning")
    yield from _room(config.recordings)


def _room(folder: Path | None) -> Iterator[Problem]:
    """Of the folder, or of what it will be made in."""
    existing = next((place for place in (folder, *folder.parents) if place.exists()), None) if folder else None
    free = shutil.disk_usage(existing).free if existing is not None else LITTLE_ROOM
    if free < LITTLE_ROOM:
        what = f"{folder} has room for {free / _AN_HOUR:.1f} hours of recordings"
        remedy = "free space, or keep them for fewer days; calls go on without a recording when it is full"
        yield Problem(("recording", "dir"), what, remedy, "warning")


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
