"""Asks a vendor for the voices of an account: one request, bounded in time and length."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from sovereign_pbx.core.errors import ProviderError, ProviderFault
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import address, fault_of_status
from sovereign_pbx.speech.tts.listing import Account, ListedVoice

LIST_S: Final = 5.0
MOST_BYTES: Final = 8 << 20
MOST_VOICES: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceRequest:
    """What differs between vendors. `read` makes a voice of an entry of `voices`, or None of what is none."""

    provider: str
    base_url: str
    path: str
    headers: Callable[[str], Mapping[str, str]]  # of the key
    read: Callable[[Any], ListedVoice | None]

    async def voices(self, account: Account, within_s: float = LIST_S) -> list[ListedVoice]:
        """Every voice that the key may use; without a key none. Raises ProviderError within `within_s`, or
        ConfigError."""
        where = f"[providers.{self.provider}]"
        settings = Settings(account, where)
        key = settings.text("api_key")
        if not key:
            return []
        url = address(settings.text("base_url", self.base_url), where, websocket=False) + self.path
        try:
            async with asyncio.timeout(within_s), aiohttp.ClientSession() as session:
                raw = await self._fetched(session, url, key)
        except TimeoutError as exc:
            raise self._fault("stalled", f"no list within {within_s:g} s") from exc
        except (OSError, aiohttp.ClientError) as exc:
            raise self._fault("refused", type(exc).__name__) from exc
        return await asyncio.to_thread(self._listed, raw)

    async def _fetched(self, session: aiohttp.ClientSession, url: str, key: str) -> bytes:
        async with session.get(url, headers=self.headers(key), allow_redirects=False) as response:
            if response.status != 200:
                raise self._fault(fault_of_status(response.status), f"HTTP {response.status}")
            raw = b""
            async for chunk in response.content.iter_chunked(1 << 16):
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise self._fault("garbled", f"the list is longer than {MOST_BYTES} bytes")
            return raw

    def _listed(self, raw: bytes) -> list[ListedVoice]:
        try:
            found = [self.read(one) for one in msgspec.json.decode(raw)["voices"][:MOST_VOICES]]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as exc:
            raise self._fault("garbled", "the answer is no list of voices") from exc
        return [voice for voice in found if voice is not None]

    def _fault(self, kind: ProviderFault, detail: str) -> ProviderError:
        return ProviderError(self.provider, "tts", kind, detail)
