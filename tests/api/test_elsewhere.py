"""What only the hosted platform can have answers 501 and says why; health stands in the document."""

import asyncio
from pathlib import Path

import pytest

from tests.api.rest import Got, serving_rest

NOT_HERE = [
    ("GET", "/api/v1/domains"),
    ("POST", "/api/v1/domains"),
    ("DELETE", "/api/v1/domains"),
    ("GET", "/api/v1/domains/sync"),
    ("POST", "/api/v1/domains/sync"),
    ("POST", "/api/v1/domains/verify"),
    ("POST", "/api/v1/domains/refresh"),
    ("GET", "/api/v1/chats"),
    ("POST", "/api/v1/chats"),
    ("DELETE", "/api/v1/chats/c1"),
    ("GET", "/api/v1/chats/context"),
    ("POST", "/api/v1/web-calls"),
    ("POST", "/v1/web-calls"),
    ("POST", "/api/v1/organizations"),
]


@pytest.mark.parametrize(("method", "path"), NOT_HERE)
def test_what_cannot_be_here_says_why_and_what_to_do_instead_behind_the_key(
    tmp_path: Path, method: str, path: str
) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:

            async def ask(**headers: str) -> Got:
                async with api.session.request(method, api.address + path, headers=headers) as response:
                    return Got(response.status, await response.json(), dict(response.headers))

            got = await ask(Authorization=f"Bearer {api.key}")
            assert (got.status, got.body["code"]) == (501, "not_on_premises")
            assert got.body["message"].count(". ") >= 1
            assert (await ask()).status == 401

    asyncio.run(run())


def test_health_needs_no_key_and_is_described_with_its_503(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.as_key("").get("/health")
            assert (got.status, got.body["status"]) == (200, "ok")
            async with api.session.head(f"{api.address}/api/v1/health") as response:
                assert response.status == 200
            described = (await api.get("/api/openapi.json")).body["paths"]["/api/v1/health"]["get"]
            assert described["security"] == []
            assert set(described["responses"]) == {"200", "503"}

    asyncio.run(run())
