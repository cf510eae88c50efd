"""`GET /calls/{id}/recording`: for keys that may read, and by the link of a report."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sovereign_pbx.store import CallRow
from tests.api.rest import Client, Got, serving_rest

SOUND = b"RIFF" + bytes(range(256)) * 8
RECORDING = {"enabled": True}


async def keep(api: Client, call_id: str, path: str | None, *, written: bool = True) -> None:
    folder = api.config.recordings
    assert folder is not None
    if path and written:
        await asyncio.to_thread(write, folder / path)
    row = CallRow(id=call_id, status="ended", recording_path=str(folder / path) if path else None)
    await api.store.create_call(row)


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(SOUND)


async def fetched(api: Client, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """With exactly these headers."""
    async with api.session.get(api.address + path, headers=headers) as response:
        return response.status, await response.read(), dict(response.headers)


def test_a_key_that_may_read_gets_the_file_and_its_ranges(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", "c1.wav")
            reader = await api.with_scopes("read")
            got = await reader.get("/calls/c1/recording")
            assert (got.status, got.body, got.headers["Content-Type"]) == (200, SOUND, "audio/wav")
            path, who = "/api/v1/calls/c1/recording", f"Bearer {reader.key}"
            status, body, headers = await fetched(api, path, Authorization=who, Range="bytes=4-7")
            assert (status, body, headers["Content-Range"]) == (206, SOUND[4:8], f"bytes 4-7/{len(SOUND)}")
            status, _, _ = await fetched(api, path, Authorization=who, Range="bytes=999999-")
            assert status == 416

    asyncio.run(run())


def test_the_link_on_the_call_works_without_a_key_and_for_no_other_call(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", "c1.wav")
            await keep(api, "c2", "c2.wav")
            link = urlsplit((await api.get("/calls/c1")).body["recording_url"])
            assert (await fetched(api, f"{link.path}?{link.query}"))[:2] == (200, SOUND)
            assert (await fetched(api, f"{link.path.replace('c1', 'c2')}?{link.query}"))[0] == 401
            assert (await fetched(api, f"{link.path}?{link.query}0"))[0] == 401
            assert (await fetched(api, link.path))[0] == 401
            assert (await fetched(api, f"{link.path}?expires=%00&signature=%ff"))[0] == 401

    asyncio.run(run())


def test_a_call_without_a_recording_is_a_404_and_one_whose_file_is_gone_a_410(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "unrecorded", None)
            await keep(api, "swept", "swept.wav", written=False)
            assert (await api.get("/calls/unrecorded/recording")).status == 404
            got = await api.get("/calls/swept/recording")
            assert (got.status, got.body["code"]) == (410, "recording_removed")

    asyncio.run(run())


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd", "sub/../../secret.wav", "link.wav", "other.txt"])
def test_no_file_outside_the_folder_is_served_whatever_a_row_says(tmp_path: Path, path: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            folder = api.config.recordings
            assert folder is not None
            await asyncio.to_thread(lay_traps, folder)
            await api.store.create_call(CallRow(id="c1", recording_path=path))
            got: Got = await api.get("/calls/c1/recording")
            assert got.status == 404

    asyncio.run(run())


def lay_traps(folder: Path) -> None:
    for file in (folder.parent / "secret.wav", folder / "other.txt"):
        write(file)
    (folder / "link.wav").symlink_to(folder.parent / "secret.wav")
