"""`sovereign-pbx version`."""

import json
import platform

import click

from sovereign_pbx import __version__


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the interpreter and the platform.")
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        about = {"version": __version__, "python": platform.python_version(), "platform": platform.platform()}
        click.echo(json.dumps(about))
    else:
        click.echo(f"sovereign-pbx {__version__}")
