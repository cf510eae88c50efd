"""Objects of the API on disk: whatever was given comes back, and nobody else reads it."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.assistants.secret import Secret
from sovereign_pbx.config_source import read_source
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.object_files import ObjectFiles, folder_of, restored

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
NAMES = TEXT | st.sampled_from(["$null", "$$null", "null", "a.b", ""])
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
DATA = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


def written(folder: Path, fields: dict[str, Any], object_id: str = "abc") -> Path:
    asyncio.run(ObjectFiles(folder).write("assistant", object_id, fields))
    return folder_of(folder, "assistant") / f"{object_id}.toml"


@given(st.dictionaries(NAMES, DATA, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_whatever_json_can_say_comes_back(tmp_path: Path, data: dict[str, Any]) -> None:
    fields = {"metadata": data, "name": "x"}
    assert restored(read_source(written(tmp_path, fields)).data) == fields


@pytest.mark.parametrize(
    "tricky", [{"$null": True}, {"$$null": True}, {"$null": None}, {"null": True}, {"$null": 1, "a": 2}]
)
def test_data_that_looks_like_our_own_mark_is_told_from_it(tmp_path: Path, tricky: dict[str, Any]) -> None:
    fields = {"metadata": {"given": tricky, "list": [tricky, None]}}
    assert restored(read_source(written(tmp_path, fields)).data) == fields


def test_secrets_are_written_out_and_for_the_daemons_user_alone(tmp_path: Path) -> None:
    file = written(tmp_path, {"webhook_secret": Secret("a secret")})
    assert restored(read_source(file).data) == {"webhook_secret": "a secret"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    first = written(tmp_path, {"name": "old"})
    before = first.stat().st_ino
    written(tmp_path, {"name": "new"})
    assert first.stat().st_ino != before
    assert os.listdir(first.parent) == ["abc.toml"]


def test_what_can_not_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    file = written(tmp_path, {"name": "old"})
    kept = file.read_bytes()
    with pytest.raises(StoreError, match="the assistant could not be written"):
        written(tmp_path, {"name": object()})
    assert file.read_bytes() == kept
    assert os.listdir(file.parent) == ["abc.toml"]


def test_a_link_that_waits_in_the_way_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    folder = folder_of(tmp_path, "assistant")
    folder.mkdir()
    (folder / ".abc.toml.new").symlink_to(victim)
    with pytest.raises(StoreError):
        written(tmp_path, {"name": "x"})
    assert victim.read_text() == "untouched"


def test_removing_is_final_and_may_be_repeated(tmp_path: Path) -> None:
    file = written(tmp_path, {"name": "x"})
    for _ in range(2):
        asyncio.run(ObjectFiles(tmp_path).remove("assistant", "abc"))
        assert not file.exists()
    asyncio.run(ObjectFiles(tmp_path).remove("number", "never there"))
