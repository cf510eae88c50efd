"""What a workflow changes in a running call: its node's tools at once; model, voice and recogniser when they are open.

Where to go is the conversation's decision (`core/walk.py`); this performs `Enter`. What can't be opened is noted, and
the call goes on with what it had.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import voice_language
from sovereign_pbx.assistants.workflow import Workflow
from sovereign_pbx.assistants.workflow_plan import assistant_at
from sovereign_pbx.calls.ringing import Prepared, all_or_nothing, open_stt, prepare, render_rest, said_to_everybody
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.shell import Shell
from sovereign_pbx.calls.speaking import Spawn
from sovereign_pbx.calls.toolbox import Borrowed, borrow, specs
from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.speech.phrases import Phrase
from sovereign_pbx.speech.tts import VoiceSession

log = structlog.get_logger(__name__)

OPEN_S: Final = 3.0
"""What a provider may take to be open in the middle of a call: so long the caller may wait for the next sentence."""

Observe = Callable[[str, Mapping[str, Any]], None]
"""Puts an event of the call on record."""


class Conducted:
    """The workflow of one call, as it was when the call began, and the assistant as it is at the present node."""

    def __init__(self, workflow: Workflow, assistant: Assistant, borrowed: Mapping[str, tuple[Borrowed, ...]]) -> None:
        self._workflow = workflow
        self._borrowed = borrowed
        self.assistant = assistant

    def enter(self, node: str) -> tuple[Assistant, tuple[Borrowed, ...]]:
        """The assistant as it is from this node on, and the tools that it has there of MCP servers."""
        self.assistant = assistant_at(self.assistant, self._workflow, node)
        return self.assistant, self._borrowed.get(node, ())

    def keep(self, block: str, failed: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """What was `failed` to be opened is not what the call goes on with."""
        if getattr(self.assistant, block) == failed:
            changes: Any = {block: old}
            self.assistant = replace(self.assistant, **changes)


async def prepare_workflow(
    workflow: Workflow, assistant: Assistant, plan: Plan, services: Services, *, rate: int
) -> tuple[Prepared, Conducted]:
    """While it rings: everything for the entry, and the tools that any node borrows. Raises as `prepare` does."""
    entry = assistant_at(assistant, workflow, workflow.definition["entry_node"])
    nodes = [node["id"] for node in workflow.definition["nodes"] if _borrows(node)]
    there = [assistant_at(assistant, workflow, node) for node in nodes]
    # All at once: servers that hang keep the caller ringing for as long as one of them, however many nodes they are of.
    prepared, *lists = await all_or_nothing(
        prepare(entry, plan, services, rate=rate),
        *(borrow(each.tools, services.directory, services.mcp) for each in there),
    )
    return prepared, Conducted(workflow, entry, dict(zip(nodes, lists, strict=True)))


def _borrows(node: Mapping[str, Any]) -> bool:
    return any(tool.get("type") == "mcp" for tool in node.get("tools", ()))


class Scenery:
    """Changes what the talk works with from node to node."""

    def __init__(
        self,
        run: Conducted,
        *,
        prepared: Prepared,
        shell: Shell,
        services: Services,
        spawn: Spawn,
        observe: Observe,
        retool: Callable[[], None],
    ) -> None:
        self._run = run
        self._prepared = prepared
        self._shell = shell
        self._services = services
        self._spawn = spawn
        self._observe = observe
        self._retool = retool
        self._in_order = asyncio.Lock()  # of the nodes, however long each takes to open

    def enter(self, node: str) -> None:
        """From here on what is asked and spoken is this node's."""
        before = self._run.assistant
        now, borrowed = self._run.enter(node)
        self._prepared.tools, self._prepared.borrowed = specs(now.tools, borrowed), borrowed
        self._retool()
        if now.llm_config != before.llm_config:
            self._change_model(node, now, before)
        if now.tts_config != before.tts_config:
            self._change_voice(node, now, before)
        if now.stt_config != before.stt_config:
            self._spawn(self._change_recogniser(node, now, before), f"recogniser-{node}")

    def _change_model(self, node: str, now: Assistant, before: Assistant) -> None:
        thinking = self._shell.thinking
        try:
            model = self._services.providers.llm(now.llm_config)
        except ConfigError as exc:
            self._kept(node, "llm_config", now, before, exc)
            return
        self._prepared.model = model
        if thinking is not None:
            thinking.model = model

    def _change_voice(self, node: str, now: Assistant, before: Assistant) -> None:
        """What is queued already is spoken by the old voice; what comes after it waits for the new one."""
        speaking = self._shell.speaking
        if speaking is None:
            return
        coming: asyncio.Future[VoiceSession] = asyncio.get_running_loop().create_future()
        old, users = speaking.switch(coming)
        phrases = dict(self._prepared.phrases)
        self._prepared.phrases.clear()  # they are in the old voice
        self._spawn(self._open_voice(node, now, before, old, users, coming, phrases), f"voice-{node}")

    async def _open_voice(
        self,
        node: str,
        now: Assistant,
        before: Assistant,
        old: "asyncio.Future[VoiceSession]",
        users: Sequence["asyncio.Task[None]"],
        coming: "asyncio.Future[VoiceSession]",
        phrases: Mapping[str, Phrase],
    ) -> None:
        async with self._in_order:
            session = await old
            try:
                async with asyncio.timeout(OPEN_S):
                    maker = self._services.providers.voice(now.tts_config, now.speech_config)
                    fresh = await maker.open(rate=self._prepared.rate, language=voice_language(now))
            except (ProviderError, ConfigError, TimeoutError) as exc:
                self._prepared.phrases.update(phrases)
                self._kept(node, "tts_config", now, before, exc)
                coming.set_result(session)
                return
            self._charge()
            prepared = self._prepared
            prepared.maker, prepared.voice, prepared.language = maker, fresh, voice_language(now)
            prepared.everybodys = said_to_everybody(now, self._services)
            coming.set_result(fresh)
        try:
            if users:
                await asyncio.wait(users)
        finally:
            await session.close()
        await render_rest(prepared, self._shell.conversation.plan, self._services)

    def _charge(self) -> None:
        """What was rendered so far was rendered by the old voice."""
        if self._shell.speaking is not None:
            self._shell.speaking.characters[self._prepared.maker.name] += self._prepared.rendered
            self._prepared.rendered = 0

    async def _change_recogniser(self, node: str, now: Assistant, before: Assistant) -> None:
        hearing = self._shell.hearing
        if hearing is None:
            return
        async with self._in_order:
            try:
                async with asyncio.timeout(OPEN_S):
                    stream = await open_stt(now, self._services, rate=self._prepared.rate)
            except (ProviderError, ConfigError, TimeoutError) as exc:
                self._kept(node, "stt_config", now, before, exc)
                return
            old = hearing.switch(stream)
            self._prepared.stt = stream
            await old.close()

    def _kept(self, node: str, block: str, now: Assistant, before: Assistant, exc: Exception) -> None:
        error = str(exc) or f"not open within {OPEN_S:g} s"
        log.warning("workflow.kept", node=node, block=block, error=error)
        self._observe("workflow.kept", {"node": node, "block": block, "error": error})
        self._run.keep(block, getattr(now, block), getattr(before, block))
