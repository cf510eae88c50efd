"""`sovereign-pbx recordings`: what was recorded, whether it is still what it was, and how to hand it on."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table

from sovereign_pbx.calls.recording_audit import sum_of
from sovereign_pbx.calls.recording_files import call_of, recordings_in
from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands import output
from sovereign_pbx.commands.call_page import local_time, parties, plain
from sovereign_pbx.commands.choice import the_one
from sovereign_pbx.commands.database import reading, writing
from sovereign_pbx.commands.output import database_option, json_option, print_json
from sovereign_pbx.commands.recording_out import decrypt_file, export_recording, keygen
from sovereign_pbx.store import CallRow
from sovereign_pbx.store import reading as stored
from sovereign_pbx.store.recording_queries import Recorded, forget, newest, recorded
from sovereign_pbx.webhooks.envelope import utc_now

_BATCH = 500


@click.group()
def recordings() -> None:
    """List recordings, show one, export, verify, decrypt and delete them.

    \b
    Hand a call to somebody:
      sovereign-pbx recordings list                        which there are
      sovereign-pbx recordings verify 2343ec0c             is it what was recorded?
      sovereign-pbx recordings export 2343ec0c --format mp3
    Encrypted ones, where the secret key is:
      sovereign-pbx recordings keygen -o recordings.key    once; its public part goes into [recording] public_key
      sovereign-pbx recordings decrypt CALL.wav.age --key recordings.key
    """


for one in (export_recording, decrypt_file, keygen):
    recordings.add_command(one)


@recordings.command("list")
@database_option
@json_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@click.pass_obj
def list_recordings(invocation: Invocation, database: Path | None, as_json: bool, limit: int) -> None:
    """The newest recordings."""
    with reading(invocation, database) as connection:
        calls = newest(connection, limit)
        found = [row for row in (stored.call(connection, call_id) for call_id in calls) if row is not None]
    if as_json:
        print_json([{**_facts(row), "here": _is_here(row)} for row in found])
    else:
        output.console().print(_table(found) if found else "no recordings")


@recordings.command()
@database_option
@json_option
@click.argument("call_id", metavar="CALL")
@click.pass_obj
def show(invocation: Invocation, database: Path | None, as_json: bool, call_id: str) -> None:
    """One recording: where it is, its sum, and when it was paused by whom.

    The beginning of the call's id is enough where no other call has it.
    """
    with reading(invocation, database) as connection:
        row = the_one(connection, call_id)
        pauses = [(at, name, values) for at, name, values in stored.events(connection, row.id) if _is_ours(name)]
    if as_json:
        events = [{"at": at, "name": name, "values": values} for at, name, values in pauses]
        print_json({**_facts(row), "here": _is_here(row), "events": events})
    else:
        output.console().print(_page(row, pauses))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one recording. `fault`: "" where it is what it was."""

    call_id: str
    path: str
    fault: str = ""


@recordings.command()
@database_option
@json_option
@click.argument("call_ids", metavar="[CALL]...", nargs=-1)
@click.pass_obj
def verify(invocation: Invocation, database: Path | None, as_json: bool, call_ids: tuple[str, ...]) -> None:
    """Are they what was recorded? Compares files with their SHA-256 in the database; without CALL all of them, and
    looks for files that belong to no call.

    Exit code 1: something was found. Encrypted recordings are verified as they are, without a key.
    """
    with reading(invocation, database) as connection:
        chosen = [the_one(connection, call_id) for call_id in call_ids]
        rows = [_as_recorded(row) for row in chosen] if chosen else _everything(connection)
        strays = [] if chosen or database is not None else _strays(connection, invocation)
    with output.progress("verifying", len(rows)) as advance:
        verdicts = [_verified(row, advance) for row in rows]
    verdicts += [Verdict(call_of(path.name), str(path), "belongs to no call") for path in strays]
    faults = [verdict for verdict in verdicts if verdict.fault]
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    else:
        for verdict in faults:
            click.echo(f"{verdict.call_id}: {verdict.fault}  {verdict.path}")
        click.echo(f"{len(verdicts) - len(faults)} of {len(verdicts)} recordings are what was recorded")
    if faults:
        raise SystemExit(1)


@recordings.command()
@database_option
@click.option("--orphans", is_flag=True, help="Instead: every file that belongs to no call.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("call_ids", metavar="[CALL]...", nargs=-1)
@click.pass_obj
def delete(invocation: Invocation, database: Path | None, orphans: bool, yes: bool, call_ids: tuple[str, ...]) -> None:
    """Remove recordings for good; their calls stay and say so."""
    if orphans == bool(call_ids):
        raise CouldNotRun("name calls, or say --orphans")
    with writing(invocation, database) as connection:
        if orphans:
            strays = _strays(connection, invocation)
            _confirm(f"{len(strays)} files that belong to no call", yes or not strays)
            gone = sum(_unlinked(path) for path in strays)
        else:
            rows = [the_one(connection, call_id) for call_id in call_ids]
            without = [row.id for row in rows if not row.recording_path or row.ended_at is None]
            if without:
                raise CouldNotRun(f"there is no finished recording of {', '.join(without)}")
            _confirm(", ".join(row.recording_path or "" for row in rows), yes)
            gone = sum(_removed(connection, row) for row in rows)
    click.echo(f"{gone} removed")


def _confirm(what: str, sure: bool) -> None:
    if not sure and not click.confirm(f"Remove {what}?"):
        raise CouldNotRun("nothing was removed")


def _removed(connection: sqlite3.Connection, row: CallRow) -> bool:
    gone = _unlinked(Path(row.recording_path or ""))
    about = {**(row.recording or {}), "removed_at": utc_now(), "removed_because": "it was deleted"}
    forget(connection, row.id, about)
    return gone


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise CouldNotRun(f"{path} could not be removed: {exc.strerror}") from exc
    return True


def _everything(connection: sqlite3.Connection) -> list[Recorded]:
    found: list[Recorded] = []
    after = ("", "")
    while batch := recorded(connection, after, _BATCH):
        found += batch
        after = (batch[-1].created_at, batch[-1].call_id)
    return found


def _as_recorded(row: CallRow) -> Recorded:
    if not row.recording_path:
        raise CouldNotRun(f"the call {row.id} has no recording{_why_none(row)}")
    return Recorded(row.id, row.created_at, row.recording_path, dict(row.recording or {}))


def _why_none(row: CallRow) -> str:
    about = row.recording or {}
    why = about.get("removed_because") or about.get("error")
    return f": {why}" if why else ""


def _verified(row: Recorded, advance: output.Advance) -> Verdict:
    path = Path(row.path)
    try:
        digest = sum_of(path)
    except FileNotFoundError:
        fault = "the file is gone"
    except OSError as exc:
        fault = f"the file can't be read: {exc.strerror}"
    else:
        wanted = row.about.get("sha256")
        fault = "" if digest == wanted else "the file has been changed" if wanted else "it has no sum yet"
    advance(1)
    return Verdict(row.call_id, row.path, fault)


def _strays(connection: sqlite3.Connection, invocation: Invocation) -> list[Path]:
    """As the daemon's own audit finds them: not those of calls that go on."""
    folder = invocation.config().recordings
    found = []
    for path in sorted(recordings_in(folder)) if folder is not None else ():
        row = stored.call(connection, call_of(path.name))
        if row is None or (row.ended_at is not None and not row.recording_path):
            found.append(path)
    return found


def _is_here(row: CallRow) -> bool:
    return bool(row.recording_path) and Path(row.recording_path or "").is_file()


def _facts(row: CallRow) -> dict[str, Any]:
    return {
        "call_id": row.id,
        "created_at": row.created_at,
        "caller_phone": row.caller_phone,
        "assistant_phone": row.assistant_phone,
        "path": row.recording_path,
        **(row.recording or {}),
    }


def _is_ours(name: str) -> bool:
    return name.startswith("recording")


def _table(found: Sequence[CallRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("began", "call", "from", "to", "length", "paused", "form", "size", ""):
        right = name in ("length", "paused", "size")
        table.add_column(name, no_wrap=name in ("began", "call"), justify="right" if right else "left")
    for row in found:
        about = row.recording or {}
        table.add_row(
            local_time(row.created_at, "%Y-%m-%d %H:%M:%S"),
            plain(row.id[:8]),
            *map(plain, parties(row)),
            _seconds(about.get("duration_seconds")),
            _seconds(about.get("paused_seconds") or None),
            _form(about),
            _size(about.get("bytes")),
            plain(str(about.get("error") or "")) if _is_here(row) else "the file is gone",
        )
    return table


def _page(row: CallRow, pauses: Sequence[tuple[str, str, Mapping[str, Any]]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    about = row.recording or {}
    shown = {"call": row.id, "began": local_time(row.created_at, "%Y-%m-%d %H:%M:%S"), "file": row.recording_path}
    shown |= {"form": _form(about), "here": "yes" if _is_here(row) else f"no{_why_none(row)}"}
    left_out = {"format", "encrypted"}
    shown |= {name.replace("_", " "): value for name, value in about.items() if name not in left_out}
    for name, value in shown.items():
        if value not in (None, ""):
            table.add_row(name, plain(str(value)))
    for at, name, values in pauses:
        told = ", ".join(f"{key} {value}" for key, value in values.items())
        table.add_row(local_time(at, "%H:%M:%S"), plain(f"{name.removeprefix('recording.')} ({told})"))
    return table


def _form(about: Mapping[str, Any]) -> str:
    return f"{about.get('format', 'wav')}{', encrypted' if about.get('encrypted') else ''}"


def _seconds(value: object) -> str:
    return f"{value:.0f} s" if isinstance(value, int | float) else ""


def _size(value: object) -> str:
    return f"{value / 1e6:,.1f} MB" if isinstance(value, int | float) else ""
