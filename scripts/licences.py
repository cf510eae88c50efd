"""Check the licences of everything that the project installs to run, extras included, from the installed metadata.

Permissive ones pass. Others need an entry in `KNOWN` with the reason, else the script fails, as it does for a licence
that it cannot make out. Development tools are not looked at: they are not part of what is shipped. Of native libraries
inside wheels the metadata says nothing; the one case that is known stands in `KNOWN`.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "sovereign-pbx"
NOT_SHIPPED = {"dev"}

ALLOWED = {
    "0BSD",
    "APACHE-2.0",
    "BSD-2-CLAUSE",
    "BSD-3-CLAUSE",
    "CC0-1.0",
    "HPND",
    "ISC",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "PSF-2.0",
    "UNLICENSE",
    "ZLIB",
}

# What packages without an SPDX expression write into `License` or their classifiers.
SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}

# name → (licence, why it is fine)
KNOWN = {
    "av": (
        "BSD-3-Clause",
        "its wheel carries FFmpeg with x264 and x265 (GPL-2.0-or-later): installed on the user's machine by the"
        " `embedded` extra for faster-whisper, never shipped with us; a PyAV with another FFmpeg will do",
    ),
    "certifi": ("MPL-2.0", "a list of certificates, used unmodified; MPL binds the file, not what uses it"),
    "g722": (
        "BSD-2-Clause",
        "its metadata says public domain; its licence file says so of the codec, and BSD-2-Clause of what Sippy added",
    ),
    "py-nanotts": ("Apache-2.0", "its metadata names none, its wheel carries the text of Apache-2.0"),
    "tqdm": ("MPL-2.0 AND MIT", "used unmodified by huggingface-hub; MPL binds the file, not what uses it"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One package: its licence as an SPDX expression ("" for unknown), and the reason if it needed one."""

    name: str
    version: str
    licence: str
    reason: str = ""

    @property
    def fine(self) -> bool:
        return bool(self.reason) or (bool(self.licence) and permits(self.licence))


def permits(expression: str) -> bool:
    """Whether an SPDX expression can be met with allowed licences alone: all of an AND, one of an OR."""
    bare = expression.replace("(", " ").replace(")", " ")
    for conjunction in re.split(r"\s+AND\s+", bare.upper()):
        if not any(choice.strip() in ALLOWED for choice in re.split(r"\s+OR\s+", conjunction)):
            return False
    return True


def licence_of(package: metadata.PackageMetadata) -> str:
    """The licence as an SPDX expression, or "" where it can't be made out."""
    given = field(package, "License-Expression")
    if given:
        return given
    text = field(package, "License")
    if permits(text):
        return text
    if text.lower() in SPELLINGS:
        return SPELLINGS[text.lower()]
    classifiers = [
        line.rsplit("::", 1)[1].strip() for line in package.get_all("Classifier") or [] if "License ::" in line
    ]
    named = [SPELLINGS.get(name.lower(), name) for name in classifiers if name != "DFSG approved"]
    return " AND ".join(named)  # of two classifiers nobody says whether one may choose


def field(package: metadata.PackageMetadata, name: str) -> str:
    return package[name].strip() if name in package else ""


def requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """What `name` with `extras` needs in this environment."""
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            yield requirement


def walk(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[str]:
    """The names of everything below `name`; each pair of package and extras is looked at once."""
    for requirement in requirements(name, extras):
        needed = canonicalize_name(requirement.name)
        key = (needed, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        yield needed
        try:
            yield from walk(needed, key[1] | {""} if key[1] else frozenset(), seen)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed here


def findings() -> tuple[list[Finding], list[str]]:
    """(what is installed, what is named but not installed here)."""
    extras = frozenset(metadata.metadata(PROJECT).get_all("Provides-Extra") or []) - NOT_SHIPPED
    names = sorted(set(walk(PROJECT, extras | {""}, set())))
    found, absent = [], []
    for name in names:
        try:
            package = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            absent.append(name)
            continue
        licence, reason = KNOWN.get(name, (licence_of(package), ""))
        found.append(Finding(name, package["Version"], licence, reason))
    return found, absent


def main() -> int:
    found, absent = findings()
    if "--list" in sys.argv:
        for item in found:
            print(f"{item.name:<24}{item.version:<14}{item.licence}{'  (' + item.reason + ')' if item.reason else ''}")
    bad = [item for item in found if not item.fine]
    for item in bad:
        print(f"licences: {item.name} {item.version}: {item.licence or 'no licence to be found'}", file=sys.stderr)
    print(f"licences: {len(found)} packages, {len(bad)} not allowed; not installed here: {', '.join(absent) or 'none'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
