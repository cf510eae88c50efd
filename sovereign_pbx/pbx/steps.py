"""What the desk decides, checked before a PBX acts on it."""

from typing import Final

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.pbx.harmless import destination, music_class, shown_number, trunk
from sovereign_pbx.pbx.link import Decision, NextStep

CAUSE_BUSY: Final = 17
CAUSE_REJECTED: Final = 21

MAX_RING_S: Final = 3600

# Beyond this a call that is passed on and comes back runs in a circle; the dialplan counts by itself as well.
MAX_ROUNDS: Final = 20


def checked(decision: Decision) -> Decision:
    """Raises BadInput for a decision that must not reach the dialplan."""
    if decision.action == "divert":
        destination(decision.destination)
    if decision.cause is not None and not 0 < decision.cause < 128:
        raise BadInput(f"{decision.cause} is no Q.850 cause (1 to 127)")
    if decision.action not in ("answer", "reject", "divert", "busy", "fallback"):
        raise BadInput(f"{decision.action!r} is no decision")
    return decision


def checked_step(step: NextStep) -> NextStep:
    """Raises BadInput for a step that must not reach the dialplan."""
    if step.step == "dial":
        destination(step.destination)
        trunk(step.trunk)
        shown_number("the caller id", step.caller_id)
        shown_number("the number diverted from", step.diverted_from)
        music_class(step.music)
        if not 1 <= step.ring_s <= MAX_RING_S:
            raise BadInput(f"{step.ring_s:g} s is no time to let a telephone ring (1 to {MAX_RING_S})")
    if step.step not in ("hangup", "dial", "talk", "fallback"):
        raise BadInput(f"{step.step!r} is no step")
    return step
