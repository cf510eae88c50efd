"""Calls placed: an AMI Originate for each order, once, and what became of it.

An action whose answer was lost is never sent again: it may be ringing at somebody's. Its channel has an id that we
chose, so events, and after a time without AMI the roll-call of channels, tell what became of it.
"""

import asyncio
from typing import Final
from uuid import uuid4

import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.core.errors import BadInput, LinkEnded, Refused
from sovereign_pbx.pbx.asterisk.agi_text import own_variables
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.ami_connection import Field
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.attempt import Attempt
from sovereign_pbx.pbx.asterisk.lines import Line, Lines
from sovereign_pbx.pbx.harmless import destination, number, trunk
from sovereign_pbx.pbx.link import Desk, DialOrder

log = structlog.get_logger(__name__)

# OriginateResponse and the Hangups of one call come within milliseconds of each other.
_LAST_EVENTS_S: Final = 0.5
# Asterisk gives up by itself after the ring time-out; nobody will tell of an order that is not settled after that.
_FORGOTTEN_S: Final = 15.0
# An Originate that was sent as the connection broke may be acted on a moment after we are back.
_SECOND_LOOK_S: Final = 1.0
# Asterisk has taken the order, but not yet made its channel: there is nothing to hang up for a moment.
_HANG_UP_TRIES: Final = 10
_HANG_UP_EVERY_S: Final = 0.1

_HELP: Final = {
    "Permission denied": "the manager user may not place calls: add originate to its write line in manager.conf",
    "Extension does not exist.": "its dialplan has no context for outbound calls: print this version's and reload",
}


class Originator:
    """Places calls. `context` is the first part of the dialplan's contexts, as it was printed; with `began` begin the
    ids of the channels, by which a later daemon knows them for its own."""

    def __init__(self, ami: Ami, lines: Lines, desk: Desk, context: str, began: str = "sovereign-") -> None:
        self._ami = ami
        self._lines = lines
        self._desk = desk
        self._context = context
        self._began = began
        self._attempts: dict[str, Attempt] = {}  # by Uniqueid of our channel
        self._by_action: dict[str, Attempt] = {}

    async def originate(self, order: DialOrder) -> None:
        """Give the order. See `Pbx.originate`."""
        fields, variables = self._fields(order), self._variables(order)
        line = self._lines.open(order.call_id, "", f"{self._began}{uuid4()}")
        if line is None:
            raise Refused("too_many_calls", "there are as many calls as there may be")
        self._lines.retoken(line, str(uuid4()))  # the call's id is told to others; this is the key to its audio
        self._lines.enter(line, "dialling")
        attempt = self._begin(line, order)
        try:
            answer = await self._ami.begin("Originate", {**fields, **_of(line, attempt, variables)})
        except BadInput:
            self._abandon(attempt)
            raise
        except LinkEnded as exc:
            log.warning("originate_unconfirmed", call_id=order.call_id, why=str(exc))
            return
        if not answer.ok:
            self._abandon(attempt)
            said = answer.get("Message")
            raise Refused("pbx_unavailable", f"Asterisk does not place the call: {_HELP.get(said, said)}")
        log.info("originated", call_id=order.call_id, where=attempt.where)

    def answered(self, line: Line) -> None:
        """The dialplan has asked for it: it is a call like every other from now on."""
        self._forget(self._attempts.get(line.pbx_id))

    def event(self, message: AmiMessage) -> None:
        """Any AMI event."""
        for attempt in self._concerned(message):
            attempt.take(message)
            if attempt.ended:
                self._settle_soon(attempt)

    async def reconcile(self) -> None:
        """After a time without AMI: find out which orders have no channel any more."""
        missed = [attempt for attempt in self._attempts.values() if attempt.session != self._ami.sessions]
        if not missed:
            return
        await asyncio.sleep(_SECOND_LOOK_S)
        answer = await self._ami.action("CoreShowChannels")
        if not answer.ok:
            log.warning("reconciliation_refused", why=answer.get("Message"))
            return
        shown = {entry.get("Uniqueid") for entry in answer.entries}
        for attempt in missed:
            attempt.session = self._ami.sessions
            if attempt.line.pbx_id not in shown and self._attempts.get(attempt.line.pbx_id) is attempt:
                self._settle(attempt)
            elif attempt.line.hang_up:
                await self._hang_up(attempt.line, 16)

    async def hang_up(self, line: Line, cause: int) -> None:
        """End a call that nobody has answered. Where it can't be done at once, it is as soon as he answers."""
        for _ in range(_HANG_UP_TRIES):
            if line.phase != "dialling" or not self._lines.holds(line) or not self._ami.connected:
                return
            if await self._hang_up(line, cause):
                return
            await asyncio.sleep(_HANG_UP_EVERY_S)

    def close(self) -> None:
        """Forget every order."""
        for attempt in tuple(self._attempts.values()):
            self._forget(attempt)

    # Private

    def _fields(self, order: DialOrder) -> dict[str, Field]:
        """Where to, as whom, and where to from there. Raises BadInput."""
        caller = {"CallerID": f"<{number(order.caller_id)}>"} if order.caller_id else {}
        return {
            "Channel": self._channel(order),
            "Context": f"{self._context}-outbound",
            "Exten": "s",
            "Priority": 1,
            "Timeout": round(order.ring_s * 1000),
            **caller,
        }

    def _channel(self, order: DialOrder) -> str:
        wanted, endpoint = destination(order.destination), trunk(order.trunk)
        if wanted.startswith(("sip:", "sips:")):
            return f"Local/uri@{self._context}-dial/n"
        if endpoint:
            return f"PJSIP/{number(wanted)}@{endpoint}"
        return f"Local/{number(wanted)}@{self._context}-dial/n"

    def _variables(self, order: DialOrder) -> list[str]:
        """For the administrator's context, where the call goes through it: destination and trunk, as in a transfer."""
        own = [f"__SOVEREIGN_DEST={destination(order.destination)}", f"__SOVEREIGN_TRUNK={trunk(order.trunk)}"]
        return own + own_variables(order.variables)

    def _begin(self, line: Line, order: DialOrder) -> Attempt:
        where = f"{order.destination} on trunk {order.trunk}" if order.trunk else order.destination
        attempt = Attempt(line, f"sovereign-{uuid4()}", where, self._ami.sessions)
        attempt.channels.add(line.pbx_id)
        self._arm(attempt, order.ring_s + _FORGOTTEN_S)
        self._attempts[line.pbx_id] = self._by_action[attempt.action_id] = attempt
        return attempt

    def _concerned(self, message: AmiMessage) -> tuple[Attempt, ...]:
        if not self._attempts:
            return ()
        if message.event == "OriginateResponse":
            attempt = self._by_action.get(message.get("ActionID"))
            return (attempt,) if attempt is not None else ()
        names = {message.get(name) for name in ("Uniqueid", "DestUniqueid", "Channel", "DestChannel")} - {""}
        return tuple(attempt for attempt in self._attempts.values() if attempt.channels & names)

    def _settle_soon(self, attempt: Attempt) -> None:
        if attempt.complete:
            self._settle(attempt)
        elif not attempt.settling:
            attempt.settling = True
            self._arm(attempt, _LAST_EVENTS_S)

    def _arm(self, attempt: Attempt, seconds: float) -> None:
        self._disarm(attempt)
        attempt.timer = asyncio.get_running_loop().call_later(seconds, self._settle, attempt)

    def _disarm(self, attempt: Attempt) -> None:
        if attempt.timer is not None:
            attempt.timer.cancel()

    def _settle(self, attempt: Attempt) -> None:
        attempt.lost = not attempt.ended
        line, how = attempt.line, attempt.verdict()
        self._forget(attempt)
        if not self._lines.holds(line):
            return
        with bound_contextvars(call_id=line.call_id):
            log.info("not_answered", reason=how.reason, why=how.why, cause=how.cause, causes=attempt.causes)
            try:
                self._desk.not_answered(line.call_id, how)
            finally:
                self._lines.close(line, how.cause)

    def _abandon(self, attempt: Attempt) -> None:
        """It was not taken: whoever gave the order is told by an exception."""
        self._forget(attempt)
        self._lines.close(attempt.line, None)

    def _forget(self, attempt: Attempt | None) -> None:
        if attempt is not None:
            self._attempts.pop(attempt.line.pbx_id, None)
            self._by_action.pop(attempt.action_id, None)
            self._disarm(attempt)

    async def _hang_up(self, line: Line, cause: int) -> bool:
        try:
            return (await self._ami.action("Hangup", Channel=line.pbx_id, Cause=cause)).ok
        except (LinkEnded, BadInput) as exc:
            log.warning("hang_up_failed", call_id=line.call_id, why=str(exc))
            return False


def _of(line: Line, attempt: Attempt, variables: list[str]) -> dict[str, Field]:
    """What is this attempt's own."""
    return {
        "ActionID": attempt.action_id,
        "ChannelId": line.pbx_id,
        "Variable": [f"SOVEREIGN_CALL={line.token}", *variables],
    }
