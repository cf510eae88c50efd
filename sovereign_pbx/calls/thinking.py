"""A call's brain: one streamed reply at a time, from the model to the conversation."""

import asyncio
from collections.abc import Callable, Sequence

from sovereign_pbx.calls.speaking import Spawn
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.usage import Tokens
from sovereign_pbx.core.commands import Think
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event, ReplyDone, ReplyFailed, ReplyText, ReplyTool
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.llm import ChatEvent, ChatModel, Finished, TextDelta, ToolSpec


class Thinking:
    """Performs `Think` and `DropReply`."""

    def __init__(
        self,
        *,
        model: ChatModel,
        tools: Sequence[ToolSpec],
        feed: Callable[[Event], None],
        spawn: Spawn,
        tracer: Tracer,
    ) -> None:
        self.model = model
        self.tools = tools  # both for the next reply; a workflow changes them from node to node
        self._feed = feed
        self._spawn = spawn
        self._tracer = tracer
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.tokens = Tokens()

    def think(self, command: Think) -> None:
        """Start the reply; its text arrives as `ReplyText`."""
        task = self._spawn(self._reply(command, self.model, self.tools), f"reply-{command.reply}")
        self._tasks[command.reply] = task
        task.add_done_callback(lambda _: self._tasks.pop(command.reply, None))

    def drop(self, reply: int) -> None:
        """Stop the reply; the vendor's stream is closed with it."""
        task = self._tasks.get(reply)
        if task is not None:
            task.cancel()

    async def _reply(self, command: Think, model: ChatModel, tools: Sequence[ToolSpec]) -> None:
        try:
            with self._tracer.step("llm.reply", messages=len(command.messages)):
                async with closing(model.reply(command.messages, tools)) as events:
                    async for event in events:
                        self._feed(self._heard(command.reply, event, model))
        except ProviderError as exc:
            self._feed(ReplyFailed(command.reply, exc))
        except asyncio.CancelledError:  # the caller interrupted: no vendor tells what such a reply took
            self.tokens.add(model.name, {})
            raise

    def _heard(self, reply: int, event: ChatEvent, model: ChatModel) -> Event:
        if isinstance(event, TextDelta):
            return ReplyText(reply, event.text)
        if isinstance(event, Finished):
            self.tokens.add(event.model or model.name, event.usage)
            return ReplyDone(reply, event.usage)
        return ReplyTool(reply, event.call)
