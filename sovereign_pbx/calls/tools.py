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
from sovereign_pbx.webhooks.envelope import CallFacts, tool_calls, utc_now

log = structlog.get_logger(__name__)

_AT_ONCE = 8  # a model that asks for more at once has lost its way; the rest wait their turn


def specs(tools: Sequence[Tool]) -> list[ToolSpec]:
    """The tools as the model sees them; MCP ones are not in this release."""
    return [ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in tools if tool.kind != "mcp"]


class Tools:
    """Performs `UseTool` for webhook tools. Every call ends with one `ToolFinished`, whatever happens."""

    def __init__(
        self,
        *,
        tools: Sequence[Tool],
        webhook: Target | None,
        facts: Callable[[], CallFacts],
        asker: Asker,
        timeout_s: float,
        feed: Callable[[Event], None],
        spawn: Spawn,
        tracer: Tracer,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._webhook = webhook or Target("")
        self._facts = facts
        self._asker = asker
        self._timeout_s = timeout_s
        self._feed = feed
        self._spawn = spawn
        self._tracer = tracer
        self._room = asyncio.Semaphore(_AT_ONCE)

    def use(self, call: ToolCall) -> None:
        """Run the tool; an async one is answered at once and delivered behind."""
        tool = self._tools.get(call.name)
        if tool is None or tool.kind != "webhook":
            self._finish(call, f"There is no tool named {call.name}.", failed=True)
            return
        target = self._target(tool)
        if not target.url:
            self._finish(call, "This tool has no webhook to run on.", failed=True)
            return
        try:
            body = tool_calls(replace(self._facts(), dialect=target.dialect), [call], utc_now())
        except BadInput as exc:
            self._finish(call, f"{exc}. Call the tool again with valid arguments.", failed=True)
            return
        self._spawn(self._ask(target, call, body, answer=not tool.is_async), f"tool-{call.name}")
        if tool.is_async:
            self._finish(call, tool.message or "Done.")

    def _target(self, tool: Tool) -> Target:
        """The tool's own address, else the assistant's or the account's (contract §8.1)."""
        if not tool.url:
            return self._webhook
        return Target(tool.url, tool.secret or self._webhook.secret, self._webhook.dialect)

    def _finish(self, call: ToolCall, result: str, *, failed: bool = False) -> None:
        self._feed(ToolFinished(call.id, result, failed))

    async def _ask(self, target: Target, call: ToolCall, body: bytes, *, answer: bool) -> None:
        result, failed = "The tool did not answer.", True
        async with self._room:
            try:
                with self._tracer.step("tool.call", tool=call.name):
                    answered = await self._asker.tool_calls(target.url, target.secret, body, self._timeout_s)
                result, failed = parse_tool_answer(answered, [call.id]).get(call.id, result), False
            except WebhookError as exc:
                log.warning("tool.failed", tool=call.name, kind=exc.kind, error=str(exc))
                result = f"The tool failed ({exc.kind}). Tell the caller, and go on without it."
        if answer:
            self._finish(call, result, failed=failed)
