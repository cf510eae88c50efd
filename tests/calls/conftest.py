"""The troupe that plays the scenes of failures, at work from the first of them on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.scene_troupe import Troupe, scenes_of

_REPLAYED = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture(scope="session")
def troupe(request: pytest.FixtureRequest, asterisk_root: Path) -> Iterator[Troupe]:
    selected = [getattr(item, "function", None) for item in request.session.items]
    with Troupe(asterisk_root, scenes_of(selected)) as made:
        request.config.stash[_REPLAYED] = made.replayed
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which scenes had to be played again, and why: one that is there in every run is a fault."""
    for title, reason in config.stash.get(_REPLAYED, []):
        terminalreporter.write_line(f"played again: {title}: {reason}")
