"""Download and unpack Debian packages privately: no root, and nothing of the machine's own apt or dpkg touched.

apt resolves against an empty dpkg status, so the whole closure comes along, libc included, and what is unpacked
runs through its own dynamic loader (`private_tree`). Signatures are checked by apt as always. No maintainer script
runs. Standard library only: the bootstrap uses it before any environment exists.
"""

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sovereign_pbx.testing.debian_source import PackagesUnavailable, Source, c_locale

Progress = Callable[[str, float], None]
"""Called with what is being done and the part that is done, 0.0 to 1.0."""

NOT_UNPACKED = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/perl", "./usr/lib/*/gconv")
MERGED = ("bin", "sbin", "lib", "lib64")
DEADLINE_S = 900.0

# What the machine's administrator said about reaching archives (proxies, addresses, clocks) holds here too;
# everything else, hooks above all, does not.
_INHERITED = re.compile(r"^Acquire::(https?|ftp|socks|Force|Check-|Retries|Max-)", re.IGNORECASE)


def quiet(what: str, part: float) -> None:
    """A Progress that shows nothing."""


def unpack_packages(
    packages: Sequence[str],
    root: Path,
    source: Source,
    work: Path,
    *,
    dependencies: bool = True,
    progress: Progress = quiet,
) -> list[str]:
    """Unpack `packages` of `source` under `root`, using `work` (an empty directory) for apt's state.

    Returns the names of the unpacked archives (package_version_architecture). `dependencies=False` takes the
    named packages alone. Raises PackagesUnavailable.
    """
    archives = download(packages, source, work, dependencies=dependencies, progress=progress)
    _prepare_merged_root(root)
    for number, archive in enumerate(archives):
        progress("unpacking", number / len(archives))
        _unpack(archive, root)
    progress("unpacking", 1.0)
    return [archive.stem.replace("%3a", ":") for archive in archives]


def download(
    packages: Sequence[str],
    source: Source,
    work: Path,
    *,
    dependencies: bool = True,
    progress: Progress = quiet,
) -> list[Path]:
    """Fetch the archives of `packages` into `work`; see `unpack_packages`."""
    configuration = _write_configuration(source, work)
    _apt(configuration, ["update"], work, "reading the package index", progress)
    if dependencies:
        folder = work / "cache" / "archives"
        command = ["--yes", "--download-only", "install", *packages]
    else:
        folder = work / "alone"
        folder.mkdir()
        command = ["download", *packages]
    _apt(configuration, command, folder, "downloading", progress)
    archives = sorted(folder.glob("*.deb"))
    if not archives:
        raise PackagesUnavailable(f"apt-get downloaded nothing for {' '.join(packages)}")
    return archives


def _write_configuration(source: Source, work: Path) -> Path:
    for folder in ("etc/parts", "lists/partial", "cache/archives/partial", "state"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "status").touch()
    (work / "etc" / "sources.list").write_text(source.line(), encoding="utf-8")
    path = work / "apt.conf"
    path.write_text("\n".join([*_machine_settings(), *_private_settings(source, work), ""]), encoding="utf-8")
    return path


def _machine_settings() -> list[str]:
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, timeout=30, check=False).stdout
    kept = [line for line in dump.splitlines() if _INHERITED.match(line)]
    # credentials of a private mirror stay where the administrator put them
    return [*kept, 'Dir::Etc::netrc "/etc/apt/auth.conf";', 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";']


def _private_settings(source: Source, work: Path) -> list[str]:
    settings = {
        "Dir::Etc::sourcelist": work / "etc/sources.list",
        "Dir::Etc::sourceparts": work / "etc/parts",
        "Dir::Etc::parts": work / "etc/parts",
        "Dir::Etc::main": work / "etc/none",
        "Dir::Etc::preferences": work / "etc/none",
        "Dir::Etc::preferencesparts": work / "etc/parts",
        "Dir::State": work / "state",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "APT::Architecture": source.architecture,
        "APT::Architectures": source.architecture,
        "APT::Install-Recommends": "false",
        "APT::Install-Suggests": "false",
        "APT::Sandbox::User": "root",  # apt's own user can't write below a private directory
        "Acquire::Languages": "none",
        "Acquire::PDiffs": "false",
        "Acquire::GzipIndexes": "true",
        # frozen mirrors are common where tests run; signatures are checked all the same, and what is unpacked is
        # thrown away sooner or later, so that an index past its date does no harm
        "Acquire::Check-Valid-Until": "false",
        "Debug::NoLocking": "true",  # the locks are the system's; ours is the cache's
    }
    return [f'{name} "{value}";' for name, value in settings.items()]


def _apt(configuration: Path, arguments: Sequence[str], folder: Path, what: str, progress: Progress) -> None:
    """Run apt-get with its progress read from its status descriptor; raise with its own words when it fails."""
    read_end, write_end = os.pipe()
    options = ["-qq", "-o", f"APT::Status-Fd={write_end}", "-o", "Acquire::http::Timeout=30"]
    with (
        open(read_end, encoding="utf-8", errors="replace") as status,
        (configuration.parent / "log").open("w+", encoding="utf-8", errors="replace") as log,
    ):
        try:
            process = subprocess.Popen(
                ["apt-get", *options, *arguments],
                cwd=folder,
                env={**c_locale(), "APT_CONFIG": str(configuration)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(write_end,),
            )
        finally:
            os.close(write_end)
        with process, _killed_after(process, DEADLINE_S):
            for line in status:
                _report(line, what, progress)
        log.seek(0)
        _raise_if_failed(process.returncode, what, log.read())
    progress(what, 1.0)


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], deadline_s: float) -> Iterator[None]:
    timer = threading.Timer(deadline_s, process.kill)
    timer.start()
    try:
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        timer.cancel()


def _report(line: str, what: str, progress: Progress) -> None:
    """`dlstatus:3:41.7:Retrieving file 3 of 7` is apt's documented progress line."""
    fields = line.split(":", 3)
    if len(fields) == 4 and fields[0] == "dlstatus":
        try:
            progress(what, min(float(fields[2]) / 100, 1.0))
        except ValueError:
            return


def _raise_if_failed(code: int, what: str, log: str) -> None:
    # apt-get update ends with 0 although no index could be fetched, and says so in a warning only
    complaints = [line for line in log.splitlines() if line.startswith(("E:", "W: Failed", "Err:"))]
    if code == 0 and not complaints:
        return
    told = "; ".join(complaints[:3]) or log.strip()[-400:] or f"exit code {code}"
    raise PackagesUnavailable(f"apt-get failed while {what}: {told}", "Is the mirror reachable from this machine?")


def _prepare_merged_root(root: Path) -> None:
    """Older suites ship files below /lib, newer ones below /usr/lib: with the links both land in one place."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        link = root / name
        if not link.is_symlink():
            link.symlink_to(f"usr/{name}")


def _unpack(archive: Path, root: Path) -> None:
    # no-same-permissions also strips set-uid bits, which have no business in a private tree
    exclude = [f"--exclude={pattern}" for pattern in NOT_UNPACKED]
    options = ["--no-same-owner", "--no-same-permissions", "--keep-directory-symlink", *exclude]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as reader:
        unpacked = subprocess.run(
            ["tar", "-x", "-C", str(root), *options], stdin=reader.stdout, capture_output=True, text=True, check=False
        )
    if unpacked.returncode or reader.returncode:
        raise PackagesUnavailable(f"could not unpack {archive.name}: {unpacked.stderr.strip()[-400:]}")
