"""The command line as a whole: quick, clear, and with the right exit codes."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sovereign_pbx import __version__
from sovereign_pbx.cli import COMMANDS, LazyGroup, cli
from sovereign_pbx.core.errors import SovereignError


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from sovereign_pbx.cli import cli
cli(["--help"], standalone_mode=False)
heavy = {"numpy", "openai", "aiohttp", "onnxruntime", "rich", "msgspec", "sovereign_pbx.config", "asyncio"}
print("IMPORTED", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert "Commands:" in done.stdout
    assert "IMPORTED []" in done.stdout


def test_help_lists_exactly_the_commands_that_are_there() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    folder = Path(__file__).parents[2] / "sovereign_pbx/commands"
    there = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    for name in COMMANDS:
        assert (f"\n  {name} " in shown) == (name.replace("-", "_") in there), name


def test_every_command_of_ours_has_the_help_that_the_list_promises() -> None:
    for name in ("check", "config", "assistants", "version"):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None and command.help is not None
        assert command.help.splitlines()[0] == COMMANDS[name]


def test_a_command_without_its_module_is_unknown_and_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "nowhere", "Not there.")
    assert "nowhere" not in CliRunner().invoke(cli, ["--help"]).output
    assert CliRunner().invoke(cli, ["nowhere"]).exit_code == 2


def test_a_misspelt_command_is_told_the_right_one() -> None:
    result = CliRunner().invoke(cli, ["chekc"])
    assert result.exit_code == 2
    assert "Did you mean check?" in result.output


def test_our_errors_are_told_without_a_traceback() -> None:
    group = LazyGroup("x")

    @click.command()
    def boom() -> None:
        raise SovereignError("the reason")

    group.add_command(boom)
    group.get_command = lambda ctx, cmd_name: boom  # type: ignore[method-assign]  # no module holds this command
    result = CliRunner().invoke(group, ["boom"])
    assert (result.exit_code, result.output) == (2, "sovereign-pbx: the reason\n")


def test_a_missing_file_is_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["config", "show", "-c", str(tmp_path / "nope.toml")])
    assert result.exit_code == 2
    assert "does not exist" in result.output and "Traceback" not in result.output


def test_the_version_is_printed_plain_and_as_json() -> None:
    assert CliRunner().invoke(cli, ["version"]).output == f"sovereign-pbx {__version__}\n"
    assert f'"version": "{__version__}"' in CliRunner().invoke(cli, ["version", "--json"]).output


@pytest.mark.parametrize("before", [True, False])
def test_the_file_may_be_named_before_or_behind_the_command(tmp_path: Path, before: bool) -> None:
    file = tmp_path / "config.toml"
    file.write_text("")
    option = ["-c", str(file)]
    result = CliRunner().invoke(cli, [*option, "config", "path"] if before else ["config", "path", *option])
    assert (result.exit_code, result.output) == (0, f"{file}\n")
