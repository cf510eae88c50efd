"""From a workflow to what conducts a call: the graph for the conversation, and the assistant at each node.

The assistant is the ground: its voice, model, recogniser, webhook, silence and speech settings hold everywhere until a
node changes them, and then from that node on. Its own messages and tools belong to calls without a workflow: at a node
the model is told the global prompt and the node's instructions, and has the node's tools and ways, and whatever the
assistant's `digits` make.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sovereign_pbx.assistants.digits import digit_tools
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import language_of, phrases_of, tool_settings
from sovereign_pbx.assistants.recording import recording_tools
from sovereign_pbx.assistants.tools import Tool, terms_of, with_end_call
from sovereign_pbx.assistants.workflow import Workflow
from sovereign_pbx.assistants.workflow_rules import way_to
from sovereign_pbx.core.plan import Plan, Standing
from sovereign_pbx.core.values import Message
from sovereign_pbx.core.workflow import EndNode, Graph, Node, TalkNode, ToolNode, TransferNode, Way

Table = Mapping[str, Any]

_NOT_FROM_HERE = ("messages", "tools")
_CHANGES = {"llm_config", "voice", "tts_config", "stt_config"}


def conducted(plan: Plan, workflow: Workflow, assistant: Assistant) -> Plan:
    """`plan` of the assistant as it is when the workflow conducts the call, standing at its entry.

    The greeting is the entry's first line, else the assistant's first message (which a webhook may have chosen for this
    caller); without either the model begins.
    """
    graph = graph_of(workflow, assistant)
    entry = graph.nodes[graph.entry]
    assert isinstance(entry, TalkNode)  # the validator's promise
    greeting = entry.first_line if entry.first_line.strip() else plan.first_message
    return dataclasses.replace(entry.plan(plan), first_message=greeting, workflow=graph)


def usual_ground(workflow: Workflow) -> Assistant:
    """A workflow of a number without an assistant brings its own words; who hears, thinks and speaks is the usual."""
    return Assistant.parse({"name": workflow.name}, where=f"the ground of workflow {workflow.name!r}")


def conducting(directory: Directory) -> Iterator[Assistant]:
    """The assistants that the workflows of all numbers bring about: what runs on this machine is loaded for them."""
    for number in directory.numbers:
        workflow = directory.workflow(number.workflow) if number.workflow else None
        if workflow is None or not workflow.is_active:
            continue
        ground = directory.assistant(number.assistant) or usual_ground(workflow)
        yield ground
        changing = (node for node in workflow.definition["nodes"] if _CHANGES & node.keys())
        yield from (assistant_at(ground, workflow, node["id"]) for node in changing)


def graph_of(workflow: Workflow, assistant: Assistant) -> Graph:
    """The graph as the conversation walks it."""
    return Graph(workflow.definition["entry_node"], _Nodes(workflow, assistant))


class _Nodes(Mapping[str, Node]):
    """Made as they are walked to: a call sees few of them, and all at once would take 60 ms of the media loop."""

    def __init__(self, workflow: Workflow, assistant: Assistant) -> None:
        self._workflow = workflow
        self._assistant = assistant
        self._given = {node["id"]: node for node in workflow.definition["nodes"]}

    def __getitem__(self, node_id: str) -> Node:
        return _node(self._given[node_id], self._workflow, self._assistant)

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


def assistant_at(assistant: Assistant, workflow: Workflow, node_id: str) -> Assistant:
    """`assistant`, as it was at the node before, when it has come to this one."""
    node = next(node for node in workflow.definition["nodes"] if node["id"] == node_id)
    if node["type"] == "tool":
        tool = Tool(name=node["tool_name"], kind="webhook", url=node.get("url", ""))
        return dataclasses.replace(assistant, tools=(tool,))
    return dataclasses.replace(
        assistant,
        llm_config=_laid_over(assistant.llm_config, node.get("llm_config", {})),
        tts_config=_laid_over(assistant.tts_config, _voice(node)),
        stt_config=_laid_over(assistant.stt_config, node.get("stt_config", {})),
        tools=(*_tools(node, workflow, assistant), *_ways_as_tools(node, workflow.definition)),
    )


def _node(node: Table, workflow: Workflow, assistant: Assistant) -> Node:
    definition, first_line = workflow.definition, node.get("first_line", "")
    if node["type"] == "transfer":
        return TransferNode(destination=node["destination"], first_line=first_line, terms=terms_of(node))
    if node["type"] == "end":
        return EndNode(first_line=first_line)
    if node["type"] == "tool":
        (edge,) = (edge for edge in definition.get("edges", ()) if edge["from"] == node["id"])
        arguments = json.dumps(dict(node.get("arguments", {})), default=str)
        way = Way(edge["to"], edge.get("message", ""))
        return ToolNode(tool=node["tool_name"], arguments=arguments, way=way, first_line=first_line)
    heard = node.get("stt_config", {}).get("language", "")
    there = dataclasses.replace(assistant, stt_config=_laid_over(assistant.stt_config, node.get("stt_config", {})))
    return TalkNode(
        first_line=first_line,
        standing=_standing(node, workflow, assistant),
        ways={way_to(target): Way(target, message) for target, _, message in _ways(node, definition)},
        language=language_of(there) if heard else "",
        phrases=phrases_of(there) if heard else None,
    )


def _standing(node: Table, workflow: Workflow, assistant: Assistant) -> Standing:
    told = (workflow.definition.get("global_prompt", "").strip(), node["instructions"].strip())
    message = Message("system", "\n\n".join(filter(None, told)))  # one: some servers take no second
    return Standing(messages=(message,), **tool_settings(_tools(node, workflow, assistant)))


def _tools(node: Table, workflow: Workflow, assistant: Assistant) -> tuple[Tool, ...]:
    tools = workflow.tools.get(node["id"], ())
    named = {tool.name for tool in tools}
    own = digit_tools(assistant.digits) + recording_tools(assistant.recording)
    tools += tuple(tool for tool in own if tool.name not in named)
    return with_end_call(tools) if assistant.autonomous_silence_handling else tools


def _ways(node: Table, definition: Table) -> Iterator[tuple[str, str, str]]:
    """Where the model can go from here: target, description, message. An edge goes before a global node's own word."""
    known = {node["id"]}
    for edge in definition.get("edges", ()):
        if edge["from"] == node["id"]:
            known.add(edge["to"])
            yield edge["to"], edge.get("description", ""), edge.get("message", "")
    for other in definition["nodes"]:
        if other.get("global") and other["id"] not in known:
            yield other["id"], other.get("global_description", ""), ""


def _ways_as_tools(node: Table, definition: Table) -> tuple[Tool, ...]:
    ways = _ways(node, definition)
    return tuple(Tool(name=way_to(target), kind="way", description=description) for target, description, _ in ways)


def _voice(node: Table) -> Table:
    return {"voice_id": node["voice"]} if "voice" in node else node.get("tts_config", {})


def _laid_over(ground: Table, block: Table) -> Table:
    """A block that names its provider replaces the one before; one that does not changes single settings of it."""
    given = {name: value for name, value in block.items() if name not in _NOT_FROM_HERE}
    if not given:
        return ground
    return given if "provider" in given else {**ground, **given}
