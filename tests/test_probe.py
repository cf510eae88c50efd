"""What `/metrics` reads out of the PBX's health."""

from typing import Any

import pytest

from sovereign_pbx.probe import sip_refused

SIP = {"invites": {"offered": 9, "refused_full": 2}, "endpoint": {"transactions": 4, "refused_not_permitted": 3}}


@pytest.mark.parametrize(
    ("health", "refused"),
    [
        ({"status": "ok", **SIP}, 5),
        ({"status": "ok", "agi": {"refused_full": 1}, "sip": {"status": "ok", **SIP}}, 5),
        ({"status": "ok", "agi": {"refused_full": 1}}, 0),
        ({"status": "down"}, 0),
    ],
)
def test_what_sip_turned_away_is_counted_wherever_it_stands(health: dict[str, Any], refused: int) -> None:
    assert sip_refused(health) == refused
