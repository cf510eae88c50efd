"""Results as a person reads them while they come, and as a program reads them at the end."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click

from sovereign_pbx.assistants.secret import Redactor
from sovereign_pbx.commands.call_page import plain
from sovereign_pbx.commands.doctor.result import Result

COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}
_NAME_WIDTH: Final = 22
_INDENT: Final = " " * (9 + _NAME_WIDTH)


@dataclass(slots=True)
class Report:
    """Shows each result at once: on standard output, or, when that is for JSON, in short on standard error."""

    as_json: bool
    redactor: Redactor
    results: list[Result] = field(default_factory=list)

    def begins(self, name: str) -> None:
        """Something is being looked at; where a person watches, that is shown until its result is."""
        if sys.stderr.isatty():
            click.echo(f"\r         {name} …\x1b[K", nl=False, err=True)

    def add(self, result: Result) -> None:
        self.results.append(result)
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", nl=False, err=True)
        lines = self._lines(result)
        for line in lines[:1] if self.as_json else lines:
            click.echo(line, err=self.as_json)

    def end(self) -> None:
        """The sum, or the JSON."""
        counts = Counter(str(result.status) for result in self.results)
        if self.as_json:
            report = self._masked(self._as_dict(counts))
            click.echo(json.dumps(report, indent=2, ensure_ascii=False, default=str))
            return
        shown = [f"{counts[status]} {status}" for status in COLOURS if counts[status]]
        click.echo(f"\n{', '.join(shown)}")

    def _lines(self, result: Result) -> Sequence[str]:
        mark = click.style(f"{result.status:<9}", fg=COLOURS[result.status])
        first, *more = _wrapped(self._one_line(result.detail))
        lines = [f"{mark}{result.name:<{_NAME_WIDTH}} {first}", *(f"{_INDENT} {line}" for line in more)]
        if result.remedy and result.status != "ok":
            lines += [f"{_INDENT} {line}" for line in _wrapped(f"→ {self._one_line(result.remedy)}")]
        return lines

    def _one_line(self, text: str) -> str:
        return plain(self._safe(" ".join(text.split()))).plain

    def _safe(self, text: str) -> str:
        return self.redactor.redact(text)

    def _masked(self, value: Any) -> Any:
        """The same without secrets; before it becomes JSON, which would write a quotation mark in one differently."""
        if isinstance(value, dict):
            return {name: self._masked(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(one) for one in value]
        return self._safe(value) if isinstance(value, str) else value

    def _as_dict(self, counts: Counter[str]) -> dict[str, Any]:
        checks = [
            {
                "name": result.name,
                "status": result.status,
                "detail": result.detail,
                "remedy": result.remedy,
                "seconds": result.seconds,
                "facts": dict(result.facts),
            }
            for result in self.results
        ]
        return {**{status: counts[status] for status in COLOURS}, "checks": checks}


def _wrapped(text: str) -> list[str]:
    """Lines for a terminal; whole lines for a pipe, where grep wants them."""
    if not sys.stdout.isatty():
        return [text]
    width = shutil.get_terminal_size().columns - len(_INDENT) - 1
    return textwrap.wrap(text, max(width, 30), break_long_words=False, break_on_hyphens=False) or [""]
