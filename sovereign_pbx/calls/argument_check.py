"""Are a tool's arguments what its schema asks for? If not: what the model is told, once, and once more."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from sovereign_pbx.calls import arguments
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.webhooks.envelope import tool_arguments

log = structlog.get_logger(__name__)

_CHECK_S: Final = 1.0  # on a machine that is too busy for it, the tool's own server may judge

AGAIN: Final = "Not used: {why}. Call the tool again with arguments that fit its parameters."
ENOUGH: Final = "Not used: {why}. It can't be used now: go on without it, and don't call it again."


class ArgumentCheck:
    """Of one call's tools. `exchange` tells exchanges apart: in the next one the model may try anew."""

    def __init__(self, exchange: Callable[[], object]) -> None:
        self._exchange = exchange
        self._now: object = None
        self._told: set[str] = set()

    async def refusal(self, call: ToolCall, schema: Mapping[str, Any]) -> str:
        """What the model is told instead of a result; "" where the arguments fit."""
        if self._exchange() != self._now:
            self._now, self._told = self._exchange(), set()
        why = await _fault(call, schema)
        if not why:
            return ""
        again = call.name in self._told
        self._told.add(call.name)
        log.warning("tool.arguments_refused", tool=call.name, again=again)  # without them: they are the caller's words
        return (ENOUGH if again else AGAIN).format(why=why)


async def _fault(call: ToolCall, schema: Mapping[str, Any]) -> str:
    if len(call.arguments) > arguments.MOST_ARGUMENTS:
        return f"the arguments are longer than {arguments.MOST_ARGUMENTS} characters"
    try:
        given = tool_arguments(call)
        async with asyncio.timeout(_CHECK_S):
            return "; ".join(await asyncio.to_thread(arguments.faults, schema, given))
    except BadInput as exc:
        return str(exc)
    except TimeoutError:
        log.warning("tool.arguments_unchecked", tool=call.name, why=f"no time for it within {_CHECK_S:g} s")
        return ""
