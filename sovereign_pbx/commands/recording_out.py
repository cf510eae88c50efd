"""`recordings export`, `decrypt` and `keygen`: a recording on its way to somebody."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import click

from sovereign_pbx.calls.recording_files import ending_of
from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands import output
from sovereign_pbx.commands.choice import the_one
from sovereign_pbx.commands.database import reading
from sovereign_pbx.commands.output import database_option
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.media.age_keys import new_secret_key, public_key_of, public_text, secret_keys, secret_text
from sovereign_pbx.media.recording_export import FORMATS, Format, export
from sovereign_pbx.media.recording_file import PLAIN, SEALED
from sovereign_pbx.media.recording_open import decrypt
from sovereign_pbx.store import CallRow

_key_option = click.option(
    "--key", "key_file", metavar="FILE", type=click.Path(path_type=Path), help="Secret key of an encrypted recording."
)


@click.command("export")
@database_option
@click.option(
    "--format",
    "to",
    type=click.Choice(FORMATS),
    default="mp3",
    show_default=True,
    help="wav and flac keep every bit; mp3 plays everywhere; opus is smallest. All but wav need the program ffmpeg.",
)
@click.option(
    "-o", "--output", "out", metavar="FILE", type=click.Path(path_type=Path), help="Default: CALL.FORMAT here."
)
@click.option("--bitrate", type=click.IntRange(8, 320), help="mp3, opus: kbit/s for both sides.  [default: 64, 48]")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@_key_option
@click.argument("call_id", metavar="CALL")
@click.pass_obj
def export_recording(
    invocation: Invocation,
    database: Path | None,
    to: str,
    out: Path | None,
    bitrate: int | None,
    force: bool,
    key_file: Path | None,
    call_id: str,
) -> None:
    """Make a copy of a recording in another format, for somebody else.

    The copy is read back and compared before it is given out: flac to the bit, mp3 and opus in length and loudness. It
    has the caller on the left and the assistant on the right.
    """
    with reading(invocation, database) as connection:
        row = the_one(connection, call_id)
    source = _source(row, to)
    target = out or Path(f"{source.name.removesuffix(ending_of(source.name))}.{to}")
    seconds = float((row.recording or {}).get("duration_seconds") or row.duration_seconds or 0)
    with _replacing(target, force=force) as fresh, _in_the_clear(source, key_file, target.parent) as wav:
        _convert(wav, fresh, cast(Format, to), bitrate or 0, seconds)
    click.echo(f"{target}  ({target.stat().st_size / 1e6:,.1f} MB)")


def _convert(wav: Path, target: Path, to: Format, bitrate: int, seconds: float) -> None:
    done = 0.0
    with output.progress(f"making {to}", seconds) as advance:

        def tell(at: float) -> None:
            nonlocal done
            advance(at - done)
            done = at

        try:
            as_it_is = "wav" if ending_of(wav.name) == f".{to}" else to
            export(wav, target, as_it_is, bitrate_kbps=bitrate, progress=tell)
        except OSError as exc:
            raise CouldNotRun(f"{target} could not be written: {exc.strerror or exc}") from exc


def _source(row: CallRow, to: str) -> Path:
    about = row.recording or {}
    if not row.recording_path:
        why = about.get("removed_because") or about.get("error") or "it was not recorded"
        raise CouldNotRun(f"the call {row.id} has no recording: {why}")
    source = Path(row.recording_path)
    if not source.is_file():
        raise CouldNotRun(f"the recording {source} is gone")
    ending = ending_of(source.name)
    if ending not in (PLAIN, SEALED, f".{to}"):
        had = ending.removeprefix(".")
        raise CouldNotRun(f"{source} was made into {had} after the call, and can be exported as {had} only")
    return source


@contextmanager
def _in_the_clear(source: Path, key_file: Path | None, folder: Path) -> Iterator[Path]:
    """The recording as a WAV; an encrypted one in a folder that is private, and gone afterwards."""
    if not source.name.endswith(SEALED):
        yield source
        return
    if key_file is None:
        raise CouldNotRun(f"{source} is encrypted: say where the secret key is, with --key FILE")
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as private:
        wav = Path(private) / "recording.wav"
        try:
            _open_up(source, wav, _secrets(key_file))
        except _Incomplete as exc:
            click.echo(f"sovereign-pbx: {source}: {exc}; the copy has what could be read", err=True)
        yield wav


@click.command("decrypt")
@click.option("-o", "--output", "out", metavar="FILE", type=click.Path(path_type=Path), help="Default: without .age.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option(
    "--key",
    "key_file",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="Secret key, as `recordings keygen` or age-keygen made it.",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def decrypt_file(file: Path, out: Path | None, force: bool, key_file: Path) -> None:
    """Decrypt a recording (FILE.wav.age). Needs neither a configuration nor a database: only the key.

    The format is that of age (age-encryption.org): `age --decrypt -i KEY FILE` gives the same sound.
    """
    target = out or file.with_name(file.name.removesuffix(".age"))
    if target == file:
        raise CouldNotRun("name the new file with -o: this one's name does not end in .age")
    secrets = _secrets(key_file)
    try:
        with _replacing(target, force=force) as fresh:
            _open_up(file, fresh, secrets)
    except _Incomplete as exc:
        click.echo(f"sovereign-pbx: {file}: {exc}; what could be read is in {target}", err=True)
        raise SystemExit(1) from exc
    click.echo(f"{target}")


class _Incomplete(BadInput):
    """Part of it could be read."""


def _open_up(source: Path, target: Path, secrets: tuple[bytes, ...]) -> None:
    try:
        size, done = source.stat().st_size, 0.0
        with output.progress("decrypting", size) as advance:

            def tell(at: float) -> None:
                nonlocal done
                advance(at - done)
                done = at

            decrypt(source, target, secrets, tell)
    except OSError as exc:
        raise CouldNotRun(f"{exc.filename or source}: {exc.strerror or exc}") from exc
    except BadInput as exc:
        if target.exists():
            raise _Incomplete(str(exc)) from exc
        raise CouldNotRun(f"{source}: {exc}") from exc


def _secrets(key_file: Path) -> tuple[bytes, ...]:
    try:
        return secret_keys(key_file.read_text("utf-8"))
    except OSError as exc:
        raise CouldNotRun(f"the key {key_file} can't be read: {exc.strerror}") from exc
    except (BadInput, UnicodeDecodeError) as exc:
        raise CouldNotRun(f"{key_file} is no secret key: {exc}") from exc


@contextmanager
def _replacing(target: Path, *, force: bool) -> Iterator[Path]:
    """A new file beside `target` that takes its place when it is complete, or as far as it could be made."""
    if target.exists() and not force:
        raise CouldNotRun(f"{target} is there already; --force replaces it")
    if not target.parent.is_dir():
        raise CouldNotRun(f"there is no folder {target.parent}")
    fresh = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield fresh
    except _Incomplete:
        fresh.replace(target)
        raise
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    fresh.replace(target)


@click.command("keygen")
@click.option(
    "-o", "--output", "out", metavar="FILE", type=click.Path(path_type=Path), help="Default: standard output."
)
def keygen(out: Path | None) -> None:
    """Make a pair of keys: the secret one for FILE, the public one for [recording] public_key.

    Keep the secret key away from this machine, and a copy of it elsewhere: nobody can read the recordings without it.
    age-keygen makes the same.
    """
    secret = new_secret_key()
    public = public_text(public_key_of(secret))
    made = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    text = f"# created: {made}\n# public key: {public}\n{secret_text(secret)}\n"
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
    except OSError as exc:
        raise CouldNotRun(f"{out} could not be written: {exc.strerror}") from exc
    click.echo(f'public_key = "{public}"')
