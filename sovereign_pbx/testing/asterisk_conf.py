"""The files of a private Asterisk: templates of `conf/` with their `@NAMES@` filled in, and its directories."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

FOLDERS = ("etc", "varlib/keys", "data/sounds", "agi-bin", "spool/monitor", "spool/tmp", "run", "log", "sbin")

# Asterisk reads these too and complains about each that is missing; empty means its defaults.
EMPTY = (
    "acl.conf",
    "ccss.conf",
    "chan_websocket.conf",
    "codecs.conf",
    "features.conf",
    "http.conf",
    "musiconhold.conf",
    "pjproject.conf",
    "sorcery.conf",
    "stasis.conf",
    "udptl.conf",
    "websocket_client.conf",
)

Values = Mapping[str, str | int | Path]


def make_folders(run_dir: Path, share: Path) -> None:
    """Every directory of asterisk.conf, with links to the data of the unpacked package at `share`."""
    for folder in FOLDERS:
        (run_dir / folder).mkdir(parents=True, exist_ok=True)
    # res_pjsip refuses to load without its XML documentation; the voice lies under a name of the package's own
    links = {"documentation": share / "documentation", "rest-api": share / "rest-api"}
    voices = sorted(path for path in share.glob("sounds/en*") if path.is_dir())
    if voices:
        links["sounds/en"] = voices[0]
    for name, target in links.items():
        link = run_dir / "data" / name
        if target.exists() and not link.is_symlink():
            link.symlink_to(target)


def write_configuration(folder: Path, values: Values, extra: Mapping[str, str]) -> None:
    """Write every file of the configuration, each followed by what `extra` holds for its name."""
    for name in {*EMPTY, *extra}:
        (folder / name).write_text(extra.get(name, ""), encoding="utf-8")
    for template in files("sovereign_pbx.testing").joinpath("conf").iterdir():
        text = fill(template.read_text("utf-8"), values)
        if template.name == "modules.conf":
            text = without_missing(text, Path(str(values["MODULES"])))
        text += extra.get(template.name, "")
        (folder / template.name).write_text(f"{text}\n", encoding="utf-8")


def fill(template: str, values: Values) -> str:
    """`template` with each `@NAME@` replaced by its value; KeyError names one that has none."""
    return re.sub(r"@([A-Z_]+)@", lambda match: str(values[match[1]]), template)


def without_missing(text: str, modules: Path) -> str:
    """modules.conf without what this build lacks: Asterisk 20 as Ubuntu 24.04 has it knows no func_uuid."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("load = ") or (modules / line[7:].strip()).exists())
