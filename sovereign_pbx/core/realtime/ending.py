"""Towards the end: last words, apologies, failures that are one too many."""

from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HandOver, HangUp
from sovereign_pbx.core.events import Tick
from sovereign_pbx.core.exchange import Parting
from sovereign_pbx.core.moves.ending import CHECK_IN
from sovereign_pbx.core.realtime.memory import Live, Phase
from sovereign_pbx.core.realtime.signals import Recite, Respond, StopResponse
from sovereign_pbx.core.values import SpeechKind


def part_with(live: Live, words: str, parting: Parting, *, cut: bool = True, kind: SpeechKind | None = None) -> None:
    """Last words, then the end. What was being said gives way to them, unless `cut` is False."""
    live.asked.clear()
    if cut:
        live.cut()
        live.expect_nothing()
    spoken = bool(live.ledger.queue)
    if isinstance(parting, HangUp) and not words and not spoken and not cut:
        words = live.plan.phrases.goodbye
    if words and live.held_at is None:
        live.say(words, kind or ("goodbye" if isinstance(parting, HangUp) else "prompt"))
    live.leave(parting)


def apologise(live: Live, error: str) -> None:
    """Say that something went wrong and go on, or hand the caller over when it went wrong too often."""
    if live.phase is not Phase.TALKING:
        return
    live.failures += 1
    live.owed = False
    live.open_turn(live.now).failed = True
    if live.failures >= live.plan.failures_before_handover:
        hand_over(live, error)
    else:
        live.say(live.plan.phrases.apology, "apology")


def hand_over(live: Live, error: str) -> None:
    """The assistant can't go on: tell the caller if anybody can, then let the dialplan have him."""
    live.note("unwell", failures=live.failures)
    live.cut()
    live.expect_nothing()
    live.asked.clear()
    if live.voice and live.answered_at is not None and live.held_at is None:
        live.say(live.plan.phrases.unwell, "apology")
    live.leave(HandOver("", "error", error))


def silence_prompt(live: Live, _: Tick) -> None:
    prompt = live.silence.prompt()
    live.note("silence_prompt", last=prompt.last)
    if prompt.last:
        part_with(live, prompt.text or live.plan.phrases.goodbye, HangUp("silence_timeout"))
    elif prompt.text:
        live.say(prompt.text, "prompt")
    else:
        live.ask(Respond(CHECK_IN))


def limit_reached(live: Live, _: Tick) -> None:
    if live.phase is Phase.AWAY:  # it does not cut a caller off who waits for a person
        live.limit_passed = True
        return
    live.note("max_duration")
    part_with(live, live.plan.phrases.goodbye, HangUp("max_duration"))


def leave_now(live: Live, _: Tick) -> None:
    """What was to be said before was not, or not to its end; where it was the last words, that goes on record."""
    live.note("last_words_overdue")
    live.cut()
    live.part()


def silent_model(live: Live, _: Tick) -> None:
    """An answer is owed and none comes, or it has stopped in the middle: a session like that is a dead one.

    Exact words that are not begun may only be an order that the vendor does not carry out (contract §7): whether it
    lives is asked first, and the call goes on without them.
    """
    if isinstance(live.expected, Recite) and not live.owed:
        live.note("words_unsaid")
        live.expect_nothing()
        live.probed_since = live.now
        live.out.append(StopResponse(""))
        return
    live.note("model_silent", begun=live.answer is not None)
    live.alarms.clear(Alarm.FILLER)
    if live.phase is Phase.TALKING:
        lose(live, "the model fell silent")


def lose(live: Live, error: str) -> None:
    """Once without a complete answer in between a new session takes over; then people do."""
    live.failures += 1
    if live.failures > live.plan.failures_before_handover - 1 or live.lost:
        live.lost = True
        hand_over(live, error)
    else:
        live.renew(planned=False)
