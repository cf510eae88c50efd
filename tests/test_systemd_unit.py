"""The unit is valid, closed, and agrees with the daemon and its documentation."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "systemd" / "sovereign-pbx.service"


def settings() -> dict[str, str]:
    lines = (line.partition("=") for line in UNIT.read_text("utf-8").splitlines() if re.match(r"\w+=", line))
    return {name: value for name, _, value in lines}


def test_the_watchdog_is_slower_than_the_daemons_own_guard() -> None:
    # the guard ends the process after 5 s, faulthandler after 10 s; systemd is for what survives both
    assert settings()["Type"] == "notify"
    assert int(settings()["WatchdogSec"]) > 10


def test_stopping_waits_longer_than_calls_may_take_to_drain() -> None:
    from sovereign_pbx.config_sections import Daemon

    assert float(settings()["TimeoutStopSec"]) > Daemon().drain_seconds + 10


def test_a_crash_leaves_no_image_of_the_memory() -> None:
    from sovereign_pbx.core_dumps import NO_IMAGE

    assert settings()["LimitCORE"] == str(NO_IMAGE)


def test_a_wrong_configuration_is_not_tried_again_and_anything_else_is() -> None:
    assert settings()["RestartPreventExitStatus"] == "2"
    assert settings()["Restart"] == "always"


def test_a_reload_is_refused_by_systemctl_when_the_file_has_errors() -> None:
    # the command waits for the daemon's answer and fails with its findings, which a signal could not; the daemon says
    # RELOADING=1 all the same, and Type=notify-reload would need systemd 253
    run, reload = settings()["ExecStart"], settings()["ExecReload"]
    assert reload == run.replace(" run ", " reload ")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_documented_exposure_is_the_measured_one() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    measured = re.search(r"exposure level for \S+: ([\d.]+)", answer)
    documented = re.search(r"exposure level[^.]*?\*\*([\d.]+)\*\*", (ROOT / "docs/operations.md").read_text("utf-8"))
    assert measured and documented, answer[-300:]
    # other versions of systemd weigh a little differently
    assert abs(float(measured[1]) - float(documented[1])) <= 0.5
