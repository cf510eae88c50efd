"""What commands that read the call database have in common: their options, and how they print."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

database_option = click.option(
    "--database", metavar="FILE", type=click.Path(path_type=Path), help="The database itself; no configuration is read."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs.")


def console() -> Console:
    """Piped output keeps whole lines: eighty columns are for people."""
    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = 500
    return made


Advance = Callable[[float], None]


@contextmanager
def progress(what: str, total: float) -> Iterator[Advance]:
    """A bar on standard error, where somebody watches; told by how much it goes on."""
    watched = Console(stderr=True)
    with Progress(console=watched, transient=True, disable=not watched.is_terminal) as bar:
        task = bar.add_task(what, total=total or None)
        yield lambda by: bar.advance(task, by)


def print_json(value: object) -> None:
    """For programs, and still readable."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
