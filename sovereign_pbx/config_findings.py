"""What `check` finds, with the place it stands at."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from sovereign_pbx.assistants.problem import Problem, Severity, dotted
from sovereign_pbx.config_positions import Positions
from sovereign_pbx.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong, or worth a warning, in one file."""

    message: str
    severity: Severity = "error"
    file: str = ""
    line: int | None = None
    column: int | None = None
    key: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part not in ("", None))
        text = f"{place}: {self.severity}: {self.message}" if place else f"{self.severity}: {self.message}"
        return f"{text}\n    {self.remedy}" if self.remedy else text

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(eq=False)
class InvalidConfig(ConfigError):
    """A configuration that can't be used; `findings` are all the errors in it, `str()` shows them all."""

    findings: tuple[Finding, ...] = field(default=())

    def __str__(self) -> str:
        return "\n".join([self.message, *(str(finding) for finding in self.findings)])


def located(problems: Iterable[Problem], file: str, positions: Positions) -> list[Finding]:
    """Problems with the place of their key in `file`, in the order of the file."""
    findings = [_located(problem, file, positions) for problem in problems]
    return sorted(findings, key=lambda finding: (finding.line or 0, finding.column or 0))


def _located(problem: Problem, file: str, positions: Positions) -> Finding:
    place = positions.place(problem.path)
    return Finding(
        message=str(problem),
        severity=problem.severity,
        file=file,
        line=place[0] if place else None,
        column=place[1] if place else None,
        key=dotted(problem.path),
        remedy=problem.remedy,
    )
