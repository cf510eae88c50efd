"""Whom nobody may call: files, the kept list, and what happens when neither can be read."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.calls.do_not_call import DoNotCall, Numbers, in_full
from sovereign_pbx.core.errors import ConfigError, Refused
from sovereign_pbx.store.do_not_call import Listed
from sovereign_pbx.store.failure import StoreError
from sovereign_pbx.store.sqlite import SqliteStore


class Kept:
    """A list of one; or, out of order, none."""

    def __init__(self, *numbers: str, broken: bool = False) -> None:
        self.numbers, self.broken = numbers, broken

    async def listed_of(self, numbers: Sequence[str]) -> set[str]:
        return {number for number in numbers if await self.listed(number)}

    async def listed(self, number: str) -> Listed | None:
        if self.broken:
            raise StoreError("the disk is gone")
        return Listed(number, "asked us to stop", "2026-11-20T09:00:00.000Z") if number in self.numbers else None


def refusal(list_: DoNotCall, number: str) -> str:
    """The refusal's code; "" for none."""

    async def ask() -> str:
        await list_.load()
        try:
            await list_.check(number)
        except Refused as exc:
            return exc.code
        return ""

    return asyncio.run(ask())


def write(folder: Path, text: str) -> Path:
    file = folder / "list.txt"
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize("number", ["+31612345678", "0031612345678", "06-12345678", "+31 (0)6 1234 5678"])
def test_a_number_is_found_however_it_is_written(tmp_path: Path, number: str) -> None:
    file = write(tmp_path, "number;why\n06 1234 5678;called us\n+31201234567 # the mayor\n\n")
    assert refusal(DoNotCall(Kept(), [file], "31"), number) == "do_not_call"
    assert refusal(DoNotCall(Kept(), [file], "31"), "+31612345679") == ""


def test_the_kept_list_is_asked_too() -> None:
    assert refusal(DoNotCall(Kept("+31612345678"), country="31"), "0612345678") == "do_not_call"
    assert refusal(DoNotCall(Kept("+31612345678")), "sip:anna@example.org") == ""


def test_those_of_many_are_told_that_nobody_may_call(tmp_path: Path) -> None:
    list_ = DoNotCall(Kept("+31612345678"), [write(tmp_path, "+31612345679\n")])

    async def ask() -> set[str]:
        await list_.load()
        return await list_.among(["+31612345677", "+31612345678", "+31612345679"])

    assert asyncio.run(ask()) == {"+31612345678", "+31612345679"}


def test_nobody_is_called_while_the_list_can_not_be_read() -> None:
    assert refusal(DoNotCall(Kept(broken=True)), "+31612345678") == "store_slow"


def test_a_line_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 3 is no telephone number: 'Jan'"):
        refusal(DoNotCall(Kept(), [write(tmp_path, "+31612345678\n\nJan\n")]), "+31612345678")
    with pytest.raises(ConfigError, match="can't be read"):
        refusal(DoNotCall(Kept(), [tmp_path / "none.txt"]), "+31612345678")


def test_a_changed_file_counts_and_a_broken_one_counts_as_it_was(tmp_path: Path) -> None:
    file, now = write(tmp_path, "+31612345678\n"), [0.0]

    async def run() -> None:
        list_ = DoNotCall(Kept(), [file], clock=lambda: now[0])
        await list_.load()
        file.write_text("+31612345678\n+31612345679\n", "utf-8")
        await list_.check("+31612345679")
        now[0] = 11.0
        with pytest.raises(Refused):
            await list_.check("+31612345679")
        file.unlink()
        now[0] = 22.0
        with pytest.raises(Refused):
            await list_.check("+31612345679")

    asyncio.run(run())


@given(
    st.sets(st.from_regex(r"(\+[1-9][0-9]{0,20}|0[0-9]{1,10})", fullmatch=True)), st.text("+0123456789", max_size=22)
)
def test_a_number_is_among_them_or_not(numbers: set[str], other: str) -> None:
    held = Numbers(numbers)
    assert len(held) == len(numbers)
    assert all(number in held for number in numbers)
    if other[1:].isdigit() and in_full(other) == other:
        assert (other in held) is (other in numbers)


def test_the_kept_list_is_added_to_paged_and_taken_from(tmp_path: Path) -> None:
    async def run() -> None:
        store = await SqliteStore.open(tmp_path / "calls.db")
        try:
            table = store.do_not_call
            await table.add(["+312", "+311", "+313"], "", "2026-11-20")
            await table.add(["+311", "+314"], "asked", "2026-11-21")
            assert [one.number for one in await table.page("+311", 2)] == ["+312", "+313"]
            assert await table.listed("+311") == Listed("+311", "asked", "2026-11-20")
            assert (await table.count(), await table.listed_of(["+314", "+315"])) == (4, {"+314"})
            await table.remove("+311")
            assert await table.listed("+311") is None
        finally:
            await store.close()

    asyncio.run(run())
