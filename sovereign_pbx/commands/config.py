"""`sovereign-pbx config`: the configuration as it is, as it could be, and its reference."""

import json
from pathlib import Path

import click

from sovereign_pbx.cli import CouldNotRun, Invocation


@click.group()
def config() -> None:
    """Show the configuration, an example, the reference, the schema."""


@config.command()
@click.option(
    "--secrets",
    type=click.Choice(["never", "source"]),
    default="never",
    show_default=True,
    help="never masks them; source shows where they come from, never what they are.",
)
@click.pass_obj
def show(invocation: Invocation, secrets: str) -> None:
    """Print the configuration as the daemon understands it: defaults filled in, files and variables read."""
    import tomli_w

    from sovereign_pbx.config_shown import shown

    click.echo(tomli_w.dumps(shown(invocation.config(), sources=secrets == "source"), multiline_strings=True), nl=False)


@config.command()
def example() -> None:
    """Print a configuration with every key, its default and a sentence; a good start for your own."""
    from sovereign_pbx.config_example import example as text

    click.echo(text(), nl=False)


@config.command()
@click.option("--into", metavar="FILE", type=click.Path(path_type=Path), help="Renew the reference in this file.")
def reference(into: Path | None) -> None:
    """Print the reference of all keys as Markdown."""
    from sovereign_pbx.config_reference import placed_in
    from sovereign_pbx.config_reference import reference as text

    if into is None:
        click.echo(text(), nl=False)
        return
    try:
        into.write_text(placed_in(into.read_text()))
    except OSError as exc:
        raise CouldNotRun(f"{into}: {exc.strerror}") from exc


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors that complete and check TOML."""
    from sovereign_pbx.config import ROOT

    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Sovereign PBX configuration"}
    click.echo(json.dumps(about | ROOT.json_schema(), indent=2, ensure_ascii=False))


@config.command()
@click.pass_obj
def path(invocation: Invocation) -> None:
    """Print which file is the configuration; exit 1 when it does not exist."""
    import os

    from sovereign_pbx.config_source import config_path

    file = config_path(invocation.config_path, os.environ)
    click.echo(file)
    if not file.is_file():
        click.get_current_context().exit(1)
