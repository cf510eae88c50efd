"""What `sovereign-pbx doctor` says of registrations."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.registrations import looks, registrations
from sovereign_pbx.config import examine

OFFICE = '[registrations.office]\nserver = "192.0.2.1"\nusername = "800"\npassword = "s3cret-800"\n'
HELD = {"registered": True, "server": "192.0.2.1", "error": ""}
REFUSED = {"registered": False, "server": "192.0.2.1", "error": "192.0.2.1 refuses 800: 401 Unauthorized"}


def patient(folder: Path, text: str = f"[sip]\nenabled = true\n{OFFICE}") -> Patient:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    examined = examine(path, environ={})
    assert examined.config is not None, examined.findings
    return Patient(examined, examined.config)


def health(*, alone: bool, **told: dict[str, Any]) -> dict[str, Any]:
    sip = {"status": "ok", "controls": {"sip": {"registrations": told}}}
    return {"checks": {"pbx": sip if alone else {"status": "ok", "ami": {}, "sip": sip}}}


@pytest.mark.parametrize("alone", [True, False])
def test_a_registration_that_holds_is_named(tmp_path: Path, alone: bool) -> None:
    found = patient(tmp_path)
    found.daemon = health(alone=alone, office=HELD)
    result = asyncio.run(registrations(found))
    assert (result.status, result.detail) == ("ok", "office at 192.0.2.1")


def test_one_that_does_not_is_told_with_its_reason_and_its_table(tmp_path: Path) -> None:
    found = patient(tmp_path)
    found.daemon = health(alone=True, office=REFUSED, home=HELD)
    result = asyncio.run(registrations(found))
    assert result.status == "failed"
    assert result.detail == "office: 192.0.2.1 refuses 800: 401 Unauthorized"
    assert "[registrations.office]" in result.remedy
    assert "home" not in result.remedy


def test_without_a_running_daemon_nothing_is_known(tmp_path: Path) -> None:
    assert asyncio.run(registrations(patient(tmp_path))).status == "skipped"


@pytest.mark.parametrize("text", ["[sip]\nenabled = true\n", OFFICE])
def test_where_nothing_registers_nothing_is_looked_at(tmp_path: Path, text: str) -> None:
    assert not looks(patient(tmp_path, text))
