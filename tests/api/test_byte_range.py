import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.api.byte_range import Part, Unsatisfiable, part_of


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", Part(0, 1)),
        ("bytes=2-", Part(2, 10)),
        ("bytes=2-100", Part(2, 10)),
        ("bytes=-3", Part(7, 10)),
        ("bytes=-100", Part(0, 10)),
        ("Bytes = 1-2", Part(1, 3)),
    ],
)
def test_a_range_is_the_part_that_it_names(header: str, part: Part) -> None:
    assert part_of(header, 10) == part


@pytest.mark.parametrize("header", ["", "bytes=-", "bytes=3-2", "bytes=0-1,4-5", "items=0-1", "bytes=a-b", "0-1"])
def test_what_is_no_single_range_gets_the_whole_file(header: str) -> None:
    assert part_of(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_behind_the_end_can_not_be_had(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        part_of(header, 10)


@given(st.text(max_size=40), st.integers(0, 10**12))
def test_no_header_names_a_part_outside_of_the_file(header: str, size: int) -> None:
    for text in (header, f"bytes={header}"):
        try:
            part = part_of(text, size)
        except Unsatisfiable:
            continue
        assert part is None or 0 <= part.start < part.end <= size
