"""The cache of unpacked trees."""

import threading
from pathlib import Path

import pytest

from sovereign_pbx.testing.asterisk_tree import ROOT_VARIABLE, asterisk_tree
from sovereign_pbx.testing.debian_source import PackagesUnavailable
from sovereign_pbx.testing.private_tree import PrivateTree, cached_tree


@pytest.fixture(autouse=True)
def private_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def build(root: Path) -> None:
    (root / "sign").write_text("whole")


def test_a_tree_is_built_once_and_found_afterwards() -> None:
    built = []

    def counting(root: Path) -> None:
        built.append(root)
        build(root)

    for _ in range(2):
        tree = cached_tree("tree", "sign", counting)
        assert (tree / "sign").read_text() == "whole"
    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(root: Path) -> None:
        (root / "half").touch()
        raise PackagesUnavailable("no network")

    with pytest.raises(PackagesUnavailable, match="no network"):
        cached_tree("tree", "sign", fail)
    assert [path.name for path in (tmp_path / "cache/sovereign-pbx").iterdir()] == ["tree.lock"]


def test_a_build_without_its_sign_is_an_error() -> None:
    with pytest.raises(PackagesUnavailable, match="did not bring sign"):
        cached_tree("tree", "sign", lambda root: None)


def test_what_an_interrupted_build_left_is_not_used(tmp_path: Path) -> None:
    half = tmp_path / "cache/sovereign-pbx/tree.partial"
    half.mkdir(parents=True)
    (half / "rubbish").touch()
    tree = cached_tree("tree", "sign", build)
    assert [path.name for path in tree.iterdir()] == ["sign"]


def test_two_at_once_build_one_tree() -> None:
    builds = []
    first_is_in = threading.Event()

    def slow(root: Path) -> None:
        builds.append(root)
        first_is_in.set()
        build(root)

    threads = [threading.Thread(target=cached_tree, args=("tree", "sign", slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert first_is_in.is_set()
    assert len(builds) == 1


def test_a_cache_that_cannot_be_written_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PackagesUnavailable, match="XDG_CACHE_HOME"):
        cached_tree("tree", "sign", build)


def test_slimming_keeps_every_link_on_the_way_to_a_kept_file(tmp_path: Path) -> None:
    library = tmp_path / "usr/lib"
    library.mkdir(parents=True)
    (library / "a.so.1.2").write_text("code")
    (library / "a.so.1").symlink_to("a.so.1.2")
    (library / "a.so").symlink_to("a.so.1")
    (library / "other.so").touch()
    (tmp_path / "usr/share/doc").mkdir(parents=True)
    PrivateTree(tmp_path).slim([library / "a.so"])
    assert (library / "a.so").read_text() == "code"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.so", "a.so.1", "a.so.1.2", "lib", "usr"]


def test_a_chosen_root_without_asterisk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    with pytest.raises(PackagesUnavailable, match=r"holds no usr/sbin/asterisk"):
        asterisk_tree()


def test_a_chosen_root_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/asterisk").touch()
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert asterisk_tree().root == tmp_path
