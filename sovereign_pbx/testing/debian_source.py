"""Which archive this machine's apt trusts, so that no host name has to be written in the code.

Standard library only: the bootstrap reads it before any environment exists.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sovereign_pbx.core.errors import SovereignError

MIRROR_VARIABLE = "SOVEREIGN_PBX_APT_MIRROR"
KEYRINGS = Path("/usr/share/keyrings")

Family = Literal["debian", "ubuntu"]


@dataclass(eq=False)
class PackagesUnavailable(SovereignError):
    """Packages can't be had on this machine: `reason` says what failed, `remedy` what would help."""

    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.reason}\n    {self.remedy}" if self.remedy else self.reason


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of one archive, as a line of sources.list would name it."""

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: Path
    architecture: str

    def line(self) -> str:
        options = f"signed-by={self.keyring} arch={self.architecture}"
        return f"deb [{options}] {self.uri} {self.suite} {' '.join(self.components)}\n"


def own_source(suite: str | None = None) -> Source:
    """The archive of this machine's distribution, at `suite` or at the machine's own one.

    Raises PackagesUnavailable when the machine has no apt, no keyring or no mirror that could serve.
    """
    for tool in ("apt-get", "dpkg-deb", "dpkg", "tar"):
        if not shutil.which(tool):
            raise PackagesUnavailable(f"{tool} is not installed", "A Debian or Ubuntu machine has it.")
    release = _os_release()
    family = _family(release)
    own = release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", "")
    wanted = suite or own
    if not wanted:
        raise PackagesUnavailable("/etc/os-release names no VERSION_CODENAME", "Name a suite.")
    return Source(
        uri=os.environ.get(MIRROR_VARIABLE) or pick_mirror(_configured_archives(), family, own),
        suite=wanted,
        components=("main", "universe") if family == "ubuntu" else ("main",),
        keyring=_keyring(family),
        architecture=_output("dpkg", "--print-architecture").strip(),
    )


def own_family() -> Family:
    """Whether packages of this machine follow Debian's or Ubuntu's names and suites."""
    return _family(_os_release())


def _os_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError as exc:
        raise PackagesUnavailable("this machine has no /etc/os-release") from exc


def _family(release: Mapping[str, str]) -> Family:
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    if "ubuntu" in names:
        return "ubuntu"
    if "debian" in names:
        return "debian"
    raise PackagesUnavailable(f"this machine runs {names[0] or 'an unknown system'}, not Debian or Ubuntu")


def pick_mirror(archives: list[tuple[str, str]], family: Family, own: str) -> str:
    """The address among (address, suite) pairs that carries `family`'s whole archive.

    The one that serves the machine's own suite is sure to; security and third-party archives are not.
    """
    usable = [(uri, suite) for uri, suite in archives if not uri.startswith(("cdrom:", "file:", "copy:"))]
    for uri, suite in usable:
        if suite == own and _looks_like(uri, family):
            return uri
    for uri, _ in usable:
        if _looks_like(uri, family):
            return uri
    raise PackagesUnavailable(
        f"no {family} mirror among this machine's apt sources", f"Set {MIRROR_VARIABLE} to a mirror's address."
    )


def _looks_like(uri: str, family: Family) -> bool:
    """`…/debian/`, `…/ubuntu-ports/`, and the mirror lists of cloud images (`mirror+file:…/debian.list`)."""
    if family == "ubuntu":
        return re.search(r"ubuntu(-ports)?/?$|apt-mirrors\.txt/?$", uri) is not None and "security." not in uri
    return re.search(r"/debian(\.list)?/?$", uri) is not None


def _configured_archives() -> list[tuple[str, str]]:
    # --no-release-info lists archives whose index was never downloaded, as on a fresh container image
    wanted = ("--no-release-info", "--format", "$(REPO_URI)\t$(RELEASE)", "Created-By: Packages")
    lines = _output("apt-get", "indextargets", *wanted).splitlines()
    return [(uri, suite) for uri, _, suite in (line.partition("\t") for line in lines)]


def _keyring(family: Family) -> Path:
    for ending in ("gpg", "pgp"):
        path = KEYRINGS / f"{family}-archive-keyring.{ending}"
        if path.exists():
            return path
    package = "ubuntu-keyring" if family == "ubuntu" else "debian-archive-keyring"
    raise PackagesUnavailable(
        f"no {family} archive keyring under {KEYRINGS}", f"An administrator can run: apt-get install {package}"
    )


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=c_locale())
    except subprocess.CalledProcessError as exc:
        raise PackagesUnavailable(f"{' '.join(command[:2])} failed: {exc.stderr.strip()}") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PackagesUnavailable(f"{command[0]} could not run: {exc}") from exc
    return done.stdout


def c_locale() -> dict[str, str]:
    """The environment with apt's messages in English, as the error texts quote them."""
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
