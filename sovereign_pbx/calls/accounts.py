"""The accounts at the providers: what the administrator's file says, and keys that were given through the API (BYOK).

The file wins: a key given through the API counts only where the file has none. What is given is kept on disk by its
provider and is never read back by anybody but the daemon.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sovereign_pbx.assistants.model import identifier_of
from sovereign_pbx.assistants.secret import NO_SECRET, Secret
from sovereign_pbx.assistants.shelf import Keep
from sovereign_pbx.core.errors import Refused

KIND: Final = "secret"
"""Folder and files are named after it: `secrets.d/PROVIDER.toml`."""

Account = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the API was given for one provider. `secret_id` names the key without telling it."""

    secret_id: str = ""
    api_key: str = field(default=NO_SECRET, repr=False)
    base_url: str = ""

    @property
    def empty(self) -> bool:
        return not self.api_key and not self.base_url


def overlaid(written: Mapping[str, Account], given: Mapping[str, Given]) -> dict[str, Account]:
    """The accounts as they count: the file's, with what was given where the file says nothing."""
    accounts = dict(written)
    for name, one in given.items():
        own = {"api_key": one.api_key} if one.api_key else {}
        own |= {"base_url": one.base_url} if one.base_url and not written.get(name) else {}
        accounts[name] = {**own, **{key: value for key, value in written.get(name, {}).items() if value != ""}}
    return accounts


@dataclass(slots=True)
class _Gifts:
    """What the API was given, replaced as a whole. Every edition of the accounts looks here."""

    by_provider: Mapping[str, Given]
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Accounts(Mapping[str, Account]):
    """The accounts by the provider's name, live: who looks again sees the latest. `hide` keeps a key out of the log."""

    def __init__(
        self,
        written: Mapping[str, Account],
        given: Mapping[str, Given] | None = None,
        keep: Keep | None = None,
        *,
        hide: Callable[[str], None] = lambda key: None,
    ) -> None:
        self._written = written
        self._gifts = _Gifts(dict(given or {}))
        self._keep = keep
        self._hide = hide
        self._of: Mapping[str, Given] | None = None
        self._merged: Mapping[str, Account] = {}

    def rewritten(self, written: Mapping[str, Account]) -> "Accounts":
        """The accounts as they are with another file. What the API is given counts for these and for those alike."""
        fresh = Accounts(written, keep=self._keep, hide=self._hide)
        fresh._gifts = self._gifts
        return fresh

    @property
    def _given(self) -> Mapping[str, Given]:
        return self._gifts.by_provider

    @property
    def _now(self) -> Mapping[str, Account]:
        if self._of is not self._given:
            self._of, self._merged = self._given, overlaid(self._written, self._given)
        return self._merged

    def __getitem__(self, provider: str) -> Account:
        return self._now[provider]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    def secret_id(self, provider: str) -> str | None:
        """An opaque name of the provider's key; None where it has none."""
        if self._written.get(provider, {}).get("api_key"):
            return identifier_of(f"key of {provider}")
        return self._given.get(provider, Given()).secret_id or None

    def base_url(self, provider: str) -> str | None:
        """The address in use, None for the vendor's own."""
        return self.get(provider, {}).get("base_url") or None

    async def set_key(self, provider: str, api_key: str) -> None:
        """Use this key from the next call on. Refused where the file has one; SovereignError when the disk refuses."""
        self._refuse_written(provider, "api_key")
        self._hide(api_key)
        await self._change(provider, api_key=Secret(api_key), secret_id=str(uuid.uuid4()))

    async def remove_key(self, provider: str) -> None:
        """Use it no more. Refused `not_found` if there is none, `owned_by_file` if it is the file's."""
        self._refuse_written(provider, "api_key")
        if not self._given.get(provider, Given()).api_key:
            raise Refused("not_found", f"No key was given for {provider}.")
        await self._change(provider, api_key=NO_SECRET, secret_id="")

    async def set_base_url(self, provider: str, base_url: str) -> None:
        """Ask this address instead of the vendor's; "" for the vendor's. Refused where the file knows the provider: a
        key of the administrator's must not be sent wherever the API says."""
        self._refuse_written(provider, "api_key", "base_url")
        await self._change(provider, base_url=base_url)

    def _refuse_written(self, provider: str, *keys: str) -> None:
        written = self._written.get(provider, {})
        for key in keys:
            if written.get(key):
                table = f"[providers.{provider}] {key}"
                raise Refused("owned_by_file", f"The administrator's file has {table}, which wins: change it there.")

    async def _change(self, provider: str, **changes: str) -> None:
        async with self._gifts.changing:
            fresh = replace(self._given.get(provider, Given()), **changes)
            if self._keep is not None:
                await _written_down(self._keep, provider, fresh)
            given = {**self._given, provider: fresh}
            self._gifts.by_provider = {name: one for name, one in given.items() if not one.empty}


async def _written_down(keep: Keep, provider: str, given: Given) -> None:
    if given.empty:
        await keep.remove(KIND, provider)
        return
    fields = {"secret_id": given.secret_id, "api_key": given.api_key, "base_url": given.base_url}
    await keep.write(KIND, provider, {name: value for name, value in fields.items() if value})
