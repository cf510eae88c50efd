"""Health is told in the contract's shape, above all when something is wrong."""

import asyncio
import re
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.api.health import Check, Health, overall
from tests.api.probe import ScriptedProbe


def report(probe: ScriptedProbe, **options: Any) -> tuple[str, dict[str, Any]]:
    return asyncio.run(Health(probe, **options).report())


def test_a_healthy_daemon_says_so_in_the_contracts_shape() -> None:
    status, body = report(ScriptedProbe())
    assert status == "ok"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("timestamp"))
    assert body == {
        "status": "ok",
        "version": "9.9.9",
        "checks": {"database": {"status": "ok", "latency_ms": 1.2}},
    }


def test_a_check_brings_its_own_values_and_why_it_is_not_well() -> None:
    check = Check(status="degraded", detail="the disk is full", values={"pending": 3})
    _, body = report(ScriptedProbe(outbox=check))
    assert body["checks"]["outbox"] == {"status": "degraded", "detail": "the disk is full", "pending": 3}


@pytest.mark.parametrize(
    ("database", "models", "expected"),
    [
        ("ok", "ok", "ok"),
        ("ok", "down", "degraded"),
        ("ok", "degraded", "degraded"),
        ("degraded", "ok", "degraded"),
        ("down", "ok", "down"),
    ],
)
def test_only_what_is_essential_takes_the_whole_down(database: Any, models: Any, expected: str) -> None:
    probe = ScriptedProbe(database=Check(status=database, essential=True), models=Check(status=models))
    assert report(probe)[0] == expected


def test_a_probe_that_fails_or_hangs_is_itself_a_finding() -> None:
    failing, hanging = ScriptedProbe(), ScriptedProbe()
    failing.failure = RuntimeError("secret detail")
    hanging.hangs = True
    for probe, detail in ((failing, "RuntimeError"), (hanging, "the daemon could not tell within 0.05 s")):
        with structlog.testing.capture_logs():
            status, body = report(probe, limit_s=0.05)
        assert status == "down"
        assert body["checks"]["daemon"] == {"status": "down", "detail": detail}


def test_however_often_health_is_asked_the_daemon_is_asked_once_a_second() -> None:
    probe = ScriptedProbe()

    async def run() -> None:
        health = Health(probe)
        await asyncio.gather(*(health.report() for _ in range(50)))
        assert probe.asked == 1
        briefly = Health(probe, keep_s=0.0)
        await briefly.report()
        await briefly.report()
        assert probe.asked == 3

    asyncio.run(run())


checks = st.builds(Check, status=st.sampled_from(["ok", "degraded", "down"]), essential=st.booleans())


@given(st.dictionaries(st.text(max_size=3), checks))
def test_the_whole_is_ok_exactly_if_every_part_is(found: dict[str, Check]) -> None:
    assert (overall(found) == "ok") == all(check.status == "ok" for check in found.values())
