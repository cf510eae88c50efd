"""`GET /audit`: who may ask, and what is answered."""

import asyncio
from pathlib import Path

from tests.api.rest import serving_rest


def test_the_audit_is_told_to_whoever_may_read_and_to_nobody_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await (await api.with_scopes("read")).get("/audit")
            assert got.status == 200
            assert [one["kind"] for one in got.body["differences"]] == ["gone"]
            assert (got.body["calls"][0]["phase"], got.body["asked"], got.body["mended"]) == ("talking", True, 2)
            assert (await api.as_key("").get("/audit")).status == 401
            assert (await (await api.with_scopes("calls")).get("/audit")).status in (200, 403)

    asyncio.run(run())
