"""The line, the session and whoever steers the call: answer, hold, keys, consent, orders, sessions lost and opened."""

from typing import Final

from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HandOver, HangUp, Record
from sovereign_pbx.core.digits import key_of
from sovereign_pbx.core.events import Answered, DigitPressed, HoldChanged, HungUp, Instructed, Tick
from sovereign_pbx.core.realtime.ending import hand_over, lose, part_with
from sovereign_pbx.core.realtime.memory import LAST_WORDS_S, Live, Phase
from sovereign_pbx.core.realtime.signals import (
    Complained,
    Hear,
    Recite,
    Respond,
    SessionAging,
    SessionLost,
    SessionOpened,
    Tell,
)

GO_ON: Final = "The line was interrupted for a moment. Go on with your answer where it stopped, without repeating it."
BENIGN: Final = ("response_cancel_not_active",)  # it was over before it could be stopped
REFUSED: Final = "words_refused"  # the vendor does not take an order for exact words
SAY: Final = "Say these words now, exactly as they stand, and nothing else: {text}"
ALREADY: Final = "conversation_already_has_active_response"  # a response of the vendor's own was faster than ours


def answered(live: Live, _: Answered) -> None:
    live.answered_at = live.now
    if live.plan.max_duration is not None:
        live.alarm(Alarm.LIMIT, live.plan.max_duration)
    if live.plan.consent is None:
        _begin(live, asked_already=True)
        return
    live.phase = Phase.CONSENT
    live.out.append(Hear(False))
    ask_consent(live, asked_already=not live.voice)


def _begin(live: Live, *, asked_already: bool) -> None:
    """The model greets; where it was told to while the call rang, the greeting is there already."""
    live.phase = Phase.TALKING
    live.out.append(Hear(True))
    if not live.plan.first_message.strip():
        return
    live.greeting = True
    if asked_already:
        live.expect(Recite(live.plan.first_message.strip()))
    else:
        from_model = live.voice
        live.voice = False
        live.say(live.plan.first_message, "greeting")
        live.voice = from_model


def hung_up(live: Live, event: HungUp) -> None:
    live.note("hung_up", reason=event.reason, cause=event.cause, state=live.phase.name)
    live.end(None)


# consent


def ask_consent(live: Live, *, asked_already: bool = False) -> None:
    """Ask, or ask again."""
    consent = live.plan.consent
    if consent is None:
        return
    live.asked_consent += 1
    live.cut()
    if asked_already:
        live.expect(Recite(consent.message))
    else:
        live.say(consent.message, "prompt")
    live.alarm(Alarm.CONSENT, LAST_WORDS_S + len(consent.message) / 8 + consent.answer_within)


def consent_key(live: Live, event: DigitPressed) -> None:
    if live.plan.consent is None or event.digit != live.plan.consent.key:
        consent_overdue(live, Tick())
        return
    live.note("recording_consent", given=True)
    live.agreed = True
    live.alarms.clear(Alarm.CONSENT)
    live.cut()
    live.close_turn()
    live.out.append(Record())
    _begin(live, asked_already=False)


def consent_overdue(live: Live, _: Tick) -> None:
    consent = live.plan.consent
    if consent is not None and live.asked_consent < consent.attempts:
        ask_consent(live)
        return
    live.note("recording_consent", given=False)
    part_with(live, live.plan.phrases.unwell, HandOver("", "rejected"))


# hold


def held(live: Live, event: HoldChanged) -> None:
    if event.held == (live.held_at is not None):
        return
    if event.held:
        live.alarms.hold(live.now)
        live.pause()
        live.held_at = live.now
        live.out.append(Hear(False))
        return
    live.alarms.release(live.now)
    live.held_at = None
    live.sound_since = None
    live.alarms.clear(Alarm.CONFIRM, Alarm.DOUBT)
    live.resume()
    live.out.append(Hear(live.phase is Phase.TALKING))


# keys


def digit(live: Live, event: DigitPressed) -> None:
    if live.phase is Phase.CONSENT:
        consent_key(live, event)
        return
    key = key_of(event.digit)
    if not key:
        live.note("not_a_digit")
        return
    live.silence.reset()
    live.digits.press(key)
    entry = live.digits.complete(live.plan.keys)
    if entry is not None:
        _entered(live, entry)
    else:
        live.alarm(Alarm.DIGITS, live.plan.keys.between)


def digits_complete(live: Live, _: Tick) -> None:
    _entered(live, live.digits.take())


def _entered(live: Live, entry: str) -> None:
    """Keys are text to the model, and a turn of the caller."""
    live.alarms.clear(Alarm.DIGITS)
    text = live.digits.message(live.plan.keys, entry)
    live.note("digits", count=len(entry))
    if not text:
        return
    live.cut()
    live.history.add("user", text)
    live.open_turn(live.now).said.append(text)
    live.tell("user", text)
    live.ask(Respond())


# orders


def instructed(live: Live, event: Instructed) -> None:
    text = event.text.strip()
    match event.kind:
        case "say" if event.then:
            part_with(live, text, HangUp("api_end_call"), cut=live.caller_speaks, kind="say")
        case "say":
            live.say(text, "say")
        case "inject":
            _inject(live, text, then=event.then)
        case "transfer":
            part_with(live, text, HandOver(event.destination, "transferred", terms=event.terms))
        case _:
            part_with(live, text, HangUp("api_end_call"), cut=not event.then)


def _inject(live: Live, text: str, *, then: bool) -> None:
    if text:
        live.history.add("system", text)
        live.tell("system", text)
    if then:
        live.ask(Respond())


def instructed_late(live: Live, event: Instructed) -> None:
    """The call is ending already; only an order to end it at once adds to that."""
    if event.kind == "end" and not event.text:
        live.cut()
        live.end(HangUp("api_end_call"))
    else:
        live.note("instructed_too_late", kind=event.kind)


# the session


def complained(live: Live, event: Complained) -> None:
    if event.code == ALREADY:
        order, live.expected_since, live.expected = live.expected, None, None
        live.ask(order or Respond())
    elif event.code == REFUSED and isinstance(live.expected, Recite):
        live.note("words_refused", message=event.message)
        order, live.expected_since, live.expected = live.expected, None, None
        live.ask(Respond(SAY.format(text=order.text)))
    elif event.code not in BENIGN:
        live.note("model_complained", code=event.code, message=event.message)


def aging(live: Live, _: SessionAging) -> None:
    live.aging = True


def session_lost(live: Live, event: SessionLost) -> None:
    live.note("session_lost", kind=event.error.kind, error=str(event.error))
    if live.phase is Phase.LEAVING:
        live.lost = live.stranded = True
        live.answer = None
        live.expect_nothing()
        live.asked.clear()
    elif event.error.kind == "denied" or live.lost:
        live.lost = True
        hand_over(live, str(event.error))
    else:
        lose(live, str(event.error))


def session_opened(live: Live, _: SessionOpened) -> None:
    live.note("session_opened", planned=not live.lost)
    if not live.lost:
        return
    live.lost = False
    live.out += [Tell(message) for message in live.untold]
    live.untold.clear()
    if live.began_at is not None:  # he is heard again, and answered
        live.expect()
    elif live.owed:
        live.ask(Respond())
    elif live.ledger.queue or (live.turn is not None and live.turn.segments):
        live.ask(Respond(GO_ON))
