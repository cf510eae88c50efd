"""Fixtures of every room."""

import gc
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import uvloop
from _pytest.runner import runtestprotocol
from aiohttp import web_app

from sovereign_pbx.testing.asterisk_tree import asterisk_tree
from sovereign_pbx.testing.progress_line import ProgressLine
from tests.calls.house import house
from tests.leaks import no_descriptor_left, no_task_left, watch_for_blocking
from tests.stalls import StallWatch, now

_LONG = {"tests.calls.test_kill", "tests.calls.test_soak", "tests.calls.test_storm"}
_KEPT = "tests.calls.test_call"  # the whole daemon, on every Python
WATCH = pytest.StashKey[StallWatch]()
_STALLED = pytest.StashKey[list[tuple[str, float, str]]]()  # test, seconds, and what it failed of


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="1/1", metavar="K/N", help="of N parts of the selected modules run the K-th")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Whole calls take as long as calls do: they are `long`, and played on one Python only. What the troupe plays is a
    `scene`. Of what is selected then, one part is kept."""
    for item in items:
        if hasattr(getattr(item, "function", None), "scene"):
            item.add_marker("scene")
        module = item.getparent(pytest.Module)
        if module is None or module.obj.__name__ == _KEPT:
            continue
        plays = any(thing is house for thing in vars(module.obj).values())
        if plays or module.obj.__name__ in _LONG or module.obj.__name__.startswith("tests.moving."):
            item.add_marker("long")
    yield
    part, parts = map(int, config.getoption("--part").split("/"))
    places = {path: place for place, path in enumerate(sorted({item.path for item in items}))}
    kept = [item for item in items if places[item.path] % parts == part - 1]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if places[item.path] % parts != part - 1])
        items[:] = kept


hypothesis.settings.register_profile("untimed", deadline=None)  # a test that waits for the processor is no finding
hypothesis.settings.load_profile("untimed")


def pytest_sessionstart(session: pytest.Session) -> None:
    watch = session.config.stash[WATCH] = StallWatch()
    watch.open()
    session.config.stash[_STALLED] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[WATCH].close()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test; once more if it failed while the machine stood still for it, which is told at the end."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    since = now()
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    stalled_s = item.config.stash[WATCH].longest(since, now().at) if _failed(reports) else 0.0
    if stalled_s:
        item.config.stash[_STALLED].append((item.nodeid, stalled_s, str(_failed(reports)[0].longrepr)))
        item._initrequest()  # type: ignore[attr-defined]  # pytest-rerunfailures does the same: there is no public way
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _failed(reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
    return [report for report in reports if report.failed]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, stalled_s, reason in config.stash[_STALLED]:
        last = (reason.strip().splitlines() or [""])[-1][:200]
        terminalreporter.write_line(
            f"played again: {name}: the machine stood still for it for {stalled_s:.1f} s: {last}"
        )


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
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    with no_descriptor_left(), no_task_left():
        yield
    if request.node.get_closest_marker("long"):
        # aiohttp remembers the last thousand handlers with their applications, and so the daemons of tests, 45 MB each
        web_app._cached_build_middleware.cache_clear()
        gc.collect()


@pytest.fixture(scope="session", autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    guard = watch_for_blocking()
    guard.activate()
    yield
    guard.deactivate()
