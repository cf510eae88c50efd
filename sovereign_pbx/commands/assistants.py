"""`sovereign-pbx assistants`: who is configured, and who would take a call."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sovereign_pbx.assistants.account import target_for
from sovereign_pbx.assistants.directory import Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.assistants.resolve import Resolution, resolve
from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.config import Config


@click.group()
def assistants() -> None:
    """List assistants, show one, try which one takes a call."""


@assistants.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_assistants(invocation: Invocation, as_json: bool) -> None:
    """Print every assistant with its numbers and providers."""
    config = invocation.config()
    rows = [_row(name, assistant, config) for name, assistant in config.assistants.items()]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        state = "" if row["is_active"] else " (not active)"
        click.echo(f"{row['key']}{state}: {row['name']}, id {row['id']}")
        click.echo(f"    numbers: {', '.join(row['numbers']) or 'none'}")
        click.echo(f"    stt {row['stt']}, llm {row['llm']}, tts {row['tts']}")
    if not rows:
        click.echo("no assistants")


@assistants.command("show")
@click.argument("name")
@click.pass_obj
def show_assistant(invocation: Invocation, name: str) -> None:
    """Print assistant NAME (or its id) as webhooks and the API see it: resolved, without secrets."""
    config = invocation.config()
    assistant = config.directory.assistant(name)
    if assistant is None:
        raise _NoSuchAssistant(f"there is no assistant {name!r}; known: {', '.join(config.assistants) or 'none'}")
    click.echo(json.dumps(assistant.to_public(), indent=2, ensure_ascii=False))


@assistants.command("try")
@click.argument("called")
@click.option(
    "--answer",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="JSON that the assistant-request webhook would answer; - reads standard input.",
)
@click.pass_obj
def try_call(invocation: Invocation, called: str, answer: Path | None) -> None:
    """Say who takes a call to CALLED, and why.

    No webhook is asked: --answer stands in for one, else it is taken to answer {}.

    Exit code 1 when the call would go to the dialplan's fallback.
    """
    config = invocation.config()
    given = _read_answer(answer) if answer else {}

    async def ask(saved: Assistant | None, number: Number | None) -> Any:
        return given

    resolution = asyncio.run(resolve(config.directory, called=called, ask=ask, account=config.account))
    _, saved = config.directory.find(called)
    asked = resolution.asked_ms is not None
    for line in _story(resolution, saved, called, _webhook_said(saved, config) if asked else "not asked"):
        click.echo(line)
    if resolution.outcome == "none" and (answer is not None or not asked):
        click.get_current_context().exit(1)


class _NoSuchAssistant(click.ClickException):
    """A finding, exit 1."""

    exit_code = 1


def _row(name: str, assistant: Assistant, config: Config) -> dict[str, Any]:
    directory = config.directory
    usual = "realtime" if is_realtime(assistant.llm_config) else "default"
    return {
        "key": name,
        "id": assistant.id,
        "name": assistant.name,
        "is_active": assistant.is_active,
        "numbers": [entry.number for entry in config.numbers if directory.assistant(entry.assistant) is assistant],
        "stt": assistant.stt_config.get("provider", usual),
        "llm": assistant.llm_config.get("provider", "default"),
        "tts": assistant.tts_config.get("provider", usual),
    }


def _read_answer(file: Path) -> Any:
    try:
        return json.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except OSError as exc:
        raise CouldNotRun(f"{file}: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise CouldNotRun(f"{file} is not JSON: {exc}") from exc


def _webhook_said(saved: Assistant | None, config: Config) -> str:
    target = target_for("assistant-request", saved, config.account)
    signed = "signed" if target and target.secret else "unsigned"
    return f"asked at {target.url if target else '?'}, {signed}"


def _story(resolution: Resolution, saved: Assistant | None, called: str, webhook: str) -> Iterator[str]:
    number = resolution.number
    entry = f"{number.number}{f' ({number.name})' if number.name else ''}" if number else "none"
    yield f"called: {called}"
    yield f"entry in [[numbers]]: {entry}"
    yield f"saved assistant: {saved.name if saved else 'none'}"
    yield f"webhook: {webhook}"
    yield from (f"note: {note}" for note in resolution.notes)
    if resolution.outcome == "rejected":
        yield f"rejected: the caller hears {resolution.rejection!r}"
    elif resolution.outcome == "none":
        yield "nobody takes it: the dialplan's fallback gets the caller"
    else:
        yield f"taken by: {resolution.assistant.name if resolution.assistant else ''} ({resolution.source})"
        if resolution.workflow is not None:
            yield f"conducted by: the workflow {resolution.workflow.name}"
