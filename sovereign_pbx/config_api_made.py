"""Assistants that were made through the API: one TOML file each in `assistants.d` of the state folder.

The daemon writes them, so nobody misspells a key there, and references in them are never expanded. A file that
can't be read costs its own assistant and no other: a telephone system must not stay down for it.
"""

from pathlib import Path

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.config_findings import Finding, located
from sovereign_pbx.config_source import read_source
from sovereign_pbx.core.errors import ConfigError

LEFT_OUT = "this assistant is left out; mend or remove the file"


def machine_owned(folder: Path) -> tuple[dict[str, Assistant], list[Finding]]:
    """The assistants in `folder` by the name of their file (their id), and what is wrong with the others."""
    assistants: dict[str, Assistant] = {}
    findings: list[Finding] = []
    try:
        files = sorted(folder.glob("*.toml"))
    except OSError as exc:
        return {}, [_warning(folder, f"can't be read: {exc.strerror}")]
    for file in files:
        assistant, found = _read(file)
        findings += found
        if assistant is not None:
            assistants[file.stem] = assistant
    return assistants, findings


def _read(file: Path) -> tuple[Assistant | None, list[Finding]]:
    report = Report()
    try:
        source = read_source(file)
        assistant = Assistant.read({"name": file.stem, "id": file.stem, **source.data}, (), report)
    except ConfigError as error:
        return None, [_warning(file, error.message, error.line, error.column)]
    if assistant is not None:
        return assistant, []
    return None, [
        _warning(file, finding.message, finding.line, finding.column)
        for finding in located(report.errors, str(file), source.positions)
    ]


def _warning(file: Path, message: str, line: int | None = None, column: int | None = None) -> Finding:
    return Finding(message=message, severity="warning", file=str(file), line=line, column=column, remedy=LEFT_OUT)
