"""What ended calls leave behind is collected before it amounts to anything."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from sovereign_pbx.calls.remains import Remains


class Circle:
    """Something that only the collector can find."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def _no_collections_of_its_own() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collections_of_its_own")
def test_after_so_many_calls_what_leads_in_circles_is_gone() -> None:
    remains = Remains(every=3)
    left = weakref.ref(Circle())
    remains.one_more()
    remains.one_more()
    assert left() is not None
    remains.one_more()
    assert left() is None
    again = weakref.ref(Circle())
    remains.one_more()
    assert again() is not None, "it counts from the beginning"
