"""Masked entries of keys on their way into a tool's request: there and nowhere else.

The administrator marks an argument with `"const": "{{digits.NAME}}"`. Model, transcript and record only ever
see that text; what the caller keyed in takes its place in the request itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sovereign_pbx.assistants.digits import places
from sovereign_pbx.core.digits import MASK
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.webhooks.envelope import tool_arguments

Keyed = Callable[[str], str]

MISSING: Final = "Not used: the caller has not keyed in {name} yet. Ask for it with that tool first."
_SHORTEST: Final = 4  # of an entry that is looked for in answers: "1" is in every one


class DigitArguments:
    """Of one call's tools. `keyed` gives the last entry of a collector, "" where there is none."""

    def __init__(self, keyed: Keyed) -> None:
        self._keyed = keyed
        self._sent: set[str] = set()

    def marked(self, call: ToolCall, schema: Mapping[str, Any]) -> ToolCall:
        """The call with the marks in their places, whatever the model wrote there."""
        marks = {argument: schema["properties"][argument]["const"] for argument, _ in places(schema)}
        return _with(call, marks) if marks else call

    def missing(self, schema: Mapping[str, Any]) -> str:
        """What the model is told where an entry is not there yet, else ""."""
        name = next((name for _, name in places(schema) if not self._keyed(name)), "")
        return MISSING.format(name=name) if name else ""

    def filled(self, call: ToolCall, schema: Mapping[str, Any]) -> ToolCall:
        """The call as it is sent."""
        entries = {argument: self._keyed(name) for argument, name in places(schema)}
        self._sent |= {entry for entry in entries.values() if len(entry) >= _SHORTEST}
        return _with(call, entries) if entries else call

    def masked(self, answer: str) -> str:
        """A server may repeat what it was sent; the model must not learn it that way."""
        for entry in sorted(self._sent, key=len, reverse=True):
            answer = answer.replace(entry, MASK * len(entry))
        return answer


def _with(call: ToolCall, values: Mapping[str, str]) -> ToolCall:
    try:
        arguments = tool_arguments(call)
    except BadInput:  # the check of the arguments says what is wrong with them
        return call
    return replace(call, arguments=json.dumps({**arguments, **values}, ensure_ascii=False))
