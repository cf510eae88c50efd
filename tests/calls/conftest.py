"""The troupe that plays the scenes of failures, at work from the first of them on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.scene_troupe import Troupe, scenes_of


@pytest.fixture(scope="session")
def troupe(request: pytest.FixtureRequest, asterisk_root: Path) -> Iterator[Troupe]:
    selected = [getattr(item, "function", None) for item in request.session.items]
    with Troupe(asterisk_root, scenes_of(selected)) as made:
        yield made
