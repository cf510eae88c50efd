"""Which archive packages are fetched from."""

from pathlib import Path

import pytest

from sovereign_pbx.testing import debian_source
from sovereign_pbx.testing.debian_source import PackagesUnavailable, Source, own_source, pick_mirror

DEBIAN = [
    ("http://mirror.example/debian-security/", "bookworm-security"),
    ("http://other.example/debian/", "sid"),
    ("http://mirror.example/debian/", "bookworm"),
]


def test_the_mirror_that_serves_the_machines_own_suite_is_chosen() -> None:
    assert pick_mirror(DEBIAN, "debian", "bookworm") == "http://mirror.example/debian/"


def test_a_suite_written_by_another_name_still_gives_a_mirror() -> None:
    assert (
        pick_mirror([("http://mirror.example/debian", "stable")], "debian", "trixie") == "http://mirror.example/debian"
    )


def test_a_security_archive_is_never_chosen() -> None:
    with pytest.raises(PackagesUnavailable, match="no debian mirror"):
        pick_mirror(DEBIAN[:1], "debian", "bookworm")
    with pytest.raises(PackagesUnavailable, match="no ubuntu mirror"):
        pick_mirror([("http://security.example/ubuntu/", "noble-security")], "ubuntu", "noble")


def test_a_third_party_archive_is_never_chosen() -> None:
    with pytest.raises(PackagesUnavailable, match="SOVEREIGN_PBX_APT_MIRROR"):
        pick_mirror([("https://vendor.example/node_20.x/", "bookworm")], "debian", "bookworm")


@pytest.mark.parametrize(
    ("uri", "family"),
    [
        ("mirror+file:/etc/apt/mirrors/debian.list/", "debian"),
        ("mirror+file:/etc/apt/apt-mirrors.txt", "ubuntu"),
        ("http://ports.example/ubuntu-ports/", "ubuntu"),
    ],
)
def test_the_mirrors_of_cloud_images_and_ports_are_understood(uri: str, family: debian_source.Family) -> None:
    assert pick_mirror([(uri, "any")], family, "any") == uri


def test_a_disc_is_not_a_mirror() -> None:
    with pytest.raises(PackagesUnavailable):
        pick_mirror([("cdrom:[Debian]/debian/", "trixie")], "debian", "trixie")


def test_the_environment_overrules_the_machines_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(debian_source.MIRROR_VARIABLE, "http://chosen.example/debian")
    monkeypatch.setattr(debian_source, "_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    monkeypatch.setattr(debian_source, "_keyring", lambda family: Path("/keys.gpg"))
    monkeypatch.setattr("shutil.which", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr(debian_source, "_configured_archives", list)
    monkeypatch.setattr(debian_source, "_output", lambda *command: "amd64\n")
    source = own_source("forky")
    assert source.line() == "deb [signed-by=/keys.gpg arch=amd64] http://chosen.example/debian forky main\n"


def test_ubuntu_packages_come_from_universe_too(monkeypatch: pytest.MonkeyPatch) -> None:
    release = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "VERSION_CODENAME": "zena", "UBUNTU_CODENAME": "noble"}
    monkeypatch.setattr(debian_source, "_os_release", lambda: release)
    monkeypatch.setattr(debian_source, "_keyring", lambda family: Path(f"/{family}.gpg"))
    monkeypatch.setattr("shutil.which", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr(debian_source, "_configured_archives", lambda: [("http://mirror.example/ubuntu/", "noble")])
    monkeypatch.setattr(debian_source, "_output", lambda *command: "arm64\n")
    assert own_source() == Source(
        "http://mirror.example/ubuntu/", "noble", ("main", "universe"), Path("/ubuntu.gpg"), "arm64"
    )


def test_a_machine_without_apt_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackagesUnavailable, match="apt-get is not installed"):
        own_source()


def test_a_missing_keyring_names_the_package_that_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(debian_source, "KEYRINGS", tmp_path)
    with pytest.raises(PackagesUnavailable, match="debian-archive-keyring"):
        debian_source._keyring("debian")
