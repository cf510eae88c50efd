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
    """`wanted`: which of its files are unpacked. `voices`: how the names of the voices in it begin.

    `digest`: over the names and contents of the files.
    """

    name: str
    wanted: str
    licence: str
    credit: str
    voices: str
    digest: str


_SOUNDS = r"usr/share/asterisk/sounds/.*\.wav$"
_TEXT = r"usr/share/doc/.*/core-sounds-\w+\.txt\.gz$"
_SA, _BY = "CC-BY-SA-3.0", "CC-BY-3.0"

PACKAGES = (
    Package(
        "asterisk-core-sounds-en-wav",
        _SOUNDS,
        _SA,
        "Allison Smith, for Digium",
        "en_",
        "e3ddb8eb01fea764a28e415f8e8a84009cd42e19f8ff3b561c91d5b3a584c843",
    ),
    Package(
        "asterisk-core-sounds-en",
        _TEXT,
        _SA,
        "the transcripts",
        "",
        "d3e028eaa6c8e05d87b1a5a8aafcf7308331f5909300c09f241b57a459c3f5d5",
    ),
    Package(
        "asterisk-core-sounds-fr-wav",
        _SOUNDS,
        _SA,
        "June Wallack, for Digium and others",
        "fr_",
        "93bf2c54c781fa8b8f063a73f3465938e2aa72ceb0ab69f821619b9dcd4a0938",
    ),
    Package(
        "asterisk-core-sounds-fr",
        _TEXT,
        _SA,
        "the transcripts",
        "",
        "76a019151e64f3efc144f0edbe4765ad018efbae56acea9404a615c7c4afd4a6",
    ),
    Package(
        "asterisk-core-sounds-es-wav",
        _SOUNDS,
        _SA,
        "Allison Smith, for Digium",
        "es_",
        "00972147518253fa28c4f33008b694f70824a955a7c8e199c396fcef4f6b49c5",
    ),
    Package(
        "asterisk-core-sounds-es",
        _TEXT,
        _SA,
        "the transcripts",
        "",
        "a58d7b8152ebe3f367b82cbbc7d9a174690ab276ede921a26aa5004a7755e4bc",
    ),
    Package(
        "asterisk-core-sounds-it-wav",
        _SOUNDS,
        _BY,
        "Carlo Flora",
        "it_",
        "964c0d15c263d41223c0c6461bf34227fc83de46d056033ac4a0b9c22e1a0acf",
    ),
    Package(
        "asterisk-core-sounds-it",
        _TEXT,
        _BY,
        "the transcripts",
        "",
        "4ff705dc97df8c9eca6672f79cc4d50ba28e95357bb1315933d0f29b986d029a",
    ),
    Package(
        "asterisk-core-sounds-ru-wav",
        _SOUNDS,
        _BY,
        "Maxim Topal",
        "ru_",
        "83a461f97e5dda915dfce3f377ab9301a7150a904ea6447d1620cd75efd6e25a",
    ),
    Package(
        "asterisk-core-sounds-ru",
        _TEXT,
        _BY,
        "the transcripts",
        "",
        "f667d4eedd485a37b109ad4b363100c1b356ce92c9ad9fbf62af2839dd44161b",
    ),
    Package(
        "fillets-ng-data-nl",
        r"usr/share/games/.*/sound/.*/nl/.*\.ogg$",
        "GPL-2",
        "Fish Fillets NG, Dutch dialogues",
        "nl_",
        "94992ca4a268dde42d87948b402ef192e6afa86e862ac7be1b943e151c1a9360",
    ),
    Package(
        "fillets-ng-data",
        r"usr/share/games/.*/script/.*dialogs_nl\.lua$",
        "GPL-2",
        "their transcripts",
        "",
        "14fccbd84f931edb191e362c4aafc8965f93d879c0d07ab12d0d5be65d8baef0",
    ),
    Package(
        "scratch",
        r"usr/share/scratch/Media/Sounds/Human/.*",
        _SA,
        "MIT Media Lab: coughs, sneezes, laughter, steps, a party",
        "scratch",
        "a17ffe59f18e00de4b14c658f00904766da95f6834cad5d74c83d820bf108c60",
    ),
    Package(
        "asterisk-moh-opsound-wav",
        r"usr/share/asterisk/moh/.*\.wav$",
        _SA,
        "Paul Shuler, Manolo Camp, Reno Project: music",
        "opsound",
        "abc3103fc7a0dd2eb2fd9ce5ca772515f1bcc42cfb16aa6a138411ba115aa709",
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
