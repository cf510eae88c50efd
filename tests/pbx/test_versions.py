"""Versions of Asterisk and what is known of their AudioSocket."""

import pytest

from sovereign_pbx.pbx.asterisk.versions import audiosocket_faults, package_faults, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("22.10.1+dfsg+~cs6.17.60671434-1", (22, 10)),
        ("Asterisk 20.9.3 built by root", (20, 9)),
        ("certified/20.7-cert3", (20, 7)),
        ("16.28.0~dfsg-0+deb11u4", (16, 28)),
        ("GIT-master-abc", None),
        ("", None),
    ],
)
def test_a_version_is_read_from_what_asterisk_says(text: str, version: tuple[int, int] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "fault"),
    [("16.28.0", "no AudioSocket"), ("18.26.4", "TCP_NODELAY"), ("20.14.0", "TCP_NODELAY"), ("22.4.1", "TCP_NODELAY")],
)
def test_old_versions_have_known_faults(version: str, fault: str) -> None:
    (found,) = audiosocket_faults(version)
    assert fault in found


@pytest.mark.parametrize("version", ["20.15.0", "22.5.0", "22.10.1", "23.0.0", "GIT-master-abc"])
def test_nothing_is_known_against_the_others(version: str) -> None:
    assert audiosocket_faults(version) == []


@pytest.mark.parametrize(
    ("version", "count"),
    [
        ("22.10.1+dfsg+~cs6.17.60671434-1", 1),
        ("20.6.0~dfsg+~cs6.13.40431414-2", 1),
        ("16.28.0~dfsg-0+deb11u4", 0),
        ("22.10.1", 0),
        ("", 0),
    ],
)
def test_what_debian_has_put_into_its_packages_is_known(version: str, count: int) -> None:
    assert len(package_faults(version)) == count
