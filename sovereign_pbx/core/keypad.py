"""The caller's keys and the conversation: which entry they belong to, and what becomes of it.

Keys that no tool has asked for are an entry of their own (`Plan.keys`), a turn of the caller. While a tool collects
they are its result. Keys that come too early for it are not lost: they wait, and the prompt is not played over them.
"""

from typing import Final

from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import Conceal, Flush
from sovereign_pbx.core.digits import Collecting, Outcome
from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.history import Entry
from sovereign_pbx.core.plan import Collector
from sovereign_pbx.core.talk import LEAVE_SLACK_S, Talk

STRAY_S: Final = 2.0  # nobody has heard and understood a request to press that key again so soon
BUSY: Final = "Not used: the caller is being asked for another entry. Wait for its result."


def current(talk: Talk) -> Collector:
    """Whose entry the next key belongs to."""
    return talk.collecting.collector if talk.collecting is not None else talk.plan.keys


def collect(talk: Talk, collector: Collector, entry: Entry, call_id: str, words: str) -> None:
    """A tool of the model asks for keys; `entry` is the place of its answer."""
    talk.collecting = Collecting(collector, call_id)
    talk.tools[call_id] = entry
    talk.alarms.clear(Alarm.FILLER, Alarm.DIGITS)
    typed = talk.digits.complete(collector)
    if typed is not None:
        settle(talk, _judge(collector, typed), typed)
        return
    if collector.mask:
        talk.out.append(Conceal(True))
    if len(talk.digits):  # he knows what to key in already
        talk.collecting.asked = True
        talk.alarm(Alarm.DIGITS, collector.between)
        words = "" if collector.interrupt else words
    if words:
        talk.say(words, "prompt")
    if not len(talk.digits):  # until the link says that it was heard
        queued = " ".join(segment.text for segment in talk.ledger.queue)
        talk.alarm(Alarm.DIGITS, estimate_ms(queued) / 500 + LEAVE_SLACK_S + collector.first_within)


def prompt_heard(talk: Talk) -> None:
    """Nothing is said any more: from here on the caller's time runs, unless it does already."""
    collecting = talk.collecting
    if collecting is not None and not collecting.asked and not talk.ledger.queue:
        collecting.asked = True
        if not len(talk.digits):
            talk.alarm(Alarm.DIGITS, collecting.collector.first_within)


def hush(talk: Talk) -> None:
    """The first key ends what is being said. What the model does beside talking goes on: it may be the very tool that
    the key is for."""
    if talk.ledger.queue:
        talk.history.mark_cut()
        talk.out.append(Flush())
        talk.ledger.flush(talk.now)
    talk.resume()
    if talk.reply is not None and talk.reply.streaming:
        talk.reply.hushed = True


def press(talk: Talk, key: str) -> bool:
    """Take a key. False: it is the finish key of an entry that had its full length already, pressed from habit."""
    stray = key == current(talk).finish and not len(talk.digits) and talk.now <= talk.stray_until
    talk.stray_until = 0.0
    if not stray:
        talk.digits.press(key)
    return not stray


def completed(talk: Talk) -> bool:
    """Settle the collector whose entry the keys have completed; False where they have not."""
    collecting = talk.collecting
    entry = talk.digits.complete(collecting.collector) if collecting is not None else None
    if collecting is None or entry is None:
        return False
    settle(talk, _judge(collecting.collector, entry), entry)
    return True


def overdue(talk: Talk) -> None:
    """No further key came for the collector."""
    collecting = talk.collecting
    if collecting is not None:
        entry = talk.digits.take()
        settle(talk, _judge(collecting.collector, entry) if entry else "timed_out", entry)


def spoken_over(talk: Talk) -> None:
    """The caller has said something instead of keying it in: the model decides what comes of that."""
    if talk.collecting is not None:
        settle(talk, "cancelled", talk.digits.take())


def settle(talk: Talk, outcome: Outcome, entry: str) -> None:
    """Give the tool its result; the model is asked as soon as the floor allows."""
    collecting, talk.collecting = talk.collecting, None
    if collecting is None:
        return
    talk.alarms.clear(Alarm.DIGITS)
    if collecting.collector.mask:
        talk.out.append(Conceal(False))
    answer = talk.tools.pop(collecting.call_id, None)
    if answer is not None:
        answer.text, answer.pending = talk.digits.result(collecting.collector, outcome, entry), False
    talk.note("digits_collected", collector=collecting.collector.name, outcome=outcome, count=len(entry))
    talk.owed = True
    if len(entry) >= collecting.collector.most:
        talk.stray_until = talk.now + STRAY_S
    if len(talk.digits):  # more than was asked for: an entry of its own
        talk.alarm(Alarm.DIGITS, talk.plan.keys.between)


def _judge(collector: Collector, entry: str) -> Outcome:
    return "complete" if len(entry) >= collector.least else "too_short"
