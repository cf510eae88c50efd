"""systemd is told, and a hung daemon dies with its stacks on record."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sovereign_pbx import service


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_told_over_its_socket(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"@sovereign-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name if kind == "path" else "\0" + name[1:])
        assert service.notify("READY=1", "STATUS=taking calls")
        assert listener.recv(100) == b"READY=1\nSTATUS=taking calls"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/at/all", "@nobody-listens-here"])
def test_nobody_to_tell_is_no_error(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not service.notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("30000000", None, 15.0),
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_wants_a_ping_twice_as_often_as_its_limit(
    usec: str | None, pid: str | None, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert service.watchdog_interval() == expected


PROGRAM = """
import asyncio, sys, time
from sovereign_pbx.service import HangGuard

def this_one_hangs():
    {hang}

async def main():
    guard = HangGuard(0.5, beat_s=0.05, last_words=lambda: print("last words", flush=True))
    guard.start()
    await asyncio.sleep({first_s})
    print("turning", round(guard.worst_lag_ms) < 400, flush=True)
    for _ in range({times}):
        this_one_hangs()
        await asyncio.sleep({then_s})
    print("survived", flush=True)
    guard.close()

asyncio.run(main())
"""


def run_program(hang: str, first_s: float = 0.2, then_s: float = 0.0, times: int = 1) -> subprocess.Popen[str]:
    program = PROGRAM.format(hang=hang, first_s=first_s, then_s=then_s, times=times)
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def test_a_loop_that_hangs_ends_the_process_with_its_stack_on_record() -> None:
    began = time.monotonic()
    with run_program("time.sleep(20)") as process:
        out, err = process.communicate(timeout=15)
    assert process.returncode == service.EXIT_HUNG
    assert time.monotonic() - began < 10
    assert "turning True" in out and "last words" in out and "survived" not in out
    assert "this_one_hangs" in err
    assert "event_loop_hung" in out + err


def test_native_code_that_holds_the_interpreter_ends_the_process_too() -> None:
    # a regular expression that backtracks for hours never lets another thread run
    with run_program('__import__("re").match(r"(a+)+$", "a" * 40 + "b")') as process:
        _, err = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "Timeout" in err and "this_one_hangs" in err


def test_a_loop_that_is_late_again_and_again_but_turns_goes_on() -> None:
    with run_program("time.sleep(0.2)", then_s=0.2, times=5) as process:
        out, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert out.splitlines() == ["turning True", "survived"]


def test_a_process_that_was_stopped_gets_its_time_again() -> None:
    with run_program("pass", then_s=1.0) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("turning")
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.8)  # longer than the limit, shorter than what faulthandler grants
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert out == "survived\n"


def test_the_watchdog_is_pinged_while_the_loop_turns_and_not_when_it_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        with run_program("print('hanging', flush=True); time.sleep(20)", first_s=0.5) as process:
            assert listener.recv(100) == b"WATCHDOG=1"
            assert listener.recv(100) == b"WATCHDOG=1"
            out, _ = process.communicate(timeout=15)
        assert re.search("hanging", out)
        pings = 0
        listener.setblocking(False)
        try:
            while listener.recv(100):
                pings += 1
        except BlockingIOError:
            pass
        assert pings <= 8  # what half a second of turning sends; a hung second would have sent ten more
