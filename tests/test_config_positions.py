"""Every key of a TOML file is found where it stands."""

import tomllib
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.config_positions import find_positions

TEXT = '''\
# a comment with [brackets] and "quotes
top = 1
"quoted.key" = 2
'literal' = "}]#"
dotted . inner."x y" = 3

[table]
long = """
not_a_key = 1
\\""" still
"""
raw = \'\'\'
[no]\'\'\'\'
array = [ # comment ]
  "a,]", [1, 2], # more
  { deep = 1, "dée\\u0070" = [ { x = 1 } ] },
]
date = 2026-11-20T07:32:00Z
\t[table.sub]
here=1
[[list]]
a = 1
[list.sub]
b = 1
[[list.inner]]
c = 1
[[list.inner]]
c = 2
[[list]]
a = 2
'''

PLACES = [
    (("top",), (2, 1)),
    (("quoted.key",), (3, 1)),
    (("literal",), (4, 1)),
    (("dotted",), (5, 1)),
    (("dotted", "inner"), (5, 10)),
    (("dotted", "inner", "x y"), (5, 16)),
    (("table",), (7, 2)),
    (("table", "long"), (8, 1)),
    (("table", "raw"), (12, 1)),
    (("table", "array"), (14, 1)),
    (("table", "array", 0), (15, 3)),
    (("table", "array", 1), (15, 10)),
    (("table", "array", 1, 1), (15, 14)),
    (("table", "array", 2, "deep"), (16, 5)),
    (("table", "array", 2, "déep", 0, "x"), (16, 33)),
    (("table", "date"), (18, 1)),
    (("table", "sub"), (19, 9)),
    (("table", "sub", "here"), (20, 1)),
    (("list", 0), (21, 3)),
    (("list", 0, "a"), (22, 1)),
    (("list", 0, "sub", "b"), (24, 1)),
    (("list", 0, "inner", 0, "c"), (26, 1)),
    (("list", 0, "inner", 1, "c"), (28, 1)),
    (("list", 1, "a"), (30, 1)),
]


@pytest.mark.parametrize(("path", "place"), PLACES)
def test_a_key_is_found_where_it_stands(path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    tomllib.loads(TEXT)
    assert find_positions(TEXT).place(path) == place


def test_windows_line_ends_do_not_move_anything() -> None:
    found = find_positions(TEXT.replace("\n", "\r\n"))
    assert [found.place(path) for path, _ in PLACES] == [place for _, place in PLACES]


def test_a_missing_key_is_shown_at_the_table_around_it() -> None:
    found = find_positions(TEXT)
    assert found.place(("list", 1, "missing", "deeper")) == (29, 3)
    assert found.place(("nowhere",)) is None


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        inner = [found for key, item in value.items() for found in paths_of(item, (*path, key))]
    elif isinstance(value, list):
        inner = [found for index, item in enumerate(value) for found in paths_of(item, (*path, index))]
    else:
        inner = []
    return [path, *inner] if path else inner


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), st.booleans())
def test_every_key_of_any_file_has_a_place_and_no_other_key_does(data: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(data, multiline_strings=multiline)
    assert set(find_positions(text).offsets) == set(paths_of(tomllib.loads(text)))


@settings(deadline=None)
@given(st.text(alphabet="ab.=\"'[]{},#\\ \n\r1", max_size=40))
def test_text_that_is_no_toml_does_no_harm(text: str) -> None:
    find_positions(text)
