"""Callers put through: the colleague is called, hears his briefing, and is bridged with the caller by FreeSWITCH.

Until then the caller stays with us, whose ringing or music he hears. Once they talk, our leg is gone, and no sound runs
here; when the colleague hangs up, FreeSWITCH itself (`transfer_after_bridge`) sends the caller to the dialplan that
brings him back. So nobody is parked for a daemon that may not come.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import structlog

from sovereign_pbx.core.errors import BadInput, LinkEnded, Refused
from sovereign_pbx.pbx.freeswitch import causes, dialling
from sovereign_pbx.pbx.freeswitch.channels import INSTANCE, Channel, Channels, hang_up
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.orders import Dialler
from sovereign_pbx.pbx.link import Dialled, NextStep
from sovereign_pbx.pbx.sip.control import Calls, HeldCall
from sovereign_pbx.pbx.steps import checked_step

log = structlog.get_logger(__name__)

BRIEFING_S: Final = 10.0
"""How long who was called is kept waiting in silence, until the words for him are there."""
HEARD_S: Final = 90.0  # a briefing ends by itself after 45 s; this is for a desk that has forgotten it
_CONNECT_S: Final = 10.0  # for the leg that brings the briefing's sound
_BEYOND_RING_S: Final = 5.0
_UNTOLD_S: Final = 2.0
# The variables of a user or a gateway that would turn a transfer to another context than the one it names
_UNFORCED: Final = "force_transfer_context=;force_transfer_dialplan="
_STOP_S: Final = 2.0

_CALLER_LEFT: Final = Dialled("failed", "The caller hung up.")
_LEFT: Final = Dialled("declined", "The person called hung up before they were connected.")
_NOT_TAKEN: Final = Dialled("declined", "The person called heard the briefing and did not take the call.")
_TALKED: Final = Dialled("answered", "They talked, and the person called has hung up.", 16)


class _Over(Exception):
    """It has come to this, and the caller is with us still, or gone."""

    def __init__(self, how: Dialled) -> None:
        super().__init__(how.why)
        self.how = how


@dataclass(slots=True)
class _Attempt:
    """One caller, whom somebody is to take."""

    call: HeldCall
    step: NextStep
    caller: Channel
    colleague: Channel
    left: asyncio.Task[Any]  # done when the caller has hung up
    lost: asyncio.Task[Any]  # done when the colleague has
    joined: bool = False


class PutThrough:
    """`number_of` and `channel_of` read the caller's number and FreeSWITCH's id of his channel from a call."""

    def __init__(self, esl: Esl, channels: Channels, calls: Calls, dialler: Dialler) -> None:
        self._esl = esl
        self._channels = channels
        self._calls = calls
        self._dialler = dialler
        self._talking: dict[str, Channel] = {}  # callers with a colleague, by call
        self._called: set[Channel] = set()  # colleagues who are not connected

    async def __call__(self, call: HeldCall, step: NextStep, caller: str, number: str) -> Dialled:
        """See `Control.put_through`. `caller` is the id of the caller's channel, `number` his own."""
        try:
            checked_step(step)
            where = self._dial_string(step, colleague := self._dialler.channel(), number)
        except BadInput as exc:
            return Dialled("failed", str(exc))
        call.play_ringing(step.music)
        attempt = self._begin(call, step, caller, colleague)
        try:
            await self._ring(attempt, where)
            if step.briefing:
                await self._brief(attempt)
            return await self._connect(attempt)
        except _Over as over:
            return over.how
        except (LinkEnded, BadInput, Refused) as exc:
            return Dialled("failed", f"FreeSWITCH could not be told: {exc}")
        finally:
            await self._end(attempt)

    async def hang_up(self, call_id: str, cause: int) -> bool:
        """End the call of a caller who talks with a colleague; False when there is none."""
        caller = self._talking.get(call_id)
        return caller is not None and await hang_up(self._esl, caller, str(cause))

    async def close(self) -> None:
        """No telephone rings on for a daemon that is stopped. Who talks goes on."""
        called, self._called = self._called, set()
        hanging = [hang_up(self._esl, colleague, "ORIGINATOR_CANCEL") for colleague in called]
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await asyncio.gather(*hanging)

    def __len__(self) -> int:
        return len(self._talking)

    # The steps, each of which raises _Over when it came to nothing

    async def _ring(self, attempt: _Attempt, where: str) -> None:
        job = await self._esl.background("originate", where, "&park()")
        try:
            async with asyncio.timeout(attempt.step.ring_s + _BEYOND_RING_S):
                await asyncio.wait({job, attempt.left}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as exc:
            raise _Over(causes.dialled("NO_ANSWER")) from exc
        if attempt.left.done():
            raise _Over(_CALLER_LEFT)
        said = job.result().strip()  # raises LinkBroken: what became of it, the next login finds out
        if not said.startswith("+OK"):
            self._channels.forget(attempt.colleague)
            raise _Over(causes.dialled(causes.cause_in(said)))
        attempt.colleague.born = True

    async def _brief(self, attempt: _Attempt) -> None:
        """Whatever goes wrong here the two are connected: the caller must reach somebody. Only who has heard the
        briefing and has not taken the call is let go."""
        call_id, desk = attempt.call.call_id, self._calls.desk
        if not await self._asked(attempt, desk.briefing(call_id), default=False):
            return
        token = str(uuid4())
        ended = self._calls.expect_briefing(token, _CONNECT_S, call_id)
        try:
            where = f"{self._dialler.context}-brief"
            await self._do("uuid_setvar_multi", attempt.colleague.uuid, _UNFORCED)
            said = await self._esl.api("uuid_transfer", attempt.colleague.uuid, token, "XML", where)
            if not said.startswith("+OK"):
                raise _Over(_LEFT)
            await asyncio.wait(
                {ended, attempt.left, attempt.lost}, timeout=HEARD_S, return_when=asyncio.FIRST_COMPLETED
            )
            self._still(attempt)
            heard = ended.done() and not ended.cancelled() and ended.result()
        finally:
            self._calls.forget(token)
        if not heard:
            log.warning("briefing_without_audio")
        elif not await self._asked(attempt, desk.briefed(call_id), default=True):
            raise _Over(_NOT_TAKEN)

    async def _connect(self, attempt: _Attempt) -> Dialled:
        self._still(attempt)
        call_id, caller, colleague = attempt.call.call_id, attempt.caller, attempt.colleague
        token = str(uuid4())
        back = self._calls.expect_back(token, call_id)
        self._talking[call_id] = caller
        try:
            after = f"transfer_after_bridge={token}:XML:{self._dialler.context}-back"
            own = f"{INSTANCE}={self._dialler.instance}"
            await self._do("uuid_setvar_multi", caller.uuid, f"{own};{after};{_UNFORCED}")
            await self._do("uuid_setvar", colleague.uuid, "park_timeout")
            self._called.discard(colleague)
            await self._bridge(attempt)
            attempt.joined = True  # by now they are FreeSWITCH's affair: neither our end nor an error parts them
            if not await self._together(attempt):
                raise _Over(_CALLER_LEFT)
            log.info("bridged", caller=caller.uuid, colleague=colleague.uuid)
            self._calls.desk.put_through(call_id)
            return await self._talk(attempt, back)
        finally:
            self._talking.pop(call_id, None)
            self._calls.forget(token)

    async def _bridge(self, attempt: _Attempt) -> None:
        try:
            await self._do("uuid_bridge", attempt.caller.uuid, attempt.colleague.uuid)
        except LinkEnded:
            # It may have been done: then our own leg has gone by that, and they talk
            await asyncio.wait({attempt.left}, timeout=_UNTOLD_S)
            if not attempt.left.done():
                raise
            log.warning("bridge_unconfirmed")

    async def _together(self, attempt: _Attempt) -> bool:
        """Whether they talk: +OK says only that both were told to. An event that was lost with the socket is not waited
        for. Who hangs up in this very moment takes the other along."""
        together = _task(attempt.colleague.bridged())
        ended = _task(attempt.caller.gone())
        try:
            await asyncio.wait({together, ended}, timeout=_UNTOLD_S, return_when=asyncio.FIRST_COMPLETED)
            return together.done() or not ended.done()
        finally:
            await _stopped(together, ended)

    async def _talk(self, attempt: _Attempt, back: asyncio.Future[None]) -> Dialled:
        """Until the caller is back, or has hung up, which only FreeSWITCH knows by now."""
        ended = _task(attempt.caller.gone())
        try:
            await asyncio.wait({back, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stopped(ended)
        return _TALKED

    # Private

    def _begin(self, call: HeldCall, step: NextStep, caller: str, colleague: str) -> _Attempt:
        his = self._channels.watch(caller, call.call_id, ours=False)
        theirs = self._channels.watch(colleague, call.call_id, ours=True)
        self._called.add(theirs)
        return _Attempt(call, step, his, theirs, _task(call.ended()), _task(theirs.gone()))

    async def _end(self, attempt: _Attempt) -> None:
        """Nobody rings on, and nobody waits, for a caller who is not to be had any more."""
        if not attempt.caller.ours:
            self._channels.forget(attempt.caller)
        await _stopped(attempt.left, attempt.lost)
        colleague = attempt.colleague
        self._called.discard(colleague)
        is_known = colleague.uuid in self._channels
        self._channels.forget(colleague)
        if is_known and not attempt.joined:
            await hang_up(self._esl, colleague, "NORMAL_CLEARING" if colleague.born else "ORIGINATOR_CANCEL")

    def _dial_string(self, step: NextStep, colleague: str, number: str) -> str:
        prefix = dialling.variables(
            colleague,
            instance=self._dialler.instance,
            ring_s=step.ring_s,
            caller_id=step.caller_id or number,
            diverted_from=step.diverted_from,
            parked=True,
        )
        return prefix + self._dialler.endpoint(step.destination, step.trunk)

    def _still(self, attempt: _Attempt) -> None:
        """Both are there."""
        if attempt.left.done():
            raise _Over(_CALLER_LEFT)
        if attempt.lost.done():
            raise _Over(_LEFT)

    async def _asked(self, attempt: _Attempt, asking: Awaitable[bool], *, default: bool) -> bool:
        """What the desk says; its failures are the default. Raises _Over when one of the two leaves meanwhile."""
        answer = _task(_awaited(asking))
        try:
            await asyncio.wait(
                {answer, attempt.left, attempt.lost}, timeout=BRIEFING_S, return_when=asyncio.FIRST_COMPLETED
            )
            if answer.done() and answer.exception() is None:
                return bool(answer.result())
            self._still(attempt)
            error = answer.exception() if answer.done() else None
            log.warning("briefing_failed", why=repr(error) if error else f"nothing within {BRIEFING_S:g} s")
            return default
        finally:
            await _stopped(answer)

    async def _do(self, command: str, *arguments: str) -> None:
        said = await self._esl.api(command, *arguments)
        if not said.startswith("+OK"):
            raise _Over(Dialled("failed", f"FreeSWITCH does not {command}: {said[:80]}"))


async def _awaited(asking: Awaitable[bool]) -> bool:
    return await asking


def _task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(work)


async def _stopped(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
