"""`GET /calls/{id}/recording`: for keys that may read, and by the link of a report."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sovereign_pbx.store import CallRow
from tests.api.rest import Client, Got, serving_rest

SOUND = b"RIFF" + bytes(range(256)) * 8
RECORDING = {"enabled": True}


async def keep(api: Client, call_id: str, path: str | None, *, written: bool = True, sha256: str = "") -> None:
    folder = api.config.recordings
    assert folder is not None
    if path and written:
        await asyncio.to_thread(write, folder / path)
    about = {"sha256": sha256, "format": "wav"} if sha256 else None
    row = CallRow(id=call_id, status="ended", recording_path=str(folder / path) if path else None, recording=about)
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


async def asked(api: Client, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """For the recording of c1, as somebody with a key."""
    address = f"{api.address}/api/v1/calls/c1/recording"
    everything = {
        "Authorization": f"Bearer {api.key}",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    async with api.session.request(method, address, headers=everything) as response:
        return response.status, await response.read(), dict(response.headers)


def test_the_sum_of_the_file_is_its_tag_and_a_part_is_only_sent_of_the_same_file(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", "c1.wav", sha256="ab12")
            status, _, headers = await asked(api)
            assert (status, headers["Etag"], headers["Accept-Ranges"]) == (200, '"ab12"', "bytes")
            assert (await asked(api, If_None_Match='W/"ab12"'))[:2] == (304, b"")
            same = await asked(api, Range="bytes=-4", If_Range='"ab12"')
            assert same[:2] == (206, SOUND[-4:])
            for other in ('"cd34"', 'W/"ab12"', "Thu, 01 Jan 1970 00:00:00 GMT", "never"):
                assert (await asked(api, Range="bytes=-4", If_Range=other))[:2] == (200, SOUND)
            assert (await asked(api, Range="bytes=-4", If_Range=headers["Last-Modified"]))[0] == 206

    asyncio.run(run())


def test_head_tells_of_the_file_without_sending_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", "c1.wav")
            status, body, headers = await asked(api, "HEAD")
            assert (status, body, headers["Content-Length"]) == (200, b"", str(len(SOUND)))
            status, body, headers = await asked(api, "HEAD", Range="bytes=0-9")
            assert (status, body, headers["Content-Length"]) == (206, b"", "10")
            status, _, headers = await asked(api, Range="bytes=999999-")
            assert (status, headers["Content-Range"]) == (416, f"bytes */{len(SOUND)}")

    asyncio.run(run())


def test_a_file_larger_than_a_block_arrives_whole(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", "c1.wav")
            assert api.config.recordings is not None
            large = bytes(range(256)) * 5000
            await asyncio.to_thread((api.config.recordings / "c1.wav").write_bytes, large)
            assert (await asked(api))[1] == large
            assert (await asked(api, Range="bytes=1000-900000"))[1] == large[1000:900001]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("c1.wav.age", "application/vnd.age"),
        ("c1.mp3", "audio/mpeg"),
        ("c1.flac", "audio/flac"),
        ("c1.opus", "audio/ogg; codecs=opus"),
    ],
)
def test_the_media_type_is_that_of_what_is_in_the_file(tmp_path: Path, name: str, kind: str) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", name)
            status, _, headers = await asked(api)
            assert (status, headers["Content-Type"]) == (200, kind)
            assert headers["Content-Disposition"] == f'attachment; filename="{name}"'

    asyncio.run(run())


def test_a_recording_can_be_deleted_by_an_admin_and_the_call_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", "c1.wav", sha256="ab12")
            for scope in ("read", "calls"):
                assert (await (await api.with_scopes(scope)).delete("/calls/c1/recording")).status == 403
            assert (await api.delete("/calls/c1/recording")).status == 200
            assert api.config.recordings is not None
            assert not list(api.config.recordings.iterdir())
            shown = (await api.get("/calls/c1")).body
            assert shown["recording_url"] is None and shown["recording"]["removed_at"]
            assert (await api.get("/calls/c1/recording")).status == 410
            assert (await api.delete("/calls/c1/recording")).status == 404
            assert (await api.delete("/calls/unknown/recording")).status == 404

    asyncio.run(run())


def test_a_link_lets_nobody_delete(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, recording=RECORDING) as api:
            await keep(api, "c1", "c1.wav")
            link = urlsplit((await api.get("/calls/c1")).body["recording_url"])
            async with api.session.delete(f"{api.address}{link.path}?{link.query}") as response:
                assert response.status == 401

    asyncio.run(run())


def lay_traps(folder: Path) -> None:
    for file in (folder.parent / "secret.wav", folder / "other.txt"):
        write(file)
    (folder / "link.wav").symlink_to(folder.parent / "secret.wav")
