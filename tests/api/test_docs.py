"""What the documentation shows is what happens: every request on every page is sent, and answered as the page says."""

import asyncio
from pathlib import Path

import pytest

from tests.api.doc_pages import Names, configuration, difference, steps
from tests.api.rest import serving_rest
from tests.imports import ROOT

PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "```http\n" in page.read_text("utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(tmp_path: Path, page: Path) -> None:
    async def run() -> None:
        names = Names()
        async with serving_rest(tmp_path, **configuration(page)) as api:
            for step in steps(page):
                raw = names.put_in(step.body).encode() or None
                got = await api.send(step.method, names.put_in(step.path), raw=raw)
                place = f"{page.name}:{step.line} {step.method} {step.path}"
                wanted = step.status or (got.status if 200 <= got.status < 300 else 200)
                assert got.status == wanted, f"{place}: {got.body}"
                assert difference(step.answer, got.body, names) == "", f"{place}: {got.body}"

    asyncio.run(run())


def test_a_page_that_lies_is_noticed() -> None:
    names = Names()
    assert difference({"id": "AN_ID", "…": "…"}, {"id": "x", "more": 1}, names) == ""
    assert difference({"id": "AN_ID"}, {"id": "y"}, names) == ".id: 'y' instead of 'x'"
    assert difference({"a": "…"}, {"a": 1, "b": 2}, names) == " has more: b"
    assert difference(["…"], [1, 2], names) == ""
    assert difference([1], [1, 2], names) == ": 2 items instead of 1"
    assert difference({"a": True}, {"a": 1}, names) == ".a: 1 instead of True"
    assert difference("call-…", "call-1", names) == ""
