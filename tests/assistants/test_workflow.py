"""Workflows as they are written: every fault at once and at its place, and never an exception."""

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.assistants.account import Account
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import MOST_ENTRIES, Report
from sovereign_pbx.assistants.resolve import Resolution, resolve
from sovereign_pbx.assistants.workflow import (
    WORKFLOW,
    Workflow,
    error_code,
    read_workflow,
    workflow_item,
    workflow_object,
)
from sovereign_pbx.assistants.workflow_plan import assistant_at, conducted, conducting, graph_of
from sovereign_pbx.assistants.workflow_rules import REALTIME_NOT_ALLOWED
from sovereign_pbx.assistants.workflow_shape import MOST_NODES
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.values import TransferTerms
from sovereign_pbx.core.workflow import EndNode, TalkNode, ToolNode, TransferNode, Way


def definition(**changes: Any) -> dict[str, Any]:
    """A graph with a node of each kind, and a global one."""
    usual: dict[str, Any] = {
        "version": 1,
        "entry_node": "intake",
        "global_prompt": "You answer the telephone.",
        "nodes": [
            {"id": "intake", "type": "conversation", "instructions": "Ask what it is.", "first_line": "Good day."},
            {"id": "orders", "type": "conversation", "instructions": "Talk about the order.", "tools": []},
            {"id": "look_up", "type": "tool", "tool_name": "find_order", "arguments": {"by": "number"}},
            {"id": "person", "type": "transfer", "destination": "+31201234567", "first_line": "One moment."},
            {"id": "goodbye", "type": "end", "first_line": "Goodbye."},
            {
                "id": "complaint",
                "type": "conversation",
                "instructions": "Be kind.",
                "global": True,
                "global_description": "The caller is angry.",
            },
        ],
        "edges": [
            {"from": "intake", "to": "look_up", "description": "It is about an order.", "message": "I will look."},
            {"from": "look_up", "to": "orders"},
            {"from": "orders", "to": "person", "description": "He wants a person."},
            {"from": "orders", "to": "goodbye", "description": "He is done."},
        ],
    }
    return {**usual, **changes}


def read(graph: Any, **fields: Any) -> tuple[Workflow | None, list[str]]:
    report = Report(entries=MOST_ENTRIES)
    found = read_workflow({"name": "Intake", "definition": graph, **fields}, (), report)
    return found, [str(problem) for problem in report.errors]


def workflow(**changes: Any) -> Workflow:
    found, faults = read(definition(**changes))
    assert found is not None, faults
    return found


Change = Callable[[dict[str, Any]], object]


def node(graph: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in graph["nodes"] if each["id"] == name)
    return found


def edge(graph: dict[str, Any], origin: str, target: str, **fields: Any) -> None:
    graph["edges"].append({"from": origin, "to": target, "description": "Why not.", **fields})


def test_a_graph_of_every_kind_of_node_is_a_workflow() -> None:
    found, faults = read(definition())
    assert (found is not None, faults) == (True, [])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda g: g.update(version=2), "definition.version: must be a whole number from 1 to 1"),
        (lambda g: g.pop("version"), 'definition: "version" is missing'),
        (lambda g: g.pop("nodes"), 'definition: "nodes" is missing'),
        (lambda g: g.update(nodes=[]), "definition.nodes: must be a list"),
        (lambda g: g.update(entry_node="intak"), 'definition.entry_node: there is no node "intak"'),
        (lambda g: g.update(entry_node="look_up"), "definition.entry_node: is a node of the type tool"),
        (lambda g: node(g, "orders").update(id="Orders"), "definition.nodes[1].id: must be the id of a node"),
        (lambda g: node(g, "orders").update(id="o" * 42), "definition.nodes[1].id: must be the id of a node"),
        (lambda g: node(g, "orders").update(id="intake"), "definition.nodes[1].id: a second node is named"),
        (lambda g: node(g, "orders").update(type="chat"), "definition.nodes[1].type: must be one of"),
        (lambda g: node(g, "orders").pop("instructions"), 'definition.nodes[1]: a conversation node needs "instruc'),
        (lambda g: node(g, "orders").update(instructions=" "), 'definition.nodes[1]: a conversation node needs "ins'),
        (lambda g: node(g, "look_up").pop("tool_name"), 'definition.nodes[2]: a tool node needs "tool_name"'),
        (lambda g: node(g, "look_up").update(tool_name="find order"), "definition.nodes[2].tool_name: must be a name"),
        (lambda g: node(g, "look_up").update(url="ftp://x"), "definition.nodes[2].url: must be an address"),
        (lambda g: node(g, "look_up").update(arguments=[1]), "definition.nodes[2].arguments: must be a table"),
        (lambda g: node(g, "person").pop("destination"), 'definition.nodes[3]: a transfer node needs "destination"'),
        (lambda g: node(g, "person").update(destination="0201234567"), "definition.nodes[3].destination: must be an E"),
        (lambda g: node(g, "goodbye").update(destination="+3120"), "definition.nodes[4].destination: has no place in"),
        (lambda g: node(g, "look_up").update(instructions="Go."), "definition.nodes[2].instructions: has no place in"),
        (lambda g: node(g, "complaint").pop("global_description"), 'definition.nodes[5]: a global node needs "global_'),
        (
            lambda g: node(g, "orders").update(voice="a", tts_config={"provider": "pico"}),
            "definition.nodes[1].voice: and tts_config exclude each other",
        ),
        (
            lambda g: node(g, "orders").update(llm_config={"messages": [{"role": "system", "content": "x"}]}),
            "definition.nodes[1].llm_config.messages: are not taken from here",
        ),
        (
            lambda g: node(g, "orders").update(tools=[{"name": "x"}]),
            'definition.nodes[1].tools[0]: the tool has no "de',
        ),
        (
            lambda g: node(g, "intake").update(tools=[{"name": "go_to_look_up", "description": "x"}]),
            'definition.nodes[0].tools[0]: "go_to_look_up" is the name of a way',
        ),
        (lambda g: node(g, "intake").update(first_line="x" * 1001), "definition.nodes[0].first_line: must be text of"),
        (lambda g: edge(g, "intake", "intake"), "definition.edges[4]: leads back to the node where it begins"),
        (lambda g: edge(g, "intake", "look_up"), 'definition.edges[4]: is a second edge from "intake" to "look_up"'),
        (lambda g: edge(g, "intake", "nobody"), 'definition.edges[4].to: there is no node "nobody"'),
        (lambda g: edge(g, "nobody", "intake"), 'definition.edges[4].from: there is no node "nobody"'),
        (
            lambda g: edge(g, "goodbye", "intake"),
            "definition.edges[4].from: nothing comes after a node of the type end",
        ),
        (
            lambda g: edge(g, "person", "intake"),
            "definition.edges[4].from: nothing comes after a node of the type tran",
        ),
        (lambda g: edge(g, "intake", "orders", description=""), 'definition.edges[4]: "description" is missing'),
        (lambda g: edge(g, "look_up", "intake"), "definition.nodes[2]: a tool node has one edge that leaves it, not 2"),
        (lambda g: g["edges"].pop(1), "definition.nodes[2]: a tool node has one edge that leaves it, not none"),
        (lambda g: g["edges"].pop(3), 'definition.nodes[4]: no way leads to "goodbye"'),
        (lambda g: g["nodes"].append(7), "definition.nodes[6]: must be a table, not 7"),
    ],
)
def test_a_fault_is_told_with_its_place(change: Change, fault: str) -> None:
    graph = definition()
    change(graph)
    found, faults = read(graph)
    assert found is None
    assert any(each.startswith(fault) for each in faults), faults


def test_all_faults_are_told_in_one_go() -> None:
    graph = definition(entry_node="nobody")
    node(graph, "orders").pop("instructions")
    edge(graph, "goodbye", "goodbye")
    _, faults = read(graph)
    assert len(faults) >= 4


@pytest.mark.parametrize("provider", ["google_realtime", "xai_realtime", "openai_live"])
@pytest.mark.parametrize("fallback", [False, True])
def test_a_realtime_model_of_a_node_has_a_code_of_its_own(provider: str, fallback: bool) -> None:
    graph, block = definition(), {"provider": provider}
    node(graph, "orders")["llm_config"] = {"provider": "openai", "fallbacks": [block]} if fallback else block
    report = Report()
    assert read_workflow({"name": "x", "definition": graph}, (), report) is None
    assert error_code(report.errors) == REALTIME_NOT_ALLOWED
    assert error_code(()) == ""


def test_both_spellings_are_read_alike() -> None:
    def older(value: Any) -> Any:
        if isinstance(value, list):
            return [older(each) for each in value]
        names = {"entry_node": "entryNode", "global_prompt": "globalPrompt", "first_line": "firstLine"}
        names |= {"tool_name": "toolName", "global_description": "globalDescription", "is_active": "isActive"}
        return (
            {names.get(name, name): older(each) for name, each in value.items()} if isinstance(value, dict) else value
        )

    assert read(older(definition())) == read(definition())


def test_too_many_nodes_are_refused() -> None:
    nodes = [{"id": f"n{at}", "type": "end"} for at in range(MOST_NODES + 1)]
    assert "a list of at most 100" in read(definition(nodes=nodes))[1][0]


def test_too_many_ways_for_a_model_are_refused() -> None:
    graph = definition()
    for at in range(80):
        graph["nodes"].append({"id": f"end{at}", "type": "end"})
        edge(graph, "intake", f"end{at}")
    tools = [{"name": f"tool{at}", "description": "x"} for at in range(60)]
    node(graph, "intake")["tools"] = tools
    assert "ways and tools; a model takes 128 at most" in read(graph)[1][0]


def test_a_global_node_needs_no_edge_and_can_be_left() -> None:
    graph = definition()
    graph["edges"].pop(3)
    edge(graph, "complaint", "goodbye")
    assert read(graph)[1] == []


def test_the_shape_is_a_json_schema_that_describes_every_key() -> None:
    schema = json.loads(json.dumps(WORKFLOW.json_schema()))
    graph = schema["properties"]["definition"]
    assert graph["required"] == ["version", "entry_node", "nodes"]
    for part in (graph, graph["properties"]["nodes"]["items"], graph["properties"]["edges"]["items"]):
        assert all("description" in each for each in part["properties"].values())


def test_the_item_of_the_list_counts() -> None:
    found, _ = read(definition(), id="w1", is_active=False, created_at="2026-11-20T07:32:00.000Z")
    assert found is not None
    assert workflow_item(found) == {
        "id": "w1",
        "name": "Intake",
        "is_active": False,
        "entry_node": "intake",
        "node_count": 6,
        "edge_count": 4,
        "created_at": "2026-11-20T07:32:00.000Z",
        "updated_at": None,
    }


def test_secrets_of_tools_are_not_shown() -> None:
    graph = definition()
    server = {"url": "https://example.com", "secret": "hidden-secret"}
    node(graph, "orders")["tools"] = [{"name": "x", "description": "y", "server": server}]
    found, _ = read(graph)
    assert found is not None
    assert "hidden-secret" not in json.dumps(workflow_object(found)) + repr(found)


KEYS = ["id", "type", "instructions", "first_line", "global", "tools", "llm_config", "from", "to", "nodes", "edges"]
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 200),
    st.floats(allow_nan=True),
    st.sampled_from(["", "intake", "orders", "conversation", "tool", "end", "\ud800", "x" * 2000, "+31201234567"]),
)
JUNK = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), JUNK), min_size=1, max_size=4))
def test_whatever_is_changed_it_is_a_workflow_or_has_errors(changes: list[tuple[int, Any]]) -> None:
    graph = definition()
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                walk(value[key])

    walk(graph)
    for at, junk in changes:
        holder, key = places[at % len(places)]
        holder[key] = copy.deepcopy(junk)
    found, faults = read(graph)
    assert (found is None) == bool(faults)
    if found is not None:
        assert len(dict(graph_of(found, Assistant.parse({}, where="it")).nodes)) == len(found.definition["nodes"])


@settings(max_examples=200, deadline=None)
@given(JUNK)
def test_junk_is_never_an_exception(junk: Any) -> None:
    report = Report()
    assert read_workflow(junk, (), report) is None
    assert report.errors


# what conducts the call


GROUND: dict[str, Any] = {
    "name": "Desk",
    "first_message": "Hello from the desk.",
    "stt_config": {"provider": "deepgram", "language": "en"},
    "llm_config": {"provider": "openai", "model": "a", "messages": [{"role": "system", "content": "Desk."}]},
    "tts_config": {"provider": "elevenlabs", "voice_id": "anna", "stability": 0.4},
}


def ground(**changes: Any) -> Assistant:
    return Assistant.parse({**GROUND, **changes}, where="the ground")


def changed(name: str, **fields: Any) -> Workflow:
    graph = definition()
    node(graph, name).update(fields)
    found, faults = read(graph)
    assert found is not None, faults
    return found


def test_the_assistants_collectors_of_keys_are_there_at_every_node_that_talks() -> None:
    found, _ = read(definition())
    assert found is not None
    digits = {"collectors": [{"name": "pin", "description": "The PIN."}], "send": True}
    ground = Assistant.parse({**GROUND, "digits": digits}, where="it")
    talking = [each for each in graph_of(found, ground).nodes.values() if isinstance(each, TalkNode)]
    assert talking
    for each in talking:
        assert [collector.name for collector in each.standing.collectors] == ["pin"]
        assert each.standing.tone_tools == ("send_digits",)
    assert {"pin", "send_digits"} <= {tool.name for tool in assistant_at(ground, found, "intake").tools}


def test_the_graph_holds_what_the_conversation_needs() -> None:
    graph = graph_of(workflow(), ground())
    intake, look_up = graph.nodes["intake"], graph.nodes["look_up"]
    assert isinstance(intake, TalkNode)
    assert intake.standing.messages[0].content == "You answer the telephone.\n\nAsk what it is."
    assert intake.ways == {"go_to_look_up": Way("look_up", "I will look."), "go_to_complaint": Way("complaint")}
    assert look_up == ToolNode(tool="find_order", arguments='{"by": "number"}', way=Way("orders"))
    assert graph.nodes["person"] == TransferNode(destination="+31201234567", first_line="One moment.")
    assert graph.nodes["goodbye"] == EndNode(first_line="Goodbye.")


def test_a_transfer_node_may_say_how_the_caller_is_put_through() -> None:
    graph = definition()
    person = next(each for each in graph["nodes"] if each["id"] == "person")
    person |= {"mode": "attended", "ringTimeoutSeconds": 12, "briefing": "Say what it is about."}
    found, report = read(graph)
    assert found is not None, report
    terms = TransferTerms(mode="attended", ring_s=12, briefing="Say what it is about.")
    node = TransferNode(destination="+31201234567", first_line="One moment.", terms=terms)
    assert graph_of(found, ground()).nodes["person"] == node


def test_a_global_node_is_no_way_to_itself() -> None:
    complaint = graph_of(workflow(), ground()).nodes["complaint"]
    assert isinstance(complaint, TalkNode)
    assert complaint.ways == {}


def test_an_edge_to_a_global_node_keeps_its_own_words() -> None:
    graph = definition()
    edge(graph, "intake", "complaint", description="He shouts.")
    found, _ = read(graph)
    assert found is not None
    there = assistant_at(ground(), found, "intake")
    assert {tool.name: tool.description for tool in there.tools}["go_to_complaint"] == "He shouts."


def test_the_first_line_of_the_entry_is_the_greeting_else_the_assistants() -> None:
    plan = Plan(first_message="Hello from the desk.")
    assert conducted(plan, workflow(), ground()).first_message == "Good day."
    assert conducted(plan, changed("intake", first_line=""), ground()).first_message == "Hello from the desk."


def test_the_assistants_own_messages_and_tools_are_not_used() -> None:
    tools = [{"name": "mine", "description": "x"}, {"type": "end_call"}]
    assistant = ground(llm_config={**GROUND["llm_config"], "tools": tools})
    assert [tool.name for tool in assistant_at(assistant, workflow(), "intake").tools] == [
        "go_to_look_up",
        "go_to_complaint",
    ]
    plan = conducted(Plan(end_call_tools=("end_call",)), workflow(), assistant)
    assert (plan.end_call_tools, len(plan.messages)) == ((), 1)


def test_silence_handling_gives_every_node_a_way_to_hang_up() -> None:
    there = assistant_at(ground(autonomous_silence_handling=True), workflow(), "orders")
    assert "end_call" in [tool.name for tool in there.tools]


def test_a_voice_changes_one_setting_and_a_provider_the_whole_block() -> None:
    at = assistant_at(ground(), changed("orders", voice="emma"), "orders")
    assert at.tts_config == {"provider": "elevenlabs", "voice_id": "emma", "stability": 0.4}
    at = assistant_at(ground(), changed("orders", tts_config={"provider": "pico"}), "orders")
    assert at.tts_config == {"provider": "pico"}


def test_what_a_node_changes_holds_at_the_nodes_after_it() -> None:
    found = changed("orders", llm_config={"model": "b"}, stt_config={"language": "nl"})
    after = assistant_at(assistant_at(ground(), found, "orders"), found, "complaint")
    assert after.llm_config["model"] == "b"
    assert after.stt_config == {"provider": "deepgram", "language": "nl"}
    orders = graph_of(found, ground()).nodes["orders"]
    assert isinstance(orders, TalkNode)
    assert orders.language == "nl"
    assert orders.phrases is not None and orders.phrases.filler.startswith("Een ogenblikje")


def test_a_tool_node_has_its_tool_and_no_other() -> None:
    (tool,) = assistant_at(ground(), changed("look_up", url="https://example.com/find"), "look_up").tools
    assert (tool.name, tool.kind, tool.url) == ("find_order", "webhook", "https://example.com/find")


def test_what_runs_on_this_machine_is_loaded_for_the_nodes_too() -> None:
    found = changed("orders", tts_config={"provider": "pico"})
    numbers = [Number(number="100", workflow="w"), Number(number="200")]
    directory = Directory({}, numbers, workflows={"w": found})
    assert [assistant.tts_config["provider"] for assistant in conducting(directory)] == ["hibari", "pico"]


# which calls it conducts


def resolved(*, body: Any = None, found: Workflow | None = None, **number: Any) -> Resolution:
    """What becomes of a call to a number with the workflow `w`; `body` is what the account's webhook answers."""
    directory = Directory(
        {"desk": ground()}, [Number(number="100", **{"workflow": "w", **number})], workflows={"w": found or workflow()}
    )

    async def ask(*_: Any) -> Any:
        return body

    account = Account(url="https://example.com" if body is not None else "")
    return asyncio.run(resolve(directory, called="100", ask=ask, account=account))


def test_a_number_with_an_active_workflow_is_conducted_by_it() -> None:
    resolution = resolved(assistant="desk")
    assert (resolution.outcome, resolution.notes) == ("assistant", ())
    assert resolution.workflow is not None and resolution.workflow.name == "Intake"
    assert resolution.assistant is not None and resolution.assistant.name == "Desk"


@pytest.mark.parametrize(
    ("number", "note"), [({}, "is not active: the assistant"), ({"workflow": "v"}, "which does not exist")]
)
def test_otherwise_the_assistant_takes_the_call_and_a_note_says_why(number: dict[str, Any], note: str) -> None:
    inactive, _ = read(definition(), is_active=False)
    resolution = resolved(found=inactive, assistant="desk", **number)
    assert (resolution.outcome, resolution.workflow) == ("assistant", None)
    assert note in resolution.notes[0]


def test_an_inactive_workflow_without_an_assistant_leaves_nobody() -> None:
    inactive, _ = read(definition(), is_active=False)
    assert resolved(found=inactive).outcome == "none"


def test_a_number_without_an_assistant_stands_on_the_embedded_engines() -> None:
    resolution = resolved()
    assert resolution.outcome == "assistant"
    assert resolution.assistant is not None
    assert resolution.assistant.tts_config["provider"] == "hibari"


def test_what_the_webhook_answers_is_the_ground() -> None:
    resolution = resolved(body={"assistant": {"tts_config": {"provider": "elevenlabs", "voice_id": "x"}}})
    assert resolution.workflow is not None
    assert resolution.assistant is not None
    assert resolution.assistant.tts_config["voice_id"] == "x"


def test_a_call_that_the_webhook_rejects_is_conducted_by_nothing() -> None:
    resolution = resolved(body={"error": "We are closed."})
    assert (resolution.outcome, resolution.workflow) == ("rejected", None)
