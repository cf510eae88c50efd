"""Make the virtual environment that the Makefile's targets run in, or bring it up to date. Standard library only.

Debian and Ubuntu split `ensurepip` off into python3-venv and may have no CA certificates. Where they are missing, pip
and the certificates come from the machine's own archive, unpacked privately without root. A stamp in the environment
makes a second run cost nothing; it holds a digest of pyproject.toml, the interpreter and the extras.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sovereign_pbx.testing.debian_packages import unpack_packages  # noqa: E402 - the path comes first
from sovereign_pbx.testing.debian_source import PackagesUnavailable, own_source  # noqa: E402
from sovereign_pbx.testing.progress_line import ProgressLine  # noqa: E402

CERTIFICATES = "ca-certificates.pem"
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
LAST_LINES = 25


class Failed(Exception):
    """A step failed; the text says which, why, and what would help."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Make or refresh the virtual environment.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml")
    arguments = parser.parse_args()
    try:
        refresh(arguments.venv.absolute(), sorted(set(arguments.extras)))
    except (Failed, PackagesUnavailable) as exc:
        print(f"bootstrap: {exc}", file=sys.stderr)
        return 2
    return 0


def refresh(venv: Path, extras: Sequence[str]) -> None:
    """Do what the stamp says is missing."""
    stamp = venv / ".stamp"
    there = stamped_extras(stamp) if (venv / "bin/python").exists() else None
    if there is not None and set(extras) <= there:
        return
    extras = sorted({*extras, *(there or ())})
    line = ProgressLine(f"environment {venv.name} (Python {sys.version_info.major}.{sys.version_info.minor})")
    if not runs(venv):
        create(venv, line)
    ensure_certificates(venv, line)
    ensure_pip(venv, line)
    install(venv, extras, line)
    stamp.write_text(json.dumps({"key": key(), "extras": extras}), encoding="utf-8")
    line.end("ready")


def key() -> str:
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    digest.update(f"{sys.version} {sys.base_prefix} {ROOT}".encode())
    return digest.hexdigest()


def stamped_extras(stamp: Path) -> set[str] | None:
    """The extras that are installed; None when the stamp is missing or of another state of the project."""
    try:
        content = json.loads(stamp.read_text("utf-8"))
        return set(content["extras"]) if content["key"] == key() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def runs(venv: Path) -> bool:
    """Whether the environment is there, whole, and of this very Python version."""
    code = f"import sys; sys.exit(sys.version != {sys.version!r})"
    try:
        return subprocess.run([venv / "bin/python", "-c", code], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def create(venv: Path, line: ProgressLine) -> None:
    line("creating", 0.0)
    if importlib.util.find_spec("venv") is None:
        raise Failed("this Python has no venv module\n    apt-get install python3 brings it; python3-minimal does not")
    if venv.exists():
        shutil.rmtree(venv)
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], "creating the environment")


def ensure_pip(venv: Path, line: ProgressLine) -> None:
    """Give the environment a pip: Python's own bundle, else that of the Debian package python3-pip-whl."""
    python = venv / "bin/python"
    if subprocess.run([python, "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0:
        return
    if importlib.util.find_spec("ensurepip") is not None:
        line("installing pip", 0.0)
        done = subprocess.run([python, "-m", "ensurepip", "--default-pip"], check=False, capture_output=True)
        if done.returncode == 0:
            return
    with tempfile.TemporaryDirectory() as folder:
        root = unpacked("python3-pip-whl", Path(folder), line)
        wheels = sorted(root.glob("usr/share/python-wheels/pip-*.whl"))
        if not wheels:
            raise Failed("the package python3-pip-whl brought no wheel of pip")
        unpack_pip(wheels[-1], venv)


def unpack_pip(wheel: Path, venv: Path) -> None:
    """A wheel of pure Python is installed by unpacking it; pip could not even start to do it by itself.

    Debian's pip reads the machine's certificates while it is imported, and fails where there are none.
    """
    (site,) = venv.glob("lib/python3.*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    if (venv / CERTIFICATES).exists():
        core = site / "pip/_vendor/certifi/core.py"
        core.write_text(core.read_text("utf-8").replace(SYSTEM_BUNDLE, str(venv / CERTIFICATES)), encoding="utf-8")


def unpacked(package: str, folder: Path, line: ProgressLine) -> Path:
    root, work = folder / "root", folder / "apt"
    work.mkdir()
    root.mkdir()
    unpack_packages([package], root, own_source(), work, dependencies=False, progress=line)
    return root


def ensure_certificates(venv: Path, line: ProgressLine) -> None:
    """Where the machine trusts nobody, trust what Debian does; `environment.mk` hands that on to what make runs."""
    if has_certificates():
        return
    with tempfile.TemporaryDirectory() as folder:
        root = unpacked("ca-certificates", Path(folder), line)
        found = sorted(root.glob("usr/share/ca-certificates/mozilla/*.crt"))
        (venv / CERTIFICATES).write_text("".join(path.read_text("ascii") for path in found), encoding="ascii")
    variables = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    lines = [f"export {name} ?= {venv / CERTIFICATES}\n" for name in variables]
    (venv / "environment.mk").write_text("".join(lines), encoding="utf-8")


def has_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath) if paths.capath else None
    return bool(paths.cafile) or (folder is not None and any(folder.glob("*.[0-9]")))


def install(venv: Path, extras: Sequence[str], line: ProgressLine) -> None:
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    command = [
        str(venv / "bin/python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "-e",
        target,
    ]
    environment = dict(os.environ)
    if (venv / CERTIFICATES).exists():
        environment.setdefault("PIP_CERT", str(venv / CERTIFICATES))
    said: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            said.append(text.rstrip())
            report(text, line)
    if process.returncode:
        last = "\n    ".join(said[-LAST_LINES:])
        raise Failed(f"pip could not install the dependencies:\n    {last}\n    Is the package index reachable?")


def report(text: str, line: ProgressLine) -> None:
    """pip's own lines, shortened: which package it is at."""
    match = re.match(r"\s*(Collecting|Downloading|Building|Installing)\s*(?:collected packages)?:?\s*([\w.\-]*)", text)
    if match and sys.stderr.isatty():
        line(f"{match[1].lower()} {match[2]}", 0.0)
    elif match:
        line("installing dependencies", 0.0)


def run(command: Sequence[str], what: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{what} failed: {(done.stderr or done.stdout).strip()[-1500:]}")


if __name__ == "__main__":
    sys.exit(main())
