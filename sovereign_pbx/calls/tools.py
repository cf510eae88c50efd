"""A call's hands: the assistant's webhook tools (contract §11)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from sovereign_pbx.assistants.account import Target
from sovereign_pbx.assistants.tools import Tool
from sovereign_pbx.calls.speaking import Spawn
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.core.errors import BadInput, WebhookError
from sovereign_pbx.core.events import Event, ToolFinished
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.speech.llm import ToolSpec
from sovereign_pbx.webhooks.ask import Asker, parse_tool_answer
from sovereign_pbx.webhooks.envelope import CallFacts, tool_arguments, tool_calls, utc_now

log = structlog.get_logger(__name__)

_AT_ONCE = 8  # a model that asks for more at once has lost its way; the rest wait their turn


def specs(tools: Sequence[Tool]) -> list[ToolSpec]:
    """The tools as the model sees them; MCP ones are not in this release."""
    return [ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in tools if tool.kind != "mcp"]


class Tools:
    """Performs `UseTool` for webhook tools. Every call ends with one `ToolFinished`, whatever happens.

    Calls that the model makes together, and that go to the same place, go there in one request (contract §11.2).
    """

    def __init__(
        self,
        *,
        tools: Sequence[Tool],
        target: Callable[[Tool], Target | None],
        facts: Callable[[], CallFacts],
        asker: Asker,
        timeout_s: float,
        feed: Callable[[Event], None],
        spawn: Spawn,
        tracer: Tracer,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._target = target
        self._facts = facts
        self._asker = asker
        self._timeout_s = timeout_s
        self._feed = feed
        self._spawn = spawn
        self._tracer = tracer
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._gathered: dict[tuple[Target, bool], list[ToolCall]] = {}

    def use(self, call: ToolCall) -> None:
        """Run the tool; an async one is answered at once and delivered behind."""
        tool = self._tools.get(call.name)
        if tool is None or tool.kind != "webhook":
            self._finish(call, f"There is no tool named {call.name}.", failed=True)
            return
        target = self._target(tool)
        if target is None:
            self._finish(call, "This tool has no webhook to run on.", failed=True)
            return
        try:
            tool_arguments(call)
        except BadInput as exc:
            self._finish(call, f"{exc}. Call the tool again with valid arguments.", failed=True)
            return
        self._gather(target, call, answer=not tool.is_async)
        if tool.is_async:
            self._finish(call, tool.message or "Done.")

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

    async def _ask(self, target: Target, calls: Sequence[ToolCall], *, answer: bool) -> None:
        async with self._room:
            results, failed = await self._results(target, calls)
        for call in calls if answer else ():
            self._finish(call, results[call.id], failed=failed)

    async def _results(self, target: Target, calls: Sequence[ToolCall]) -> tuple[dict[str, str], bool]:
        """By the calls' ids, and whether they are failures. Raises nothing."""
        names, ids = ",".join(call.name for call in calls), [call.id for call in calls]
        body = tool_calls(replace(self._facts(), dialect=target.dialect), calls, utc_now())
        try:
            with self._tracer.step("tool.call", tool=names):
                answered = await self._asker.tool_calls(target.url, target.secret, body, self._timeout_s)
            return parse_tool_answer(answered, ids), False
        except WebhookError as exc:
            log.warning("tool.failed", tool=names, kind=exc.kind, error=str(exc))
            return dict.fromkeys(ids, f"The tool failed ({exc.kind}). Tell the caller, and go on without it."), True
