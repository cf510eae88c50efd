"""The kept list of whom nobody may call, as the API and commands change it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sovereign_pbx.calls.campaigns import utc_text
from sovereign_pbx.calls.do_not_call import in_full
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.store.do_not_call import DoNotCallTable, Listed

Entry = Listed

MOST_NUMBERS: Final = 10_000


class DoNotCallList:
    """`country`: whose numbers are also written with a 0 in front. Every method may raise StoreError."""

    def __init__(self, table: DoNotCallTable, country: str = "") -> None:
        self._table = table
        self._country = country

    def form(self, number: str) -> str:
        """As it is kept; "" for what is no number."""
        return in_full(number, self._country)

    async def add(self, numbers: Sequence[str], reason: str) -> list[str]:
        """All or, where one is no number, none. As they are kept, each once. Raises Refused `not_a_number`."""
        forms = list(dict.fromkeys(self.form(number) for number in numbers))
        if "" in forms:
            wrong = next(number for number in numbers if not self.form(number))
            raise Refused("not_a_number", f"{wrong[:40]!r} is no telephone number; write it like +31612345678.")
        await self._table.add(forms, reason, utc_text(datetime.now(UTC)))
        return forms

    async def remove(self, number: str) -> None:
        """Raises Refused: not_found."""
        await self._table.remove((await self.get(number)).number)

    async def get(self, number: str) -> Listed:
        """Raises Refused: not_found."""
        found = await self._table.listed(self.form(number)) if self.form(number) else None
        if found is None:
            raise Refused("not_found", f"{number[:40]!r} is not on the do-not-call list.")
        return found

    async def page(self, after: str, limit: int) -> list[Listed]:
        """In the order of the numbers, those behind `after`."""
        return await self._table.page(after, limit)
