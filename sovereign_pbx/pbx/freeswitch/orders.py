"""Calls placed: an originate for each order, once, and what became of it.

A command whose reply was lost is never sent again: it may be ringing at somebody's. Its channel has an id that we
chose, so its end is told by an event, and after a time without the socket by the roll-call of channels.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.pbx.asterisk.attempt import LEFT_EARLY
from sovereign_pbx.pbx.freeswitch import causes, dialling
from sovereign_pbx.pbx.freeswitch.channels import Channel, Channels, hang_up
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.link import DialOrder, NotAnswered
from sovereign_pbx.pbx.sip.control import Calls

log = structlog.get_logger(__name__)

# FreeSWITCH gives up by itself after the ring time-out; nobody will tell of an order that is not settled after that.
FORGOTTEN_S: Final = 15.0
# From the answer to the INVITE of the dialplan it is milliseconds.
_TAKEN_S: Final = 10.0
_LOST: Final = NotAnswered("error", "What became of the call is not known: FreeSWITCH did not tell.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialler:
    """How this installation dials."""

    instance: str
    mark: str
    profile: str
    context: str

    def channel(self) -> str:
        """A new channel's id."""
        return dialling.new_id(self.mark)

    def endpoint(self, destination: str, trunk: str) -> str:
        """Raises BadInput."""
        return dialling.endpoint(destination, trunk, profile=self.profile, context=self.context)


class Orders:
    """Places calls, and tells the desk of those that came to nothing."""

    def __init__(self, esl: Esl, channels: Channels, calls: Calls, dialler: Dialler) -> None:
        self._esl = esl
        self._channels = channels
        self._calls = calls
        self._dialler = dialler
        self._by_call: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._by_call)

    async def place(self, order: DialOrder) -> None:
        """Give the order. See `Pbx.originate`."""
        uuid, token = self._dialler.channel(), str(uuid4())
        prefix = dialling.variables(
            uuid,
            instance=self._dialler.instance,
            ring_s=order.ring_s,
            caller_id=order.caller_id,
            customers=order.variables,
        )
        where = prefix + self._dialler.endpoint(order.destination, order.trunk)
        channel = self._channels.watch(uuid, order.call_id, ours=True)
        self._by_call[order.call_id] = channel
        self._calls.expect_call(token, order.ring_s + FORGOTTEN_S + _TAKEN_S, order)
        job: asyncio.Future[str] | None = None
        try:
            job = await self._esl.background("originate", where, token, "XML", f"{self._dialler.context}-outbound")
        except LinkEnded as exc:
            log.warning("originate_unconfirmed", call_id=order.call_id, why=str(exc))
        except BaseException:
            self._abandon(channel, token)
            raise
        self._own(self._follow(order, channel, token, job))

    async def hang_up(self, call_id: str, cause: int) -> bool:
        """End a call that nobody has answered yet; False when there is none."""
        channel = self._by_call.get(call_id)
        if channel is None:
            return False
        await hang_up(self._esl, channel, str(cause))
        return True

    async def close(self) -> None:
        """Forget every order."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._by_call.clear()

    # Private

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, order: DialOrder, channel: Channel, token: str, job: asyncio.Future[str] | None) -> None:
        with bound_contextvars(call_id=order.call_id):
            try:
                how = await self._outcome(order, channel, token, job)
            except Exception:
                log.exception("order_failed")
                how = _LOST
            self._by_call.pop(order.call_id, None)
            if self._calls.awaits(token):
                self._settle(order, token, how)
                if not channel.is_gone:
                    await hang_up(self._esl, channel, "NORMAL_CLEARING")

    async def _outcome(
        self, order: DialOrder, channel: Channel, token: str, job: asyncio.Future[str] | None
    ) -> NotAnswered:
        """What is to be said where nobody has come to talk by now."""
        said = await self._said(channel, job, order.ring_s + FORGOTTEN_S)
        if said.startswith("-ERR"):
            self._channels.forget(channel)
            return causes.not_answered(causes.cause_in(said))
        if not said:
            return causes.not_answered(channel.cause) if channel.cause else _LOST
        channel.born = True
        log.info("order_answered", channel=channel.uuid)
        try:
            async with asyncio.timeout(_TAKEN_S):
                await channel.gone()
        except TimeoutError:
            why = "It was answered, but the dialplan of calls placed did not bring it here: is it loaded?"
            return NotAnswered("error", why)
        return NotAnswered("user_hangup", LEFT_EARLY, causes.Q850.get(channel.cause))

    async def _said(self, channel: Channel, job: asyncio.Future[str] | None, within_s: float) -> str:
        """What the originate came to; "" where it was not told (then the channel is gone, or nobody knows)."""
        gone: asyncio.Task[Any] = asyncio.get_running_loop().create_task(channel.gone())
        try:
            async with asyncio.timeout(within_s):
                if job is not None:
                    await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
                    if not job.done():  # the end of the channel overtook the job's
                        await asyncio.wait({job}, timeout=_TAKEN_S)
                    if job.done() and job.exception() is None:
                        return job.result().strip() or "-ERR"
                await gone
        except TimeoutError:
            pass
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        return ""

    def _settle(self, order: DialOrder, token: str, how: NotAnswered) -> None:
        self._calls.forget(token)
        log.info("not_answered", reason=how.reason, why=how.why, cause=how.cause)
        try:
            self._calls.desk.not_answered(order.call_id, how)
        finally:
            self._calls.desk.gone(order.call_id, how.cause)

    def _abandon(self, channel: Channel, token: str) -> None:
        """It was not taken: whoever gave the order is told by an exception."""
        self._by_call.pop(channel.call_id, None)
        self._channels.forget(channel)
        self._calls.forget(token)
