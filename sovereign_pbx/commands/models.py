"""`sovereign-pbx models`: list, fetch and find the model files of the embedded engines."""

import threading
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech import models as files
from sovereign_pbx.speech.model_list import catalogue


class CouldNotFetch(click.ClickException):
    """The models could not be brought here: exit 2."""

    exit_code = 2


class NotHere(click.ClickException):
    """The model is missing or damaged, which is a finding: exit 1."""

    exit_code = 1


@click.group()
def models() -> None:
    """Model files of the embedded engines: what there is, what is here, and fetching the rest."""


@models.command("list")
def list_models() -> None:
    """Show every model, its size, its licence, and whether it is on this machine."""
    table = Table("name", "for", "MB", "licence", "here", box=None, pad_edge=False)
    for name, model in catalogue().models.items():
        here = "no" if files.check(model, files.cache_folder() / name) else "yes"
        table.add_row(name, model.purpose, str(model.size >> 20), model.licence, here)
    console = Console()
    console.print(table)
    for name, members in catalogue().sets.items():
        console.print(f"set {name}: {', '.join(members)}", highlight=False)


@models.command()
@click.argument("names", nargs=-1)
@click.option("--for", "purpose", type=click.Choice(sorted(catalogue().sets)), help="Fetch a named set of models.")
def fetch(names: tuple[str, ...], purpose: str | None) -> None:
    """Bring models to this machine: NAMES of models or sets, or "all".

    Downloads go on where they stopped, and every file is checked by its SHA-256.
    """
    wanted = [*names, *([purpose] if purpose else [])]
    if not wanted:
        raise click.UsageError("name the models to fetch, or a set with --for; `models list` shows them")
    console = Console()
    try:
        with shown_progress(console) as progress:
            got = files.fetch(wanted, progress)
    except ConfigError as exc:
        raise CouldNotFetch(str(exc)) from exc
    console.print(f"fetched: {', '.join(got)}" if got else "everything is here already", highlight=False)


@models.command()
@click.argument("name")
def where(name: str) -> None:
    """Print the path of model NAME; exit 1 when it is not here or damaged."""
    try:
        click.echo(files.locate(name))
    except ConfigError as exc:
        raise NotHere(str(exc)) from exc


def shown_progress(console: Console) -> "Bars | Lines":
    """Progress of a fetch, as bars on a terminal and as lines in a log."""
    return Bars(console) if console.is_terminal else Lines(console)


class Bars:
    """A bar for each file and one for the whole."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._all = self._bars.add_task("total", total=0)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def plan(self, total: int) -> None:
        self._bars.update(self._all, total=total)

    def begin(self, label: str, total: int) -> None:
        with self._lock:
            self._tasks[label] = self._bars.add_task(label, total=total)

    def advance(self, label: str, count: int) -> None:
        self._bars.advance(self._tasks[label], count)
        self._bars.advance(self._all, count)

    def end(self, label: str) -> None:
        self._bars.remove_task(self._tasks[label])

    def note(self, text: str) -> None:
        self._bars.console.print(text, highlight=False)


class Lines:
    """Plain lines for logs: one for each finished file and each tenth of the whole."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._total = self._done = self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def plan(self, total: int) -> None:
        self._total = total

    def begin(self, label: str, total: int) -> None: ...

    def advance(self, label: str, count: int) -> None:
        with self._lock:
            self._done += count
            tenth = self._done * 10 // self._total if self._total else 0
            if tenth > self._shown:
                self._shown = tenth
                self._say(f"{tenth * 10:3d} %  {self._done >> 20} of {self._total >> 20} MB")

    def end(self, label: str) -> None: ...

    def note(self, text: str) -> None:
        with self._lock:
            self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    models()
