"""The Debian packages that the recordings come from, fetched once per user without root.

No recording is part of this project: apt fetches the packages (and checks their signatures), the files named here are
unpacked into the cache, and their digest is compared with the one that the published numbers were made from.
"""

import hashlib
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sovereign_pbx.testing.debian_packages import Progress, download, quiet
from sovereign_pbx.testing.debian_source import PackagesUnavailable, own_family, own_source
from sovereign_pbx.testing.private_tree import cached_tree

LAYOUT = 1  # part of the cache's name; raise it when what is kept changes
MANIFEST = "manifest.txt"
# The last suite that carries all of them (scratch left after it). Newer keyrings verify it.
DEBIAN_SUITE = "bookworm"


@dataclass(frozen=True, slots=True)
class Package:
    """`wanted`: which of its files are unpacked. `digest`: over the names and contents of those."""

    name: str
    wanted: str
    licence: str
    credit: str
    digest: str = ""


_SOUNDS = r"usr/share/asterisk/sounds/.*\.wav$"
_TEXT = r"usr/share/doc/.*/core-sounds-\w+\.txt\.gz$"
_SA, _BY = "CC-BY-SA-3.0", "CC-BY-3.0"

PACKAGES = (
    Package("asterisk-core-sounds-en-wav", _SOUNDS, _SA, "Allison Smith, for Digium"),
    Package("asterisk-core-sounds-en", _TEXT, _SA, "its transcripts"),
    Package("asterisk-core-sounds-fr-wav", _SOUNDS, _SA, "June Wallack, for Digium and others"),
    Package("asterisk-core-sounds-fr", _TEXT, _SA, "its transcripts"),
    Package("asterisk-core-sounds-es-wav", _SOUNDS, _SA, "Allison Smith, for Digium"),
    Package("asterisk-core-sounds-es", _TEXT, _SA, "its transcripts"),
    Package("asterisk-core-sounds-it-wav", _SOUNDS, _BY, "Carlo Flora"),
    Package("asterisk-core-sounds-it", _TEXT, _BY, "its transcripts"),
    Package("asterisk-core-sounds-ru-wav", _SOUNDS, _BY, "Maxim Topal"),
    Package("asterisk-core-sounds-ru", _TEXT, _BY, "its transcripts"),
    Package("fillets-ng-data-nl", r"usr/share/games/.*/sound/.*/nl/.*\.ogg$", "GPL-2", "Fish Fillets, Dutch dialogues"),
    Package("fillets-ng-data", r"usr/share/games/.*/script/.*dialogs_nl\.lua$", "GPL-2", "their transcripts"),
    Package(
        "scratch", r"usr/share/scratch/Media/Sounds/Human/.*", _SA, "MIT Media Lab: coughs, sneezes, laughter, a party"
    ),
    Package(
        "asterisk-moh-opsound-wav", r"usr/share/asterisk/moh/.*\.wav$", _SA, "P. Shuler, M. Camp, Reno Project: music"
    ),
)


def recordings(progress: Progress = quiet) -> Path:
    """The unpacked files (holds `usr/`), fetched on first use (about 240 MB). Raises PackagesUnavailable."""
    return cached_tree(f"conversation-{LAYOUT}", MANIFEST, lambda root: _fetch(root, progress))


def strangers(root: Path) -> list[str]:
    """Packages whose files are not those that the published numbers were made from."""
    lines = (root / MANIFEST).read_text("utf-8").splitlines()
    found = dict(line.split(" ", 1) for line in lines)
    return [package.name for package in PACKAGES if found.get(package.name, "") != package.digest]


def _fetch(root: Path, progress: Progress) -> None:
    source = own_source(DEBIAN_SUITE if own_family() == "debian" else None)
    work = root / ".apt"
    work.mkdir()
    names = [package.name for package in PACKAGES]
    archives = {
        path.name.split("_")[0]: path for path in download(names, source, work, dependencies=False, progress=progress)
    }
    lines = []
    for number, package in enumerate(PACKAGES):
        progress("unpacking", number / len(PACKAGES))
        lines.append(f"{package.name} {_unpack(package, archives, root)}\n")
    shutil.rmtree(work)
    (root / MANIFEST).write_text("".join(lines), encoding="utf-8")
    progress("unpacking", 1.0)


def _unpack(package: Package, archives: dict[str, Path], root: Path) -> str:
    """Write the wanted files below `root`; returns their digest."""
    archive = archives.get(package.name)
    if archive is None:
        raise PackagesUnavailable(f"apt-get brought no {package.name}")
    contents = dict(_members(archive, re.compile(package.wanted)))
    if not contents:
        raise PackagesUnavailable(f"{package.name} holds none of the recordings that are expected in it")
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        digest.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest()


def _members(archive: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as reader,
        tarfile.open(fileobj=reader.stdout, mode="r|") as tar,
    ):
        for member in tar:
            name = member.name.removeprefix("./")
            if member.isfile() and ".." not in Path(name).parts and wanted.match(name):
                file = tar.extractfile(member)
                if file is not None:
                    yield name, file.read()
