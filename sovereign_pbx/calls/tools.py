"""A call's hands: webhook tools (contract §11), and the tools of MCP servers (§22)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from sovereign_pbx.assistants.account import Target
from sovereign_pbx.assistants.recording import PAUSE
from sovereign_pbx.assistants.tools import Tool
from sovereign_pbx.calls.argument_check import ArgumentCheck
from sovereign_pbx.calls.digit_arguments import DigitArguments
from sovereign_pbx.calls.mcp import McpServers
from sovereign_pbx.calls.mcp_result import McpFailed
from sovereign_pbx.calls.speaking import Spawn
from sovereign_pbx.calls.toolbox import Borrowed
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.core.errors import WebhookError
from sovereign_pbx.core.events import Event, ToolFinished
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.webhooks.ask import Asker, ToolAnswer, parse_tool_answer
from sovereign_pbx.webhooks.envelope import CallFacts, tool_arguments, tool_calls, utc_now

log = structlog.get_logger(__name__)

_AT_ONCE = 8  # a model that asks for more at once has lost its way; the rest wait their turn

FAILED = "The tool failed ({why}). Tell the caller, and go on without it."
NOWHERE = "This tool has no webhook to run on. Tell the caller, and go on without it."


class Tools:
    """Performs `UseTool`. Every call ends with one `ToolFinished`, whatever happens.

    Calls that the model makes together, and that go to the same webhook, go there in one request (contract §11.2).
    Arguments that don't fit the tool's schema go nowhere: the model is told what was wrong with them.
    """

    def __init__(
        self,
        *,
        tools: Sequence[Tool],
        borrowed: Sequence[Borrowed],
        target: Callable[[Tool], Target | None],
        facts: Callable[[], CallFacts],
        asker: Asker,
        mcp: McpServers,
        timeout_s: float,
        feed: Callable[[Event], None],
        spawn: Spawn,
        tracer: Tracer,
        exchange: Callable[[], object],
        keyed: Callable[[str], str] = lambda name: "",
        recording: Callable[[bool], str] = lambda paused: "",
    ) -> None:
        self._tools = {tool.name: tool for tool in tools if tool.kind == "webhook"}
        self._recording = {tool.name for tool in tools if tool.kind == "recording"}
        self._pause_recording = recording
        self._borrowed = {each.spec.name: each for each in borrowed}
        self._target = target
        self._facts = facts
        self._asker = asker
        self._mcp = mcp
        self._timeout_s = timeout_s
        self._feed = feed
        self._spawn = spawn
        self._tracer = tracer
        self._arguments = ArgumentCheck(exchange)
        self._digits = DigitArguments(keyed)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._gathered: dict[tuple[Target, bool], list[ToolCall]] = {}

    def use(self, call: ToolCall) -> None:
        """Run the tool; an async one is answered at once and delivered behind."""
        tool, borrowed = self._tools.get(call.name), self._borrowed.get(call.name)
        if borrowed is not None:
            self._spawn(self._use_borrowed(borrowed, call), f"tool-{call.name}")
            return
        if call.name in self._recording:
            self._finish(call, self._pause_recording(call.name == PAUSE))
            return
        if tool is None:
            self._finish(call, f"There is no tool named {call.name}.", failed=True)
            return
        target = self._target(tool)
        if target is None:
            self._finish(call, NOWHERE, failed=True)
        else:
            self._gather(target, call, answer=not tool.is_async)

    def _gather(self, target: Target, call: ToolCall, *, answer: bool) -> None:
        """A model's calls come one by one, but in the same turn of the loop."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._send)
        self._gathered.setdefault((target, answer), []).append(call)

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for (target, answer), calls in gathered.items():
            names = ",".join(call.name for call in calls)
            self._spawn(self._ask(target, calls, answer=answer), f"tool-{names}")

    def _finish(self, call: ToolCall, result: str, *, failed: bool = False) -> None:
        self._feed(ToolFinished(call.id, result, failed))

    # --- webhooks

    async def _ask(self, target: Target, calls: Sequence[ToolCall], *, answer: bool) -> None:
        marked = [self._digits.marked(call, self._tools[call.name].parameters) for call in calls]
        fitting = [call for call in marked if await self._fits(call, self._tools[call.name].parameters)]
        if not fitting:
            return
        for call in () if answer else fitting:
            self._finish(call, self._tools[call.name].message or "Done.")
        async with self._room:
            results = await self._results(target, fitting)
        for call in fitting if answer else ():
            self._finish(call, self._digits.masked(results[call.id].text), failed=results[call.id].failed)

    async def _fits(self, call: ToolCall, schema: Mapping[str, Any]) -> bool:
        refusal = await self._arguments.refusal(call, schema) or self._digits.missing(schema)
        if refusal:
            self._finish(call, refusal, failed=True)
        return not refusal

    async def _results(self, target: Target, calls: Sequence[ToolCall]) -> dict[str, ToolAnswer]:
        """By the calls' ids. Raises nothing."""
        names, ids = ",".join(call.name for call in calls), [call.id for call in calls]
        sent = [self._digits.filled(call, self._tools[call.name].parameters) for call in calls]
        body = tool_calls(replace(self._facts(), dialect=target.dialect), sent, utc_now())
        try:
            with self._tracer.step("tool.call", tool=names):
                answered = await self._asker.tool_calls(target.url, target.secret, body, self._timeout_s)
            return parse_tool_answer(answered, ids)
        except WebhookError as exc:
            log.warning("tool.failed", tool=names, kind=exc.kind, error=str(exc))
            return dict.fromkeys(ids, ToolAnswer(FAILED.format(why=exc.kind), failed=True))

    # --- MCP servers

    async def _use_borrowed(self, borrowed: Borrowed, call: ToolCall) -> None:
        if not await self._fits(call, borrowed.spec.parameters):
            return
        try:
            async with self._room:
                with self._tracer.step("tool.call", tool=call.name):
                    told = await self._mcp.call(borrowed.server, borrowed.tool, tool_arguments(call))
            self._finish(call, told.text, failed=told.failed)
        except McpFailed as exc:
            log.warning("tool.failed", tool=call.name, kind="mcp", server=borrowed.server.name, error=str(exc))
            self._finish(call, FAILED.format(why=exc), failed=True)
