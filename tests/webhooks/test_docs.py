"""The sample in docs/webhooks.md accepts what the daemon sends and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.webhooks import signing

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"
NOW = 1_765_627_200
BODY = '{"message": {"summary": "naïve café"}}'.encode()


@pytest.fixture
def is_genuine() -> Callable[..., bool]:
    samples = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert len(samples) == 1
    names: dict[str, Any] = {}
    exec(samples[0], names)
    sample: Callable[..., bool] = names["is_genuine"]
    return sample


def sent(secret: str = "tøpsecret", body: bytes = BODY) -> dict[str, str]:
    return signing.headers("status-update", body, secret, webhook_id="w1", unix_s=NOW)


def test_the_sample_accepts_what_is_sent(is_genuine: Callable[..., bool]) -> None:
    assert is_genuine("tøpsecret", sent(), BODY, NOW + 299)
    assert is_genuine("tøpsecret", sent(), BODY, NOW - 299)


def test_the_sample_refuses_what_was_changed_is_old_or_unsigned(is_genuine: Callable[..., bool]) -> None:
    assert not is_genuine("another", sent(), BODY, NOW)
    assert not is_genuine("tøpsecret", sent(), BODY + b" ", NOW)
    assert not is_genuine("tøpsecret", sent(), BODY, NOW + 301)
    assert not is_genuine("tøpsecret", {**sent(), "X-Webhook-Timestamp": str(NOW + 1)}, BODY, NOW)
    assert not is_genuine("tøpsecret", {**sent(), "X-Webhook-Timestamp": "soon"}, BODY, NOW)
    assert not is_genuine("tøpsecret", sent(secret=""), BODY, NOW)
    assert not is_genuine("tøpsecret", {}, BODY, NOW)
