"""Fixtures of every room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from sovereign_pbx.testing.asterisk_tree import asterisk_tree
from sovereign_pbx.testing.progress_line import ProgressLine
from tests.calls.house import house
from tests.leaks import no_descriptor_left, no_task_left, watch_for_blocking

_LONG = {"tests.calls.test_kill", "tests.calls.test_soak"}
_KEPT = "tests.calls.test_call"  # the whole daemon, on every Python


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole calls take as long as calls do: they are `long`, and played on one Python only."""
    for item in items:
        module = item.getparent(pytest.Module)
        if module is None or module.obj.__name__ == _KEPT:
            continue
        plays = any(thing is house for thing in vars(module.obj).values())
        if plays or module.obj.__name__ in _LONG or module.obj.__name__.startswith("tests.moving."):
            item.add_marker("long")


@pytest.fixture(scope="session")
def asterisk_root() -> Path:
    """The private Asterisk, fetched at most once per user; a machine that can't have it fails the test."""
    return asterisk_tree(ProgressLine("Asterisk")).root


async def _nothing() -> None:
    return


@pytest.fixture(scope="session", autouse=True)
def what_stays_for_good() -> None:
    """uvloop keeps the pipe of its first run until the process ends; better now than in the middle of a test."""
    uvloop.run(_nothing())


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    with no_descriptor_left(), no_task_left():
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    guard = watch_for_blocking()
    guard.activate()
    yield
    guard.deactivate()
