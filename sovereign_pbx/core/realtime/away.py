"""While the caller is being put through: nobody took him and he is back, or the session does not last as long.

What holds for conversations with a model for text (`core/moves/away.py`) holds here: nobody is cut off while he waits,
and when he is back the model says what became of it before anything else.
"""

from sovereign_pbx.core import destinations
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HangUp
from sovereign_pbx.core.events import Instructed, TransferEnded
from sovereign_pbx.core.moves.away import GRACE_S
from sovereign_pbx.core.realtime.line import ask_consent
from sovereign_pbx.core.realtime.memory import Live, Phase
from sovereign_pbx.core.realtime.signals import Hear, Respond, SessionLost


def transfer_ended(live: Live, event: TransferEnded) -> None:
    live.note("transfer_ended", outcome=event.outcome, attempts=live.transfers)
    if live.limit_passed:
        live.limit_passed = False
        live.alarm(Alarm.LIMIT, GRACE_S)
    if live.stranded:
        live.stranded = False
        live.renew(planned=False)
    if live.plan.consent is not None and not live.agreed:
        live.phase = Phase.CONSENT
        live.asked_consent = 0
        ask_consent(live)
        return
    live.phase = Phase.TALKING
    live.out.append(Hear(live.held_at is None))
    text = destinations.came_back(live.bound_for, event.outcome)
    live.history.add("system", text)
    live.tell("system", text)
    live.ask(Respond(destinations.SAY_SO))


def instructed_away(live: Live, event: Instructed) -> None:
    """There is nobody to be spoken to. What the model is to know it will know when he is back."""
    text = event.text.strip()
    if event.kind == "end" or (event.kind == "say" and event.then):
        live.end(HangUp("api_end_call"))
    elif event.kind == "inject" and text:
        live.history.add("system", text)
        live.tell("system", text)
    else:
        live.note("instructed_too_late", kind=event.kind)


def session_lost_away(live: Live, event: SessionLost) -> None:
    """Nobody misses it yet: another one is opened, and when that fails too, once more for him who is back."""
    live.note("session_lost", kind=event.error.kind, error=str(event.error))
    if live.lost:
        live.stranded = True
    else:
        live.renew(planned=False)
