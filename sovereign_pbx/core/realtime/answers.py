"""The model's side: its answers become sound, its tools are used when the answer that asks for them is complete."""

from typing import Final

from sovereign_pbx.core import destinations
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HangUp, UseTool
from sovereign_pbx.core.events import (
    PlayoutFinished,
    PlayoutFlushed,
    PlayoutStarted,
    SpeechAudio,
    SpeechDone,
    SpeechFailed,
    Tick,
    ToolFinished,
)
from sovereign_pbx.core.exchange import Parting
from sovereign_pbx.core.ledger import Segment
from sovereign_pbx.core.moves.thinking import ENDING, NO_MORE_TOOLS, TRANSFERRING, argument
from sovereign_pbx.core.realtime.ending import apologise, part_with
from sovereign_pbx.core.realtime.memory import Answer, Live, Phase
from sovereign_pbx.core.realtime.signals import (
    AnswerTool,
    EndSound,
    Play,
    Respond,
    ResponseBegun,
    ResponseEnded,
    Sound,
    SoundEnded,
    Spoken,
    StopResponse,
    ToolAsked,
    Truncate,
)
from sovereign_pbx.core.timeline import Timeline
from sovereign_pbx.core.values import SpeechKind, ToolCall

LATE: Final = "The tool that was asked for before has answered: {result}"
NOT_HERE: Final = "This tool can't be used in this kind of call. Go on without it."


def begun(live: Live, event: ResponseBegun) -> None:
    unwanted = live.phase in (Phase.LEAVING, Phase.AWAY) and live.expected_since is None
    if unwanted or live.answer is not None or live.caller_speaks:
        live.out.append(StopResponse(event.response))
        return
    live.expect_nothing()
    live.alarms.clear(Alarm.ENDPOINT)
    live.answer = Answer(event.response, live.history.add_assistant(streaming=True), live.now)
    turn = live.open_turn(live.now, greeting=live.greeting)
    live.greeting = False
    turn.timeline = turn.timeline or Timeline(live.now, "llm")


def sound(live: Live, event: Sound) -> None:
    answer = _current(live, event.response)
    if answer is None:
        return
    segment = _segment(live, answer, event.item)
    if answer.sounded_at is None:
        answer.sounded_at = live.now
        live.alarms.clear(Alarm.FILLER)
        if live.turn and live.turn.timeline:
            live.turn.timeline.enter("link", live.now)
    segment.ms += event.ms
    answer.since = live.now
    live.out.append(Play(segment.number, event.pcm))


def spoken(live: Live, event: Spoken) -> None:
    """Words may be ahead of their sound; a segment that is over takes no more of them."""
    answer = _current(live, event.response)
    if answer is not None:
        segment = _segment(live, answer, event.item)
        segment.text += event.text if segment.open else ""


def _segment(live: Live, answer: Answer, item: str) -> Segment:
    segment = answer.items.get(item)
    if segment is None:
        kind: SpeechKind = "greeting" if live.turn is not None and live.turn.greeting else "reply"
        segment = answer.items[item] = live.heard_items[item] = live.ledger.add("", kind, None)
        answer.entry.segments.append(segment)
        live.open_turn(live.now).segments.append(segment)
        live.out.append(Play(segment.number, b""))  # its place in the queue
    return segment


def sound_ended(live: Live, event: SoundEnded) -> None:
    answer = _current(live, event.response)
    segment = answer.items.get(event.item) if answer is not None else None
    if segment is not None and not segment.complete:
        segment.complete = True
        live.out.append(EndSound(segment.number))


def tool_asked(live: Live, event: ToolAsked) -> None:
    answer = _current(live, event.response)
    if answer is not None:
        answer.calls.append(event.call)


def ended(live: Live, event: ResponseEnded) -> None:
    if live.turn is not None:
        live.turn.add_usage(event.usage)
    answer = _current(live, event.response)
    if answer is None:
        return
    for item in answer.items:
        sound_ended(live, SoundEnded(event.response, item))
    answer.done, live.answer = True, None
    if event.status == "failed":
        answer.entry.streaming = False
        live.note("reply_failed", error=event.error)
        apologise(live, event.error or "the model failed")
        return
    wanted = event.status == "completed" and live.phase is Phase.TALKING
    partings = [_use(live, answer, call) for call in answer.calls if wanted]
    answer.entry.streaming = False
    parting = next((each for each in partings if each is not None), None)
    if parting is not None:
        part_with(live, *parting, cut=False)
    elif not answer.items and not answer.calls and event.status != "cancelled" and live.phase is Phase.TALKING:
        live.note("empty_reply")
        apologise(live, "the model gave no answer")


def _current(live: Live, response: str) -> Answer | None:
    return live.answer if live.answer is not None and live.answer.id == response else None


# tools


def _use(live: Live, answer: Answer, call: ToolCall) -> tuple[str, Parting] | None:
    """Start a tool; or the last words and the end, where the conversation itself is the tool."""
    turn = live.open_turn(live.now)
    turn.rounds += 1
    entry = live.history.add_tool(answer.entry, call)
    result, parting = _built_in(live, call)
    if not result and turn.rounds > live.plan.max_tool_rounds:
        live.note("too_many_tool_rounds", tool=call.name)
        result = NO_MORE_TOOLS
    if result:
        entry.text, entry.pending = result, False
        live.out.append(AnswerTool(call.id, result))
        if parting is None and not live.tools:
            live.ask(Respond())
        return parting
    live.tools[call.id] = entry
    live.out.append(UseTool(call))
    live.alarm(Alarm.FILLER, live.plan.tool_filler_after)
    if turn.timeline and not live.ledger.queue:
        turn.timeline.enter("tool", live.now)
    text = next((each.text for each in live.plan.tool_messages if each.tool == call.name), "")
    if text and not turn.filled and not answer.items:
        turn.filled = True
        live.say(text, "filler")
    return None


def _built_in(live: Live, call: ToolCall) -> tuple[str, tuple[str, Parting] | None]:
    """What the model is told, and what follows; ("", None) for a tool that is not the conversation's own."""
    if call.name in live.plan.end_call_tools:
        return ENDING, ("", HangUp("assistant_hangup"))
    if call.name in (*live.plan.tone_tools, *(each.name for each in live.plan.collectors)):
        return NOT_HERE, None
    if call.name not in live.plan.transfer_tools:
        return "", None
    wanted = destinations.wanted(live.plan, argument(call, "destination"), argument(call, "summary"), live.transfers)
    if isinstance(wanted, str):
        live.note("transfer_refused", why=wanted)
        return wanted, None
    parting, announcement = wanted
    return TRANSFERRING, (announcement, parting)


def tool_finished(live: Live, event: ToolFinished) -> None:
    """A result is never lost, whoever has the floor when it comes."""
    entry = live.tools.pop(event.call_id, None)
    if entry is None:
        live.note("unknown_tool_result", call_id=event.call_id)
        return
    entry.text, entry.pending = event.result, False
    if event.failed:
        live.note("tool_failed", call_id=event.call_id)
    if live.turn and live.turn.timeline:
        live.turn.timeline.enter("llm", live.now)
    if live.lost or event.call_id in live.strangers:
        live.strangers.discard(event.call_id)
        live.tell("system", LATE.format(result=event.result))
    else:
        live.out.append(AnswerTool(event.call_id, event.result))
    if not live.tools and not live.caller_speaks and live.phase is Phase.TALKING:
        live.ask(Respond())


def filler(live: Live, _: Tick) -> None:
    """Once a turn the caller hears that he is not forgotten; only another voice can say so while the model is busy."""
    turn = live.turn
    if live.voice and turn is not None and not turn.filled and live.plan.phrases.filler and not live.ledger.queue:
        turn.filled = True
        live.note("filler", waiting_for="tool" if live.tools else "model")
        live.say(live.plan.phrases.filler, "filler")


# playout


def playing(live: Live, event: PlayoutStarted) -> None:
    segment = live.ledger.find(event.segment)
    if segment is None:
        return
    live.ledger.start(segment, live.now, event.played_ms)
    turn = live.turn
    if turn is not None and segment in turn.segments and segment.kind != "filler":
        live.owed = False
        if turn.reply_started_at is None:
            turn.reply_started_at = live.now
            if turn.timeline:
                turn.timeline.end(live.now)
    if live.phase is Phase.LEAVING:
        live.patience()


def played(live: Live, event: PlayoutFinished) -> None:
    segment = live.ledger.find(event.segment)
    if segment is not None:
        live.ledger.finish(segment)
        _forget(live, event.segment)


def flushed(live: Live, event: PlayoutFlushed) -> None:
    """Where the sound was the model's it must know how much of it was heard."""
    segment = live.ledger.find(event.segment)
    if segment is None:
        return
    made_ms = segment.ms
    live.close(segment, event.played_ms)
    item = _forget(live, event.segment)
    if item and made_ms and not live.lost:
        live.out.append(Truncate(item, int(min(event.played_ms, made_ms))))


def _forget(live: Live, segment: int) -> str:
    item = next((item for item, each in live.heard_items.items() if each.number == segment), "")
    live.heard_items.pop(item, None)
    return item


# the other voice


def voiced(live: Live, event: SpeechAudio) -> None:
    segment = live.ledger.find(event.segment)
    if segment is not None:
        segment.ms, segment.words = event.ms, event.words


def voice_done(live: Live, event: SpeechDone) -> None:
    segment = live.ledger.find(event.segment)
    if segment is not None:
        segment.complete = True


def voice_failed(live: Live, event: SpeechFailed) -> None:
    """The model can still speak itself; words that it was to leave to the other voice are not worth a second try."""
    live.note("voice_failed", error=str(event.error))
    segment = live.ledger.find(event.segment)
    if segment is not None and segment.started_at is None and not segment.ms:
        live.close(segment, 0.0)
