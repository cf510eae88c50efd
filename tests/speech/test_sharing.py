"""Vendor clients shared by their users."""

import asyncio

import pytest

from sovereign_pbx.speech.sharing import Shares
from tests.speech.running import run_clean


class Makes:
    def __init__(self, fails: bool = False) -> None:
        self.made: list[str] = []
        self.closed: list[str] = []
        self.fails = fails
        self.shares: Shares[str, str] = Shares(self.make, self.close)

    def make(self, key: str) -> str:
        if self.fails:
            raise OSError("no certificates")
        self.made.append(key)
        return f"client of {key}"

    async def close(self, client: str) -> None:
        self.closed.append(client)


def test_users_of_one_account_share_a_client_until_the_last_has_gone() -> None:
    async def main() -> None:
        makes = Makes()
        clients = await asyncio.gather(*(makes.shares.lease("a") for _ in range(3)), makes.shares.lease("b"))
        assert sorted(makes.made) == ["a", "b"]
        assert clients[0] == clients[1] == "client of a"
        await makes.shares.release("a")
        await makes.shares.release("a")
        assert makes.closed == []
        await makes.shares.release("a")
        await makes.shares.release("b")
        assert makes.closed == ["client of a", "client of b"]
        await makes.shares.release("a")  # once too often does no harm
        assert await makes.shares.lease("a") == "client of a"
        await makes.shares.release("a")
        assert len(makes.made) == 3

    run_clean(main())


def test_a_user_that_gives_up_while_the_client_is_made_leaves_nothing_behind() -> None:
    async def main() -> None:
        makes = Makes()
        leasing = asyncio.create_task(makes.shares.lease("a"))
        await asyncio.sleep(0)
        leasing.cancel()
        await asyncio.gather(leasing, return_exceptions=True)
        assert makes.closed == ["client of a"]

    run_clean(main())


def test_a_client_that_cannot_be_made_is_tried_again_by_the_next_user() -> None:
    async def main() -> None:
        makes = Makes(fails=True)
        with pytest.raises(OSError, match="certificates"):
            await makes.shares.lease("a")
        makes.fails = False
        assert await makes.shares.lease("a")
        await makes.shares.release("a")

    run_clean(main())


def test_each_loop_has_clients_of_its_own() -> None:
    makes = Makes()

    async def main() -> None:
        await makes.shares.lease("a")
        await makes.shares.release("a")

    run_clean(main())
    run_clean(main())
    assert makes.made == ["a", "a"]
    assert makes.closed == ["client of a", "client of a"]
