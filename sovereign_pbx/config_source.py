"""Reading a TOML file with the places of its keys; every way that can fail is a ConfigError with a place."""

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sovereign_pbx.config_positions import Positions, find_positions
from sovereign_pbx.core.errors import ConfigError

DEFAULT_PATH: Final = Path("/etc/sovereign-pbx/config.toml")
VARIABLE: Final = "SOVEREIGN_PBX_CONFIG"

MOST_BYTES: Final = 8 << 20
"""Prompts belong in files of their own; a larger configuration is a mistake (a log, a device)."""

_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$| \(at end of document\)$")


@dataclass(frozen=True, slots=True)
class Source:
    """One file, read."""

    path: Path
    data: dict[str, Any]
    positions: Positions
    world_readable: bool
    changed_at: str  # as `created_at` is written in the API
    checksum: str  # SHA-256 of the file, as sha256sum(1) prints it


def config_path(given: str | Path | None, environ: Mapping[str, str]) -> Path:
    """`-c`, else $SOVEREIGN_PBX_CONFIG, else /etc/sovereign-pbx/config.toml."""
    return Path(given or environ.get(VARIABLE) or DEFAULT_PATH)


def read_source(path: Path) -> Source:
    """The file at `path`. Raises ConfigError: not there, not readable, not text, not TOML."""
    raw, state = _read(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise ConfigError("is not UTF-8 text", str(path), line, remedy="save the file as UTF-8") from exc
    data, positions = parse_text(text, str(path)), find_positions(text)
    return Source(
        path,
        data,
        positions,
        bool(state.st_mode & stat.S_IROTH),
        _utc_text(state.st_mtime),
        hashlib.sha256(raw).hexdigest(),
    )


def _utc_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_text(text: str, file: str = "") -> dict[str, Any]:
    """TOML text as a dict; ConfigError with line and column when it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        message = str(exc)
        found = _PLACE.search(message)
        line, column = (int(found[1]), int(found[2])) if found and found[1] else (text.count("\n") + 1, None)
        raise ConfigError(f"not valid TOML: {_PLACE.sub('', message)}", file, line, column) from exc
    except (ValueError, RecursionError) as exc:  # a number of thousands of digits, arrays in arrays in arrays
        raise ConfigError(f"not usable TOML: {type(exc).__name__}", file) from exc


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise ConfigError("is not a file", str(path))
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError as exc:
        remedy = f"create it (`sovereign-pbx config example` prints one), or name it with -c or ${VARIABLE}"
        raise ConfigError("does not exist", str(path), remedy=remedy) from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConfigError(f"can't be read: {reason}", str(path)) from exc
    if len(raw) > MOST_BYTES:
        raise ConfigError(
            f"is larger than {MOST_BYTES >> 20} MiB", str(path), remedy="keep prompts in files of their own"
        )
    return raw, state
