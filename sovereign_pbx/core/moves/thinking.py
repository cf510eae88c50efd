"""Moves of the model: its text becomes speech, its tools are used, its end decides what is next."""

import json
import re
from typing import Final

from sovereign_pbx.core import destinations, floor, keypad, walk
from sovereign_pbx.core.commands import HangUp, SendDigits, UseTool
from sovereign_pbx.core.events import ReplyDone, ReplyFailed, ReplyText, ReplyTool, ToolFinished
from sovereign_pbx.core.exchange import Parting, Reply
from sovereign_pbx.core.speakable import tagged, untagged
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.core.workflow import MOST_STEPS, TransferNode, Way

ENDING: Final = "The call ends as soon as the caller has heard your last words."
TRANSFERRING: Final = "The caller is transferred as soon as he has heard your last words."
MOVED: Final = "Done. Your instructions have changed: from here on follow the new ones."
ONE_WAY: Final = "Not done: you are on another way already."
TOO_FAR: Final = "Not done: too many steps in a row. Talk to the caller first."
NO_MORE_TOOLS: Final = "Not used: too many tools in a row. Answer the caller with what you know."
NO_TONES: Final = "Not sent: `digits` takes 1 to 32 of 0-9 * # A-D, and w for a pause of half a second."
_TONES: Final = re.compile(r"(?=w*[0-9*#A-Da-d])[0-9*#A-Da-dw]{1,32}")


def current(talk: Talk, number: int) -> Reply | None:
    """The reply that streams, if that is its number."""
    reply = talk.reply
    return reply if reply is not None and reply.number == number and reply.streaming else None


def reply_text(talk: Talk, event: ReplyText) -> State:
    reply = current(talk, event.reply)
    if reply is not None and event.text:
        if talk.turn and talk.turn.timeline and talk.turn.timeline.part != "tts":
            talk.turn.timeline.enter("clause", talk.now)
        for clause in reply.clauses.feed(event.text):
            speak(talk, reply, clause)
    return talk.state


def speak(talk: Talk, reply: Reply, clause: str) -> None:
    text = tagged(clause)
    if text and not reply.hushed:
        reply.entry = talk.history.onward(reply.entry)
        talk.say(text, "reply", into=reply.entry, reply=reply.number)


def reply_tool(talk: Talk, event: ReplyTool) -> State:
    reply = current(talk, event.reply)
    if reply is None:
        return talk.state
    for clause in reply.clauses.flush():
        speak(talk, reply, clause)
    if talk.state in floor.DISPUTED:
        reply.held_tools.append(event.call)  # the caller may be taking back what it was asked for
    else:
        use_tool(talk, reply, event.call)
    return talk.state


def use_tool(talk: Talk, reply: Reply, call: ToolCall) -> None:
    """Start a tool, or note what the model wants where the conversation itself is the tool."""
    call = talk.history.unique(call)
    entry = talk.history.add_tool(reply.entry, call)
    result = _built_in(talk, reply, call)
    if result is None and reply.last_round:
        talk.note("too_many_tool_rounds", tool=call.name)
        result = NO_MORE_TOOLS
    rounds = talk.turn.rounds if talk.turn else 0
    talk.owed = reply.parting is None and reply.way is None and rounds <= talk.plan.max_tool_rounds + 1
    if result is MOVED:
        reply.way_told = entry
    if result is not None:
        entry.text, entry.pending = result, False
        return
    collector = next((each for each in talk.plan.collectors if each.name == call.name), None)
    if collector is not None:
        keypad.collect(talk, collector, entry, call.id, collector.prompt or argument(call, "prompt"))
        return
    talk.tools[call.id] = entry
    talk.out.append(_performed(talk, call))
    talk.cover_wait()
    if talk.turn and talk.turn.timeline and not talk.ledger.queue:
        talk.turn.timeline.enter("tool", talk.now)
    _tell_meanwhile(talk, call)


def _performed(talk: Talk, call: ToolCall) -> UseTool | SendDigits:
    """Tones are their own answer to what was heard: a menu goes on by itself, and must not be talked over."""
    if call.name not in talk.plan.tone_tools:
        return UseTool(call)
    talk.owed = len(talk.tools) > 1
    talk.open_turn(talk.now).wordless = True
    return SendDigits(_tones(call), call.id)


def _tones(call: ToolCall) -> str:
    return "".join(argument(call, "digits").split()).replace(",", "w")


def _tell_meanwhile(talk: Talk, call: ToolCall) -> None:
    """The tool's own words while it runs, once a turn; the filler is not needed then."""
    text = next((each.text for each in talk.plan.tool_messages if each.tool == call.name), "")
    turn = talk.open_turn(talk.now)
    if text and all(segment.text != untagged(text) for segment in turn.segments):
        turn.filled += 1
        talk.say(text, "filler")


def _built_in(talk: Talk, reply: Reply, call: ToolCall) -> str | None:
    """The answer to a tool that is the conversation's own; None for all others."""
    if call.name in talk.plan.tone_tools and not _TONES.fullmatch(_tones(call)):
        return NO_TONES
    if talk.collecting is not None and any(each.name == call.name for each in talk.plan.collectors):
        return keypad.BUSY
    if call.name in talk.plan.end_call_tools:
        reply.parting = reply.parting or HangUp("assistant_hangup")
        return ENDING
    way = talk.node.ways.get(call.name) if talk.node is not None else None
    if way is not None:
        return _choose(talk, reply, way)
    if call.name not in talk.plan.transfer_tools:
        return None
    return _put_through(talk, reply, call)


def _put_through(talk: Talk, reply: Reply, call: ToolCall) -> str:
    """Whatever is against it the model is told now, before a word of the announcement is said."""
    destination, summary = argument(call, "destination"), argument(call, "summary")
    wanted = destinations.wanted(talk.plan, destination, summary, talk.transfers.attempts)
    if isinstance(wanted, str):
        talk.note("transfer_refused", why=wanted)
        return wanted
    reply.parting, reply.announcement = wanted
    return TRANSFERRING


def _choose(talk: Talk, reply: Reply, way: Way) -> str:
    """The model leaves the node of the workflow: as soon as its reply is complete."""
    if reply.parting is not None or reply.way is not None:
        return ONE_WAY
    if talk.steps >= MOST_STEPS:
        talk.note("workflow_circle", steps=MOST_STEPS, place=talk.place)
        return TOO_FAR
    node = talk.plan.workflow.nodes[way.to] if talk.plan.workflow is not None else None
    if isinstance(node, TransferNode) and (why := walk.refused(talk, node)):
        return destinations.not_put_through(why)
    reply.way = way
    return MOVED


def argument(call: ToolCall, name: str) -> str:
    """A text among a call's arguments; "" where there is none."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):  # written by a model: anything may stand there
        return ""
    value = arguments.get(name) if isinstance(arguments, dict) else None
    return value.strip() if isinstance(value, str) else ""


def reply_done(talk: Talk, event: ReplyDone) -> State:
    if not finish_reply(talk, event):
        return talk.state
    return conclude(talk)


def finish_reply(talk: Talk, event: ReplyDone) -> bool:
    """The model has said all. False: that reply was not streaming any more."""
    reply = current(talk, event.reply)
    if reply is None:
        return False
    for clause in reply.clauses.flush():
        speak(talk, reply, clause)
    _complete(reply)
    if talk.turn is not None:
        talk.turn.add_usage(event.usage)
    return True


def _complete(reply: Reply) -> None:
    reply.streaming = False
    reply.entry.streaming = bool(reply.held_tools)  # its message may still get the calls that are held back


def conclude(talk: Talk) -> State:
    """The reply is complete: part as it asks, or apologise for an empty one, or see what is next."""
    reply, turn = talk.reply, talk.turn
    if reply is not None and reply.parting is not None:
        return part(talk, reply, reply.parting)
    if reply is not None and reply.way is not None:
        talk.way, reply.way, reply.way_told = reply.way, None, None
        return floor.rest(talk)
    keyed = len(talk.digits) > 0 or (turn is not None and turn.wordless)
    silent = turn is not None and not turn.answered and bool(turn.said) and not keyed
    if silent and not talk.owed and not talk.tools:
        talk.note("empty_reply")
        return floor.apologise(talk, "the model gave no answer")
    return floor.rest(talk)


def part(talk: Talk, reply: Reply, parting: Parting) -> State:
    """End or hand over, once the words that go with it have been heard."""
    ending = isinstance(parting, HangUp)
    words = reply.announcement if not ending else "" if reply.entry.segments else talk.plan.phrases.goodbye
    if words:
        talk.say(words, "goodbye" if ending else "prompt")
    return talk.leave(parting)


def use_held_tools(talk: Talk) -> State | None:
    """The reply goes on: do what it asked for while the caller might have been interrupting."""
    reply = talk.reply
    if reply is None:
        return None
    calls, reply.held_tools = reply.held_tools, []
    for call in calls:
        use_tool(talk, reply, call)
    reply.entry.streaming = reply.streaming
    return None if reply.streaming else conclude(talk)


def reply_failed(talk: Talk, event: ReplyFailed) -> State:
    reply = current(talk, event.reply)
    if reply is None:
        return talk.state
    for clause in reply.clauses.flush():
        speak(talk, reply, clause)
    _complete(reply)
    talk.note("reply_failed", error=str(event.error))
    disputed = talk.state in floor.DISPUTED
    if reply.parting is None and not reply.entry.calls and not reply.held_tools:
        return floor.apologise(talk, str(event.error), stay=disputed)
    return talk.state if disputed else conclude(talk)


def tool_finished(talk: Talk, event: ToolFinished) -> State:
    note_result(talk, event)
    return floor.rest(talk)


def note_result(talk: Talk, event: ToolFinished) -> State:
    """A result is never lost, whoever has the floor when it comes."""
    entry = talk.tools.pop(event.call_id, None)
    if entry is None:
        talk.note("unknown_tool_result", call_id=event.call_id)
        return talk.state
    entry.text, entry.pending = event.result, False
    if event.failed:
        talk.note("tool_failed", call_id=event.call_id)
        talk.owed |= talk.turn is not None and talk.turn.wordless
    return talk.state


MOVES = {move.__name__: move for move in (reply_text, reply_tool, reply_done, reply_failed, tool_finished, note_result)}
