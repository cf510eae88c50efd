"""Tool calls put together from the fragments that servers stream, whatever they leave out.

OpenAI sends an index with every fragment and the id with the first. Ollama and llama.cpp send whole calls in one
fragment; some servers omit the index, or give every call index 0, or send no id at all.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from sovereign_pbx.core.values import ToolCall

CALLS_LIMIT = 16
ARGUMENTS_LIMIT = 64 * 1024


@dataclass(slots=True)
class _Call:
    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""


class ToolFragments:
    """The tool calls of one reply."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, index: int | None, call_id: str | None, name: str | None, arguments: Any) -> None:
        """One fragment. Raises ValueError when the model runs away."""
        call = self._find(index, call_id, name)
        call.id = call.id or call_id or ""
        call.name += name or ""
        if arguments is not None:
            call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)
        if len(call.arguments) > ARGUMENTS_LIMIT:
            raise ValueError("tool arguments without end")

    def complete(self) -> list[ToolCall]:
        """All calls, in the order in which they began; nameless ones are noise."""
        return [
            ToolCall(call.id or f"call_{secrets.token_hex(8)}", call.name, call.arguments or "{}")
            for call in self._calls
            if call.name
        ]

    def _find(self, index: int | None, call_id: str | None, name: str | None) -> _Call:
        """The call that a fragment goes on with, or a new one."""
        last = self._last(index)
        another_id = last is not None and bool(call_id) and bool(last.id) and call_id != last.id
        # Without index and id, a name after a name is the next call.
        another_name = last is not None and index is None and not call_id and bool(name) and bool(last.name)
        if last is not None and not another_id and not another_name:
            return last
        if len(self._calls) >= CALLS_LIMIT:
            raise ValueError("too many tool calls in one reply")
        self._calls.append(_Call(index))
        return self._calls[-1]

    def _last(self, index: int | None) -> _Call | None:
        if index is None:
            return self._calls[-1] if self._calls else None
        return next((call for call in reversed(self._calls) if call.index == index), None)
