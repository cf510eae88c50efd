"""`sovereign-pbx`: the command line. Subcommands are imported when they are used, so that `--help` is instant.

Exit codes: 0 well, 1 a finding, 2 could not run.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from sovereign_pbx.core.errors import SovereignError

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

COMMANDS: Final = {
    "run": "Answer calls: the daemon itself.",
    "check": "Check the configuration, and what it needs on this machine.",
    "doctor": "Examine the PBX, the providers and the sound, with a test call.",
    "demo": "Hold a real spoken call on a private Asterisk.",
    "call": "Place a call.",
    "calls": "List calls, show one with its transcript, follow them live.",
    "recordings": "List, export, verify, decrypt and delete recordings.",
    "webhooks": "List webhooks, show one as it is sent, send dead ones again.",
    "campaigns": "List campaigns, import leads, start and pause one, watch it call, take its results.",
    "do-not-call": "Add, remove, list and import numbers that nobody may call.",
    "assistants": "List assistants, show one, try which one takes a call.",
    "keys": "Make, list and revoke the keys of the REST API.",
    "dialplan": "Print the dialplan that brings calls here.",
    "config": "Show the configuration, an example, the reference, the schema.",
    "reload": "Take up the configuration file as it is now, while calls go on.",
    "drain": "Finish the present calls and take no more.",
    "models": "List and fetch the models of the embedded engines.",
    "bench": "Measure latency, barge-in and cost under load.",
    "version": "Print the version.",
}
"""Each is the click command of its own name in the module or package `commands/NAME`; what is not there is left out."""


class CouldNotRun(click.ClickException):
    """Said on standard error without a traceback; exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"sovereign-pbx: {self.message}", file=file, err=True)


@dataclass(slots=True)
class Invocation:
    """What was said before the subcommand; `click.pass_obj` hands it over."""

    config_path: str | None = None

    def config(self) -> "Config":
        """The configuration. Raises ConfigError, which the command line turns into exit code 2."""
        from sovereign_pbx.config import load

        return load(self.config_path)


class LazyGroup(click.Group):
    """Knows its subcommands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if _is_there(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            name = cmd_name.replace("-", "_")
            command = getattr(importlib.import_module(f"sovereign_pbx.commands.{name}"), name, None)
        except ModuleNotFoundError as exc:
            raise CouldNotRun(f"{cmd_name} needs the package {exc.name}, which is not installed") from exc
        return _with_config_option(command) if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            raise click.UsageError(_suggested(exc.message, args[0], self.list_commands(ctx)), ctx) from exc

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SovereignError as exc:
            raise CouldNotRun(str(exc)) from exc


def _is_there(name: str) -> bool:
    spec = importlib.util.find_spec(f"sovereign_pbx.commands.{name.replace('-', '_')}")
    return spec is not None and spec.origin is not None  # a folder without __init__.py is no command


def _suggested(message: str, name: str, names: list[str]) -> str:
    from sovereign_pbx.assistants.problem import nearest

    guess = nearest(name, names)
    return f"{message} Did you mean {guess}?" if guess and "Did you mean" not in message else message


def _choose_config(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    invocation = ctx.ensure_object(Invocation)
    if value is not None:
        invocation.config_path = value


def _config_option() -> click.Option:
    return click.Option(
        ["-c", "--config"],
        metavar="FILE",
        help="Configuration file; else $SOVEREIGN_PBX_CONFIG, else /etc/sovereign-pbx/config.toml.",
        expose_value=False,
        callback=_choose_config,
    )


def _with_config_option(command: click.Command) -> click.Command:
    """`check -c FILE` is as natural to type as `-c FILE check`: every subcommand takes the option."""
    taken = {option for parameter in command.params for option in parameter.opts}
    if not taken & {"-c", "--config"}:
        command.params.append(_config_option())
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _with_config_option(inner)
    return command


cli = LazyGroup(
    "sovereign-pbx",
    params=[_config_option()],
    help="""An AI voice assistant on your own PBX.

    \b
    A first start:
      sovereign-pbx config example > config.toml   every key, explained
      sovereign-pbx -c config.toml check           what is wrong with it
      sovereign-pbx -c config.toml dialplan asterisk   what to tell Asterisk
      sovereign-pbx -c config.toml run             answer calls
      sovereign-pbx -c config.toml doctor          prove it with a test call

    Exit codes: 0 well, 1 a finding, 2 could not run.
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)


def main() -> None:
    """Entry point."""
    cli(prog_name="sovereign-pbx")
