"""Walking a workflow: which node is next, what is said on the way, and what is left of the conversation there.

A way is due (`Talk.way`) from the moment the model, or a tool node, has chosen it; `floor.rest` takes it when the
assistant's side is free to act. So a caller who interrupts is heard first, and a tool's result is never lost.
"""

from typing import Final

from sovereign_pbx.core import destinations
from sovereign_pbx.core.commands import Enter, HandOver, HangUp, UseTool
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.core.workflow import MOST_STEPS, EndNode, TalkNode, ToolNode, TransferNode, Way

TAKE_UP: Final = (
    "Your instructions have changed. Take up the conversation by them now, without repeating what was said."
)
CIRCLE: Final = "the workflow goes in circles"


def begin(talk: Talk) -> None:
    """The call begins at the entry, whose providers and tools are there already."""
    graph = talk.plan.workflow
    if graph is not None:
        talk.note("workflow_begins", node=graph.entry)
        _settle(talk, graph.entry, graph.nodes[graph.entry])


def go_on(talk: Talk) -> State | None:
    """Take the way that is due, if nothing has to be waited for. A state when the call ends there, else None."""
    way, graph = talk.way, talk.plan.workflow
    if way is None or graph is None or talk.tools:
        return None
    talk.way = None
    talk.steps += 1
    if talk.steps > MOST_STEPS:
        return _lost(talk)
    node = graph.nodes[way.to]
    if isinstance(node, TransferNode) and (why := refused(talk, node)):
        talk.history.add_system(destinations.not_put_through(why))
        back(talk)
        return None
    talk.note("workflow_step", origin=talk.place, to=way.to)
    if way.message.strip():
        talk.say(way.message, "prompt")
    if isinstance(node, TransferNode | EndNode):
        return _leave(talk, node)
    talk.out.append(Enter(way.to))
    _settle(talk, way.to, node)
    if isinstance(node, ToolNode):
        _call(talk, node)
    else:
        _talk(talk, way, node)
    return None


def _settle(talk: Talk, place: str, node: TalkNode | ToolNode | TransferNode | EndNode) -> None:
    talk.place = place
    if isinstance(node, TalkNode):
        talk.node, talk.home = node, place
        talk.plan = node.plan(talk.plan)


def _talk(talk: Talk, way: Way, node: TalkNode) -> None:
    if talk.turn is not None:
        talk.turn.rounds = 0  # another node, another task: its tools count anew
    if node.first_line.strip():
        talk.say(node.first_line, "prompt")
        return
    talk.owed = True
    talk.cover_wait()
    if way.message.strip():
        talk.aside = TAKE_UP


def _call(talk: Talk, node: ToolNode) -> None:
    if node.first_line.strip():
        talk.say(node.first_line, "prompt")
    call = talk.history.unique(ToolCall("", node.tool, node.arguments))
    asking = talk.history.add_assistant()
    talk.tools[call.id] = talk.history.add_tool(asking, call)
    talk.out.append(UseTool(call))
    talk.way = node.way
    talk.cover_wait()
    turn = talk.open_turn(talk.now)
    if turn.timeline and not talk.ledger.queue:
        turn.timeline.enter("tool", talk.now)


def _leave(talk: Talk, node: TransferNode | EndNode) -> State:
    words = node.first_line.strip()
    if isinstance(node, TransferNode):
        if words:
            talk.say(words, "prompt")
        return talk.leave(HandOver(node.destination, "transferred", terms=node.terms))
    words = words or ("" if talk.ledger.queue else talk.plan.phrases.goodbye)
    if words:
        talk.say(words, "goodbye")
    return talk.leave(HangUp("assistant_hangup"))


def refused(talk: Talk, node: TransferNode) -> str:
    """Why nobody is put through there, "" where somebody is."""
    why = destinations.refusal(talk.plan, node.destination, talk.transfers.attempts)
    if why:
        talk.note("transfer_refused", destination=node.destination, why=why)
    return why


def back(talk: Talk) -> None:
    """Nobody took the caller: he is told so, and goes on where the model talked last."""
    node = talk.node
    if node is None:
        return
    if talk.place != talk.home:
        talk.out.append(Enter(talk.home))
        _settle(talk, talk.home, node)
    if talk.plan.phrases.transfer_failed.strip():
        talk.say(talk.plan.phrases.transfer_failed, "prompt")
    else:
        talk.owed = True
        talk.aside = destinations.SAY_SO


def _lost(talk: Talk) -> State:
    talk.note("workflow_circle", steps=MOST_STEPS, place=talk.place)
    if talk.plan.phrases.unwell:
        talk.say(talk.plan.phrases.unwell, "apology")
    return talk.leave(HandOver("", "error", CIRCLE))
