"""The caller's side: whose turn it is by the vendor's ear and by ours, and what interrupts the assistant.

Whoever hears the caller first stops the assistant's sound. When that is our own voice detector, which knows what we
are playing and hears no echo of it, sound is held until he has spoken long enough to mean it or the vendor hears him
as well; a cough lets it go on at the very sample.
"""

from typing import Final

from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.events import SpeechStarted, SpeechStopped, Tick
from sovereign_pbx.core.floor import CUT_OFF
from sovereign_pbx.core.realtime.memory import BEFORE_S, Live
from sovereign_pbx.core.realtime.signals import (
    CallerSaid,
    CallerStarted,
    CallerStopped,
    Recite,
    Respond,
    StopResponse,
)

LAG_S: Final = 0.5  # by which a vendor's ear may be behind ours
SPEECH_S: Final = 0.5  # less of what a voice detector takes for speech may be a cough
UNNOTICED_S: Final = 1.5  # we took the floor from the assistant, and the vendor has not heard anybody


def caller_started(live: Live, _: CallerStarted) -> None:
    live.caller_speaks = True
    live.wordless_cut = False
    live.began_at = live.began_at or (live.sound_since or live.now) - BEFORE_S
    live.alarms.clear(Alarm.ENDPOINT, Alarm.FINAL)
    _leave_answering_to_vendor(live)
    _take_floor(live)


def caller_stopped(live: Live, event: CallerStopped) -> None:
    """The vendor has decided; its answer comes by itself."""
    began = live.began_at or live.now
    live.caller_speaks = False
    if live.turn is not None and live.turn.audible:
        live.close_turn()
    turn = live.open_turn(began)
    live.words_of.append((turn, live.history.keep_place(event.item, live.now)))
    still = live.sound_since is not None  # our own ear is slower, or hears something else
    ended = live.now if still or live.sound_ended is None or live.sound_ended < began else live.sound_ended
    live.wait_begins(ended)
    if turn.timeline:
        turn.timeline.enter("llm", live.now)
    live.owed = True
    live.expect()
    live.note("turn_decided", silence=round(live.now - ended, 3))
    live.alarm(Alarm.FILLER, live.plan.reply_filler_after)


def caller_said(live: Live, event: CallerSaid) -> None:
    text = event.text.strip()
    live.began_at = None
    if text:
        live.silence.reset()
    if not live.history.fill(event.item, text) and text:
        live.note("words_too_late")


def sound_started(live: Live, event: SpeechStarted) -> None:
    live.sound_since = event.at
    live.alarms.clear(Alarm.DOUBT)
    if live.ledger.queue and not live.caller_speaks and not live.ledger.paused and live.held_at is None:
        live.pause()
        live.alarm(Alarm.CONFIRM, live.plan.turn_taking.interruption_min_duration, since=event.at)


def sound_stopped(live: Live, event: SpeechStopped) -> None:
    began, live.sound_since, live.sound_ended = live.sound_since, None, event.at
    if live.alarms.is_set(Alarm.CONFIRM):
        live.alarms.clear(Alarm.CONFIRM)
        live.alarm(Alarm.DOUBT, LAG_S)
    if live.wordless_cut:
        live.alarm(Alarm.ENDPOINT, UNNOTICED_S)
    elif began is not None and event.at - began >= SPEECH_S and live.quiet:
        live.sound_began = began
        live.alarm(Alarm.FINAL, LAG_S)


def probe(live: Live, _: Tick) -> None:
    """He spoke, and the vendor has said nothing to that: noise to its ear, or there is no vendor any more.

    An answer of its own that is under way without a word about the caller would be stopped by this; `LAG_S` is to
    make sure that there is none.
    """
    if not live.quiet:
        return
    live.began_at = live.began_at or live.sound_began - BEFORE_S
    live.probed_since = live.now
    live.out.append(StopResponse(""))


def _leave_answering_to_vendor(live: Live) -> None:
    """It answers what the caller says now by itself; exact words are still owed."""
    if isinstance(live.expected, Recite):
        live.asked.appendleft(live.expected)
    live.expect_nothing()
    for order in [each for each in live.asked if isinstance(each, Respond)]:
        live.asked.remove(order)


def confirm(live: Live, _: Tick) -> None:
    """He has spoken long enough to mean it, whatever the vendor hears."""
    live.began_at = live.began_at or (live.sound_since or live.now) - BEFORE_S
    live.wordless_cut = True
    _take_floor(live)


def doubt(live: Live, _: Tick) -> None:
    live.note("false_interruption")
    live.resume()


def unnoticed(live: Live, _: Tick) -> None:
    """The assistant was cut off by what was no turn to the vendor: it must not be left at that."""
    live.wordless_cut = False
    live.began_at = None
    live.note("nothing_heard")
    live.ask(Respond(CUT_OFF))


def _take_floor(live: Live) -> None:
    if live.answer is None and not live.ledger.queue:
        live.alarms.clear(Alarm.CONFIRM, Alarm.DOUBT)
        return
    audible = any(segment.started_at is not None for segment in live.ledger.queue)
    live.note("interrupted", audible=audible)
    live.cut()
