"""The watch over the machine that the tests run on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stalls import GAP_S, Moment, StallWatch, now, processor_awaited_s

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def watch() -> Iterator[StallWatch]:
    made = StallWatch()
    made.open()
    yield made
    made.close()


def freeze(watch: StallWatch, seconds: float) -> None:
    """As the watcher would see it if the whole machine stood still."""
    os.kill(watch.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(watch.pid, signal.SIGCONT)


def seen(watch: StallWatch, since: float) -> float:
    """What it tells of stalls; the kernel's accounts are left out."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        found = watch.longest(now()._replace(at=since), time.monotonic())
        if found:
            return found
        time.sleep(0.02)
    return 0.0


def test_a_machine_that_stands_still_is_seen(watch: StallWatch) -> None:
    since = now().at
    time.sleep(0.3)  # it has to be up to see anything
    freeze(watch, 0.5)
    assert seen(watch, since) >= GAP_S


def test_a_stall_before_a_test_does_not_excuse_it(watch: StallWatch) -> None:
    since = now().at
    time.sleep(0.3)
    freeze(watch, 0.5)
    assert seen(watch, since)
    assert watch.longest(now(), time.monotonic() + 9.0) == 0.0


def test_time_lost_to_the_disk_is_a_stall(watch: StallWatch) -> None:
    def lost(seconds: float, lasted: float) -> float:
        moment = now()
        return watch.longest(moment._replace(at=moment.at - lasted, disk_s=moment.disk_s - seconds), moment.at)

    assert lost(2.0, 0.0) >= 2.0
    assert lost(GAP_S / 2, 0.0) == 0.0
    assert lost(2.0, 100.0) == 0.0


def test_a_fifth_of_the_time_spent_waiting_for_a_processor_is_a_stall(watch: StallWatch) -> None:
    def waited(seconds: float, lasted: float) -> float:
        moment = now()
        return watch.longest(Moment(moment.at - lasted, moment.disk_s, moment.processor_s - seconds), moment.at)

    assert waited(0.5, 2.0) >= 0.5
    assert waited(0.5, 3.0) == 0.0
    assert waited(GAP_S / 2, 0.5) == 0.0


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel keeps no account of the wait")
def test_who_shares_a_processor_is_seen_to_wait_for_it() -> None:
    before, processors = processor_awaited_s(), os.sched_getaffinity(0)
    code = "import time\nend = time.monotonic() + 1.0\nwhile time.monotonic() < end: pass"
    os.sched_setaffinity(0, {min(processors)})
    try:
        with subprocess.Popen([sys.executable, "-S", "-c", code]) as other:
            while other.poll() is None:
                pass
    finally:
        os.sched_setaffinity(0, processors)
    assert processor_awaited_s() - before > 0.2


FREEZES = """
import os, signal, time
from tests.conftest import WATCH
tries = []

def test_it(request):
    tries.append(1)
    time.sleep(0.3)
    if STALL:
        pid = request.config.stash[WATCH].pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.2)
    assert len(tries) == 2, "the first try"
"""


@pytest.mark.parametrize("stall", [True, False])
def test_a_test_that_failed_is_played_again_only_where_the_machine_stood_still(tmp_path: Path, stall: bool) -> None:
    (tmp_path / "test_it.py").write_text(FREEZES.replace("STALL", str(stall)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    told = [line for line in done.stdout.splitlines() if line.startswith("played again")]
    if stall:
        assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
        assert len(told) == 1 and "test_it" in told[0] and "stood still" in told[0]
    else:
        assert done.returncode == 1 and "1 failed" in done.stdout and told == [], done.stdout
