"""AudioSocket and FastAGI under scans, floods and slow drips, while a call is up whose frames keep time."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.wire import audiosocket as wire
from tests.asterisk_of import asterisk_of
from tests.calls.house import House, house, play
from tests.waiting import until

# On a machine that others share half a second is nothing: what a flood does to a loop that minds it is seconds.
WORST_HOLE_MS = 1000.0
STRANGERS = {
    "connects and leaves": b"",
    "garbage": os.urandom(64),
    "a TLS hello": bytes.fromhex("16030100c8010000c403035f"),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: pbx\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a header": b"\x01\x00",
    "half an id": b"\x01\x00\x10" + b"\x00" * 7,
    "an id of nobody": wire.encode(wire.ID, uuid4().bytes),
    "sound without an id": wire.encode(0x10, bytes(320)),
    "a hang-up first": b"\x00\x00\x00",
    "a header of the longest frame": struct.pack(">BH", 0x10, 65535),
    "an AGI request of nowhere": b"agi_network: yes\nagi_request: agi://x/../../etc/passwd\n\n",
    "lines without end": b"agi_x: " + b"A" * 70_000,
    "NULs": bytes(1000),
}


async def left(reader: asyncio.StreamReader, within_s: float = 5.0) -> None:
    """Wait until the daemon has closed the connection."""
    try:
        async with asyncio.timeout(within_s):
            while await reader.read(65536):
                pass
    except ConnectionError:
        pass


async def strike(address: tuple[str, int], data: bytes, *, stay: bool = True) -> None:
    """Connect, say it, and wait to be thrown out (or leave at once)."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except ConnectionError:
        return
    try:
        writer.write(data)
        if stay:
            await left(reader, 8.0)
    finally:
        writer.transport.abort()


def settings(**audiosocket: Any) -> dict[str, Any]:
    """Short deadlines, and few places."""
    return {
        "agi": {"header_timeout_seconds": 1.0},
        "audiosocket": {"handshake_timeout_seconds": 1.0, **audiosocket},
        "max_connections": 40,
    }


def merge(made: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            merge(made.setdefault(key, {}), value)
        else:
            made[key] = value


@asynccontextmanager
async def besieged(folder: Path) -> AsyncIterator[tuple[House, AudioSocketCaller]]:
    """A daemon with a call up, whose frames are judged at the end."""
    async with house(folder) as place:
        await place.stop()
        merge(place.settings["asterisk"], settings())
        await place.start()
        async with place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.sounds())
            yield place, caller
            await asyncio.sleep(0.3)
            report = caller.report()
            assert report.ending is None, "the call was ended by it"
            assert report.hole_ms < WORST_HOLE_MS, report
            assert report.late_payloads == report.odd_frames == 0
            await caller.hang_up()
        (told,) = await place.reported()
        assert told["end_reason"] == "user_hangup"


def run(folder: Path, scene: Callable[[House, AudioSocketCaller], Awaitable[None]]) -> None:
    async def played() -> None:
        async with besieged(folder) as (place, caller):
            await scene(place, caller)

    play(played())


def connections(place: House) -> tuple[int, int]:
    health = place.daemon.pbx.health()
    return health["audiosocket"]["connections"], health["agi"]["connections"]


def test_a_port_scan_of_every_kind_is_thrown_out_and_the_call_keeps_time(tmp_path: Path) -> None:
    async def scene(place: House, caller: AudioSocketCaller) -> None:
        addresses = asterisk_of(place.daemon).audiosocket_address, asterisk_of(place.daemon).agi_address
        for stay in (True, False):
            kinds = [strike(address, data, stay=stay) for address in addresses for data in STRANGERS.values()]
            await asyncio.gather(*kinds)
        await until(lambda: connections(place) == (1, 0))
        async with place.caller(caller="+31600000001") as another:
            await another.place()
            await until(lambda: another.heard.sounds())
            await another.hang_up()
        await until(lambda: len(place.webhooks("end-of-call-report")) == 1)
        place.receiver.got.clear()

    run(tmp_path, scene)


def test_one_byte_a_second_does_not_keep_a_place(tmp_path: Path) -> None:
    async def drip(address: tuple[str, int], data: bytes) -> float:
        """How long it was borne with."""
        reader, writer = await asyncio.open_connection(*address)
        loop = asyncio.get_running_loop()
        began = loop.time()
        closed = asyncio.ensure_future(left(reader, 10.0))
        for at in range(len(data)):
            if closed.done() or writer.transport.is_closing():
                break
            writer.write(data[at : at + 1])
            await asyncio.wait({closed}, timeout=0.3)
        await closed
        writer.transport.abort()
        return loop.time() - began

    async def scene(place: House, caller: AudioSocketCaller) -> None:
        hello = wire.encode(wire.ID, uuid4().bytes)
        borne = await asyncio.gather(
            *(drip(asterisk_of(place.daemon).audiosocket_address, hello) for _ in range(10)),
            *(drip(asterisk_of(place.daemon).agi_address, b"agi_network: yes\nagi_request: x\n") for _ in range(10)),
        )
        assert max(borne) < 4.0, borne
        assert connections(place) == (1, 0)

    run(tmp_path, scene)


def test_a_flood_of_connections_is_bounded_and_the_next_caller_is_served(tmp_path: Path) -> None:
    """The cap holds what a flood may take of the process's descriptors; it ends with the handshake's deadline."""

    async def scene(place: House, caller: AudioSocketCaller) -> None:
        before = len(os.listdir("/proc/self/fd"))
        writers: list[asyncio.StreamWriter] = []
        for address in (asterisk_of(place.daemon).audiosocket_address, asterisk_of(place.daemon).agi_address):
            for _ in range(150):
                _, writer = await asyncio.open_connection(*address)
                writers.append(writer)
            await asyncio.sleep(0.05)
            assert max(connections(place)) <= 40 + 16
        mine = len(writers)
        ours = len(os.listdir("/proc/self/fd")) - before - mine
        assert ours <= 2 * (40 + 16) + 8, "descriptors of the daemon's own side"
        for writer in writers:
            writer.transport.abort()
        await until(lambda: connections(place) == (1, 0), 5.0)
        async with place.caller(caller="+31600000002") as another:
            await another.place()
            await until(lambda: another.heard.sounds())
            await another.hang_up()
        await until(lambda: len(place.webhooks("end-of-call-report")) == 1)
        place.receiver.got.clear()

    run(tmp_path, scene)


def test_the_id_of_a_call_that_is_up_lets_nobody_else_in(tmp_path: Path) -> None:
    async def scene(place: House, caller: AudioSocketCaller) -> None:
        mine = UUID(caller.variables["SOVEREIGN_CALL"])
        for token in (mine, UUID(int=0), UUID(int=2**128 - 1), uuid4()):
            await strike(asterisk_of(place.daemon).audiosocket_address, wire.encode(wire.ID, token.bytes) + bytes(640))
        assert place.daemon.pbx.health()["audiosocket"]["refused_unknown_id"] == 4
        assert connections(place) == (1, 0)

    run(tmp_path, scene)


@pytest.mark.parametrize("path", ["next", "hangup", "outbound", "through", "brief", "briefed", "inbound"])
def test_whoever_reaches_fastagi_without_a_calls_id_changes_nothing_of_a_call(tmp_path: Path, path: str) -> None:
    async def scene(place: House, caller: AudioSocketCaller) -> None:
        for argument in (str(uuid4()), "", "*", "../../x", "%", "A" * 3000, "\u0000"):
            request = f"agi_network: yes\nagi_network_script: {path}\nagi_uniqueid: 1\nagi_arg_1: {argument}\n\n"
            await strike(asterisk_of(place.daemon).agi_address, request.encode(), stay=False)
        await until(lambda: connections(place)[1] == 0)
        (call_id,) = place.daemon.desk.under_way
        assert call_id == caller.variables["SOVEREIGN_CALL"]

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a frame of 65535 bytes", wire.encode(0x10, bytes(65535))),
        ("a frame of no known kind", wire.encode(0x77, bytes(320))),
        ("half a sample", wire.encode(0x10, bytes(321))),
        ("frames after the hang-up", b"\x00\x00\x00" + wire.encode(0x10, bytes(320)) * 50),
        ("a digit that is none", wire.encode(wire.DTMF, b"\xff")),
        ("a thousand digits", wire.encode(wire.DTMF, b"5") * 1000),
        ("ten seconds at once", wire.encode(0x10, bytes(320)) * 500),
        ("an id once more", wire.encode(wire.ID, uuid4().bytes)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_one_caller_sends_harms_no_other(tmp_path: Path, name: str, data: bytes) -> None:
    async def scene(place: House, caller: AudioSocketCaller) -> None:
        async with place.caller(caller="+31600000003") as evil:
            await evil.place()
            assert evil.leg is not None and evil.leg._transport is not None
            evil.leg._transport.write(data)
            await asyncio.sleep(0.3)
            await evil.hang_up()
        await until(lambda: len(place.webhooks("end-of-call-report")) == 1)
        place.receiver.got.clear()
        await until(lambda: connections(place)[0] == 1)

    run(tmp_path, scene)
