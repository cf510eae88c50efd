"""`recordings`: list, show, verify, export, decrypt and delete, beside a daemon or without one."""

import asyncio
import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.media.age_keys import new_secret_key, public_key_of, public_keys, secret_keys, secret_text
from sovereign_pbx.media.recorder import Recorder
from sovereign_pbx.media.wav import read_wav
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.sqlite import SqliteStore
from tests.calls.house import INTERRUPTION, QUESTION

PLAIN, SEALED = "2343ec0c-1111", "5c4d030f-2222"
KEY = new_secret_key()


@dataclass
class Place:
    folder: Path

    @property
    def recordings(self) -> Path:
        return self.folder / "state" / "recordings"

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def key(self) -> Path:
        return self.folder / "recordings.key"

    def run(self, *words: str | Path, answer: str = "") -> Result:
        ran = CliRunner().invoke(
            cli, ["-c", str(self.config), "recordings", *map(str, words)], input=answer, catch_exceptions=False
        )
        return ran

    def row(self, call_id: str) -> CallRow:
        async def look() -> CallRow:
            store = await SqliteStore.open(self.folder / "state" / "calls.db")
            row = await store.call(call_id)
            await store.close()
            assert row is not None
            return row

        return asyncio.run(look())


async def record(place: Place, call_id: str, *, sealed: bool) -> None:
    path = place.recordings / f"{call_id}.wav{'.age' if sealed else ''}"
    recorder = Recorder(path, 8000, recipients=[public_key_of(KEY)] if sealed else [])
    whole = len(QUESTION) // 320 * 320
    for at in range(0, whole, 320):
        recorder.write(QUESTION[at : at + 320], INTERRUPTION[at : at + 320].ljust(320, b"\0"))
    saved = await recorder.close()
    store = await SqliteStore.open(place.folder / "state" / "calls.db")
    about = {"format": "wav", "encrypted": sealed, "sha256": saved.sha256, "bytes": saved.bytes}
    about |= {"duration_seconds": saved.duration_s, "paused_seconds": 0.0}
    at_time = "2026-11-20T07:32:00.123Z"
    row = CallRow(id=call_id, created_at=at_time, ended_at=at_time, recording_path=str(path), recording=about)
    await store.create_call(row)
    await store.add_event(call_id, "recording.paused", {"by": "tool", "at_s": 1.5}, at_time)
    await store.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    made.config.write_text(
        f'[daemon]\nstate_dir = "{tmp_path}/state"\n[storage]\npath = "{tmp_path}/state/calls.db"\n'
        "[recording]\nenabled = true\n"
    )
    made.key.write_text(secret_text(KEY))
    asyncio.run(record(made, PLAIN, sealed=False))
    asyncio.run(record(made, SEALED, sealed=True))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    return made


def test_the_list_tells_form_length_and_size(place: Place) -> None:
    shown = place.run("list").output
    assert "2343ec0c" in shown and "wav, encrypted" in shown and "1 s" in shown
    found = json.loads(place.run("list", "--json").output)
    assert {one["call_id"]: one["here"] for one in found} == {PLAIN: True, SEALED: True}


def test_a_page_tells_the_sum_and_the_pauses(place: Place) -> None:
    shown = place.run("show", "2343").output
    digest = hashlib.sha256((place.recordings / f"{PLAIN}.wav").read_bytes()).hexdigest()
    assert digest in shown and "paused (by tool, at_s 1.5)" in shown
    assert place.run("show", "9999").exit_code == 2


def test_what_is_as_it_was_recorded_is_verified(place: Place) -> None:
    ran = place.run("verify")
    assert (ran.exit_code, ran.output.strip()) == (0, "2 of 2 recordings are what was recorded")


def test_a_changed_file_a_missing_one_and_a_stray_are_findings(place: Place) -> None:
    with (place.recordings / f"{PLAIN}.wav").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3")
    (place.recordings / f"{SEALED}.wav.age").unlink()
    (place.recordings / "stranger.wav").write_bytes(b"RIFF")
    ran = place.run("verify")
    assert ran.exit_code == 1
    for fault in ("has been changed", "the file is gone", "belongs to no call", "0 of 3"):
        assert fault in ran.output
    assert place.run("verify", PLAIN).exit_code == 1


def test_a_wav_is_exported_as_it_is_and_an_existing_file_is_spared(place: Place) -> None:
    ran = place.run("export", PLAIN, "--format", "wav")
    made = place.folder / f"{PLAIN}.wav"
    assert ran.exit_code == 0 and str(made.name) in ran.output
    assert made.read_bytes() == (place.recordings / f"{PLAIN}.wav").read_bytes()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    made.write_bytes(b"precious")
    again = place.run("export", PLAIN, "--format", "wav")
    assert again.exit_code == 2 and "--force" in again.output and made.read_bytes() == b"precious"
    assert place.run("export", PLAIN, "--format", "wav", "--force").exit_code == 0
    assert made.read_bytes() != b"precious"


def test_without_ffmpeg_an_export_says_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.folder))
    ran = place.run("export", PLAIN, "--format", "mp3")
    assert ran.exit_code == 2 and "apt install ffmpeg" in ran.output
    assert not list(place.folder.glob("*mp3*")) and not list(place.folder.glob(".*part"))


def test_an_encrypted_recording_is_exported_with_its_key_and_leaves_no_copy_in_the_clear(place: Place) -> None:
    without = place.run("export", SEALED, "--format", "wav")
    assert without.exit_code == 2 and "--key" in without.output
    assert place.run("export", SEALED, "--format", "wav", "--key", place.key).exit_code == 0
    rate, both = read_wav(place.folder / f"{SEALED}.wav")
    assert rate == 8000
    assert (both == read_wav(place.recordings / f"{PLAIN}.wav")[1]).all()
    assert not list(place.folder.glob(".export*"))


def test_what_was_converted_after_the_call_is_exported_as_what_it_is(place: Place) -> None:
    made = place.recordings / f"{PLAIN}.opus"
    (place.recordings / f"{PLAIN}.wav").rename(made)

    async def converted() -> None:
        store = await SqliteStore.open(place.folder / "state" / "calls.db")
        await store.change_call(PLAIN, {"recording_path": str(made)})
        await store.close()

    asyncio.run(converted())
    assert place.run("export", PLAIN, "--format", "opus").exit_code == 0
    assert (place.folder / f"{PLAIN}.opus").read_bytes() == made.read_bytes()
    other = place.run("export", PLAIN, "--format", "mp3")
    assert other.exit_code == 2 and "as opus only" in other.output


def test_a_recording_is_decrypted_with_the_key_alone(place: Place) -> None:
    sealed = place.folder / "given.wav.age"
    sealed.write_bytes((place.recordings / f"{SEALED}.wav.age").read_bytes())
    ran = CliRunner().invoke(cli, ["recordings", "decrypt", str(sealed), "--key", str(place.key)])
    assert (ran.exit_code, ran.output.strip()) == (0, str(place.folder / "given.wav"))
    assert (place.folder / "given.wav").read_bytes() == (place.recordings / f"{PLAIN}.wav").read_bytes()


def test_another_key_opens_nothing_and_leaves_nothing(place: Place) -> None:
    place.key.write_text(secret_text(new_secret_key()))
    ran = place.run("decrypt", place.recordings / f"{SEALED}.wav.age", "--key", place.key, "-o", "out.wav")
    assert ran.exit_code == 2 and "another key" in ran.output
    assert not Path("out.wav").exists()


def test_what_a_killed_daemon_left_is_decrypted_as_far_as_it_goes(place: Place) -> None:
    sealed = place.recordings / "killed.wav.age"

    async def cut_off() -> None:
        recorder = Recorder(sealed, 8000, recipients=[public_key_of(KEY)])
        for _ in range(200):
            recorder.write(b"\1\0" * 160, b"\2\0" * 160)
        await recorder.close()

    asyncio.run(cut_off())
    whole = sealed.read_bytes()
    head = len(whole) - (4 * 32000 + 44 + 2 * 16)
    sealed.write_bytes(whole[: head + 65536 + 16])  # the first chunk, and no end
    ran = place.run("decrypt", sealed, "--key", place.key, "-o", "out.wav")
    assert ran.exit_code == 1 and "end is missing" in ran.output
    assert int.from_bytes(Path("out.wav").read_bytes()[40:44], "little") == Path("out.wav").stat().st_size - 44
    rate, (left, right) = read_wav(Path("out.wav"))
    assert rate == 8000 and 2.0 < left.size / rate < 2.1 and (left == 1).all() and (right == 2).all()


def test_a_deleted_recording_is_gone_and_its_call_says_so(place: Place) -> None:
    assert place.run("delete", PLAIN, answer="n\n").exit_code == 2
    assert (place.recordings / f"{PLAIN}.wav").exists()
    assert place.run("delete", PLAIN, "--yes").output.strip() == "1 removed"
    assert not (place.recordings / f"{PLAIN}.wav").exists()
    row = place.row(PLAIN)
    assert row.recording_path is None and (row.recording or {})["removed_because"] == "it was deleted"
    page = CliRunner().invoke(cli, ["-c", str(place.config), "calls", "show", PLAIN])
    assert "none: it was deleted" in page.output
    again = place.run("export", PLAIN)
    assert again.exit_code == 2 and "it was deleted" in again.output


def test_orphans_are_deleted_and_nothing_else(place: Place) -> None:
    (place.recordings / "stranger.wav").write_bytes(b"RIFF")
    (place.recordings / "notes.txt").write_bytes(b"mine")
    assert place.run("delete", "--orphans", "--yes").output.strip() == "1 removed"
    assert {path.name for path in place.recordings.iterdir()} == {
        f"{PLAIN}.wav",
        f"{SEALED}.wav.age",
        "notes.txt",
    }
    assert place.run("delete").exit_code == place.run("delete", PLAIN, "--orphans").exit_code == 2


def test_a_new_pair_of_keys_fits_together_and_is_never_overwritten(place: Place) -> None:
    ran = place.run("keygen", "-o", "new.key")
    (public,) = public_keys(ran.output.split('"')[1])
    (secret,) = secret_keys(Path("new.key").read_text())
    assert public_key_of(secret) == public
    assert stat.S_IMODE(Path("new.key").stat().st_mode) == 0o600
    assert place.run("keygen", "-o", "new.key").exit_code == 2
