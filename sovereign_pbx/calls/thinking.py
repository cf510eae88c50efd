"""A call's brain: one streamed reply at a time, from the model to the conversation."""

import asyncio
from collections.abc import Callable, Sequence

from sovereign_pbx.calls.speaking import Spawn
from sovereign_pbx.calls.speculated import Speculated
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.usage import Tokens
from sovereign_pbx.core.commands import Think
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.events import Event, ReplyDone, ReplyFailed, ReplyText, ReplyTool
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.hedging import adopted
from sovereign_pbx.speech.llm import Abandoned, ChatModel, Finished, TextDelta, ToolRequest, ToolSpec


class Thinking:
    """Performs `Think`, `Adopt` and `DropReply`."""

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
        self._forgotten: set[int] = set()  # dropped on speculation; counted already
        self._certain: dict[int, asyncio.Event] = {}  # of replies on speculation: set when one is adopted
        self.tokens = Tokens()
        self.speculated = Speculated(tracer)

    def think(self, command: Think) -> None:
        """Start the reply; its text arrives as `ReplyText`."""
        if command.speculative:
            self.speculated.begin(command, self.tools, self.model.name)
            self._certain[command.reply] = asyncio.Event()
        task = self._spawn(self._reply(command, self.model, self.tools), f"reply-{command.reply}")
        self._tasks[command.reply] = task
        task.add_done_callback(lambda _: self._tasks.pop(command.reply, None))

    def adopt(self, reply: int) -> None:
        """The speculative reply is the answer."""
        if (certain := self._certain.get(reply)) is not None:
            certain.set()
        finished = self.speculated.adopt(reply)
        if finished is not None:
            self.tokens.add(finished.model or self.model.name, finished.usage)

    def drop(self, reply: int) -> None:
        """Stop the reply; the vendor's stream is closed with it."""
        guessed = self.speculated.drop(reply)
        task = self._tasks.get(reply)
        if task is not None:
            if guessed:
                self._forgotten.add(reply)
            task.cancel()

    async def _reply(self, command: Think, model: ChatModel, tools: Sequence[ToolSpec]) -> None:
        adopted.set(self._certain.get(command.reply))
        try:
            with self._tracer.step("llm.reply", messages=len(command.messages)):
                async with closing(model.reply(command.messages, tools)) as events:
                    async for event in events:
                        if isinstance(event, Abandoned):
                            self.tokens.add(event.model, {})  # no vendor tells what such a request took
                        else:
                            self._feed(self._heard(command.reply, event, model))
        except ProviderError as exc:
            self._feed(ReplyFailed(command.reply, exc))
        except asyncio.CancelledError:  # the caller interrupted: no vendor tells what such a reply took
            if command.reply not in self._forgotten and not self.speculated.drop(command.reply):
                self.tokens.add(model.name, {})
            raise
        finally:
            self._forgotten.discard(command.reply)
            self._certain.pop(command.reply, None)

    def _heard(self, reply: int, event: TextDelta | ToolRequest | Finished, model: ChatModel) -> Event:
        if isinstance(event, TextDelta):
            self.speculated.text(reply, len(event.text))
            return ReplyText(reply, event.text)
        if isinstance(event, Finished):
            if not self.speculated.finished(reply, event):
                self.tokens.add(event.model or model.name, event.usage)
            return ReplyDone(reply, event.usage)
        return ReplyTool(reply, event.call)
