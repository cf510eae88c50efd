"""Loads what assistants need of this machine: at the start, and when the API makes or changes one."""

import asyncio
import json
from collections.abc import Iterable
from typing import Protocol

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.workflow_plan import conducting


class Loader(Protocol):
    """`calls.providers.Providers`, as far as it loads."""

    async def preload(self, assistants: Iterable[Assistant]) -> None: ...


async def keep_loaded(estate: Estate, loader: Loader) -> None:
    """Load for every assistant, and for every one that workflows bring about, as soon as it is there; never ends.

    The first caller of an assistant that was made a minute ago waits no longer for its models than any other.
    """
    seen: frozenset[str] = frozenset()
    while True:
        estate.news.clear()
        present = await asyncio.to_thread(_by_need, estate.directory)
        fresh = [assistant for need, assistant in present.items() if need not in seen]
        seen = frozenset(present)
        if fresh:
            await loader.preload(fresh)
        await estate.news.wait()


def newcomers(before: Directory, after: Directory) -> list[Assistant]:
    """Assistants of `after` that need what none of `before` does, one for each need."""
    known = _by_need(before)
    return [assistant for need, assistant in _by_need(after).items() if need not in known]


def _by_need(directory: Directory) -> dict[str, Assistant]:
    """The assistants by what has to be loaded for them, the first of those that need the same."""
    needed: dict[str, Assistant] = {}
    for assistant in (*directory.assistants.values(), *conducting(directory)):
        blocks = (assistant.stt_config, assistant.llm_config, assistant.tts_config)
        needed.setdefault(json.dumps(blocks, sort_keys=True, default=str), assistant)
    return needed
