"""A daemon that takes no more calls: what callers, the API, the command and systemd see of it."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sovereign_pbx.cli import cli
from sovereign_pbx.commands.call import KEY_VARIABLE
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.draining import progress
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from sovereign_pbx.testing.port_block import reserve_ports
from tests.api.rest import make_key
from tests.calls.house import House, house, play
from tests.waiting import until


@pytest.mark.parametrize(
    ("calls", "seconds", "said"),
    [
        (0, 0.0, "no calls left"),
        (1, 7.9, "1 call left, for 0:07"),
        (3, 134.2, "3 calls left, the oldest for 2:14"),
        (2, 3723.0, "2 calls left, the oldest for 1:02:03"),
    ],
)
def test_how_far_it_is_is_said_in_words(calls: int, seconds: float, said: str) -> None:
    assert progress(calls, seconds) == said


async def turned_away(place: House) -> str:
    async with place.caller() as caller:
        with pytest.raises(NotAnswered) as caught:
            await caller.place()
        return caught.value.action


def test_present_calls_go_on_and_new_ones_are_the_dialplans_until_that_is_undone(tmp_path: Path) -> None:
    async def scene() -> None:
        limits = {"over_limit": "message"}  # a daemon that drains does not begin to talk
        async with house(tmp_path, limits=limits) as place, place.caller() as first:
            await first.place()
            draining = place.daemon.draining
            draining.begin(now=False)
            assert await turned_away(place) == "fallback"
            assert draining.state()["draining"] and draining.state()["calls"] == 1
            assert first.leg is not None and not first.leg.ended.is_set()
            draining.cancel()
            async with place.caller() as second:
                await second.place()
                await second.hang_up()
            await first.hang_up()

    play(scene())


def test_now_gives_callers_to_the_dialplan_within_two_seconds(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            await until(lambda: caller.heard.sounds())
            place.daemon.draining.begin(now=True)
            await caller.over(2)
            assert caller.steps == ["fallback"]
            (report,) = await place.reported()
            assert report["end_reason"] == "shutdown"
            assert await turned_away(place) == "fallback"

    play(scene())


def test_a_daemon_that_ends_takes_no_calls_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            place.daemon.stop()
            await until(lambda: place.daemon.desk.ending)
            with pytest.raises(Refused, match="ending") as caught:
                place.daemon.draining.cancel()
            assert caught.value.code == "shutting_down"
            await caller.hang_up()

    play(scene())


# --- systemd


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the notification socket."""
    name = f"@sovereign-drain-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.setblocking(False)
        listener.bind("\0" + name[1:])
        yield listener


def heard(listener: socket.socket, told: list[str]) -> str:
    while True:
        try:
            told += listener.recv(1000).decode().split("\n")
        except BlockingIOError:
            return "\n".join(told)


def test_systemd_waits_as_long_as_calls_go_on_and_shows_how_many(tmp_path: Path, systemd: socket.socket) -> None:
    async def scene() -> None:
        told: list[str] = []
        async with house(tmp_path, daemon={"state_dir": str(tmp_path / "state"), "drain_seconds": 30}) as place:
            async with place.caller() as caller:
                await caller.place()
                place.daemon.stop()
                await until(lambda: "1 call left" in heard(systemd, told), 5.0)
                await caller.hang_up()
            await place.stop(at_once=False)
        whole = heard(systemd, told)
        assert "STOPPING=1" in told
        assert told.index("STOPPING=1") < told.index("EXTEND_TIMEOUT_USEC=15000000")
        assert "STATUS=closing the books of calls" in whole

    play(scene())


def test_systemd_is_shown_a_drain_that_is_no_stop(tmp_path: Path, systemd: socket.socket) -> None:
    async def scene() -> None:
        told: list[str] = []
        async with house(tmp_path) as place:
            place.daemon.draining.begin(now=False)
            await until(lambda: "taking no more calls, no calls left" in heard(systemd, told), 5.0)
            place.daemon.draining.cancel()
            await until(lambda: "STATUS=taking calls" in heard(systemd, told)[-20:], 5.0)
            assert "STOPPING=1" not in told and not any(one.startswith("EXTEND") for one in told)

    play(scene())


# --- the command


def drain(place: House, key: str, *arguments: str) -> Result:
    return CliRunner(env={KEY_VARIABLE: key}).invoke(
        cli, ["-c", str(place.folder / "config.toml"), "drain", *arguments]
    )


def test_the_command_waits_for_the_last_call_and_tells_how_far_it_is(tmp_path: Path) -> None:
    async def scene() -> None:
        ports = reserve_ports()
        try:
            http: dict[str, Any] = {"port": ports.take(socket.SOCK_STREAM)}
            async with house(tmp_path, http=http) as place, place.caller() as caller:
                key = await asyncio.to_thread(make_key, place.daemon.config)
                await caller.place()
                waiting = asyncio.create_task(asyncio.to_thread(drain, place, key, "--wait"))
                await until(lambda: place.daemon.desk.admission.draining, 5.0)
                await asyncio.sleep(0.5)
                assert not waiting.done(), waiting.result().output
                await caller.hang_up()
                done = await waiting
                assert done.exit_code == 0, done.output
                assert "1 call left, for 0:" in done.output
                assert "no more calls are taken; no calls left\n" in done.output
                undone = await asyncio.to_thread(drain, place, key, "--undo")
                assert undone.exit_code == 0 and "calls are taken again\n" in undone.output
                assert not place.daemon.desk.admission.draining
                refused = await asyncio.to_thread(drain, place, "fl_live_wrong")
                assert refused.exit_code == 2
        finally:
            ports.release()

    play(scene())


def test_undoing_and_waiting_at_once_is_refused(tmp_path: Path) -> None:
    done = CliRunner(env={KEY_VARIABLE: "k"}).invoke(cli, ["drain", "--undo", "--wait"])
    assert done.exit_code == 2
    assert "--undo takes calls again" in done.output
