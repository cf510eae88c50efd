"""Whom a caller may be put through to, and what the model is told about it, whichever kind of model it is.

All that is against a transfer is known before a word of its announcement is said: the model may name none but the
plan's destinations, and `Plan.refusal` is the administrator's allow-list and the trunk.
"""

from dataclasses import replace
from typing import Final

from sovereign_pbx.core.commands import HandOver
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.values import TransferOutcome

NO_DESTINATION: Final = "Not transferred: `destination` must be one of those that the tool names."
TOO_OFTEN: Final = "it has been tried often enough in this call"
SAY_SO: Final = (
    "The caller is back on the line with you and hears you again. In one or two short sentences, and in the language of"
    " the conversation, tell him what became of the transfer and ask what you can do for him instead."
)
LONGEST_SUMMARY: Final = 600  # characters: half a minute for the colleague's ears; a model may write pages
_PUNCTUATION: Final = str.maketrans("", "", " -./()")  # models write numbers as people do
_BECAME: Final[dict[TransferOutcome, str]] = {
    "declined": "the person called did not want to take the call",
    "busy": "the line was busy",
    "no_answer": "nobody answered",
    "failed": "the connection could not be made",
}


def wanted(plan: Plan, destination: str, summary: str, attempts: int) -> tuple[HandOver, str] | str:
    """(how the call is parted with, what is announced), or why not, for the model. `attempts`: made in this call."""
    number = destination.translate(_PUNCTUATION)
    known = (each for each in plan.transfers if each.destination.translate(_PUNCTUATION) == number)
    transfer = next(known, None)
    if transfer is None:  # whatever a caller talked the model into
        return NO_DESTINATION
    why = refusal(plan, transfer.destination, attempts)
    if why:
        return not_put_through(why)
    told = " ".join(summary.split())[:LONGEST_SUMMARY] if transfer.terms.mode == "attended" else ""
    return HandOver(transfer.destination, "transferred", terms=replace(transfer.terms, summary=told)), transfer.message


def refusal(plan: Plan, destination: str, attempts: int) -> str:
    """What is against it, as a part of a sentence; "" for nothing."""
    return TOO_OFTEN if attempts >= plan.max_transfers else plan.refusal(destination)


def not_put_through(why: str) -> str:
    """For the model, which must not promise it."""
    return f"Not transferred: {why}. Tell the caller that this connection can't be made."


def came_back(destination: str, outcome: TransferOutcome) -> str:
    """What the model remembers of a transfer that nobody took."""
    became = _BECAME.get(outcome, "it came to nothing")
    return f"The transfer to {destination} did not succeed: {became}. The caller is back with you."
