"""One parked channel with its sound, steered over the event socket: for `pbx.sip.sip_call`, what a dialog is
elsewhere.

`answer` and `early` wait for the event that tells the codec before any sound is asked for: FreeSWITCH crashes as a
whole where it is asked earlier, and where the command for the answer and the one for the sound meet a caller who hangs
up (1.10.12; the order kept here survived 40 of 40 such calls).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkClosed, LinkEnded, LinkFinished, Refused
from sovereign_pbx.pbx.freeswitch.causes import Q850
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.paced import Sound
from sovereign_pbx.pbx.harmless import destination
from sovereign_pbx.pbx.sip.leg import LegEars
from sovereign_pbx.pbx.sip.refusal import CAUSE_FALLBACK, Refusal
from sovereign_pbx.wire.esl import Event

log = structlog.get_logger(__name__)

MEDIA_S: Final = 5.0  # from the command to the event of the answer
PARK_S: Final = 5.0  # from a transfer to the event of the new park
MAX_RECOVERIES: Final = 5
"""Of one call. Whoever plays something to it again and again wants it more than we do."""

AGAIN: Final = "again"
FALLBACK: Final = "fallback"
_MEDIA: Final = ("answered", "early")
_SOUND_EVENTS: Final = ("CHANNEL_ANSWER", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_PARK")


class ParkedLeg:
    """From its first CHANNEL_PARK until it is gone, or somebody else's. `context`: what the names of its dialplan's
    contexts begin with. `spawn` owns a task of it."""

    def __init__(
        self,
        esl: Esl,
        uuid: str,
        sound: Sound,
        *,
        context: str,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        on_over: Callable[["ParkedLeg"], None] = lambda leg: None,
    ) -> None:
        self.uuid = str(UUID(uuid))
        self.rate = 0
        self.parks = 0
        self.ears: LegEars | None = None
        self.sound = sound
        self.is_answered = False
        self.is_away = False  # connected with somebody, or on its way; not parked
        self._esl = esl
        self._context = context
        self._spawn = spawn
        self._on_over = on_over
        self._news: set[asyncio.Future[None]] = set()
        self._is_over = asyncio.Event()
        self._cause: int | None = None
        self._recoveries = 0
        sound.on_lost = self._lost

    @property
    def up(self) -> bool:
        return not self._is_over.is_set()

    async def ended(self) -> int | None:
        """Wait for the end; the Q.850 cause, where one was told."""
        await self._is_over.wait()
        return self._cause

    # --- what FreeSWITCH tells

    def event(self, event: Event) -> None:
        """Any event of this channel."""
        if not self.up:
            return
        if event.name in _SOUND_EVENTS and event.get("Answer-State") in _MEDIA and event.variable("read_codec"):
            rate = event.variable("read_rate")
            self.rate = int(rate) if rate.isascii() and rate.isdigit() and len(rate) < 7 else 0
            self.is_answered = event.get("Answer-State") == "answered"
        if event.name == "CHANNEL_PARK":
            self.parks += 1
            self.is_away = False
        elif event.name == "CHANNEL_UNPARK":
            self.is_away = True
            self.sound.rest()
        elif event.name == "DTMF":
            self._digit(event.get("DTMF-Digit"))
        elif event.name == "CHANNEL_HANGUP_COMPLETE":
            self.end(Q850.get(event.get("Hangup-Cause")), LinkFinished("the caller hung up"))
        self._tell()

    def _digit(self, digit: str) -> None:
        if self.ears is not None and len(digit) == 1 and digit.upper() in "0123456789*#ABCD":
            self.ears.digit(digit.upper())

    def _tell(self) -> None:
        for waiter in self._news:
            if not waiter.done():
                waiter.set_result(None)
        self._news.clear()

    # --- what we want

    async def ring(self) -> None:
        """180. Raises LinkEnded."""
        await self._execute("ring_ready")

    async def answer(self) -> None:
        """200, and the sound. Raises LinkEnded, BadInput."""
        await self._execute("answer")
        await self._until(lambda: self.is_answered and self.rate > 0, MEDIA_S, "no answer was made of the channel")
        await self.bring()

    async def early(self) -> None:
        """183, and the sound. Raises LinkEnded, BadInput."""
        await self._execute("pre_answer")
        await self._until(lambda: self.rate > 0, MEDIA_S, "the channel has no early media")
        await self.bring()

    async def bring(self) -> None:
        """The sound of a channel that has media. Raises LinkEnded, BadInput."""
        await self.sound.bring(self)

    async def parked_again(self, parks: int) -> None:
        """Wait for a park after the first `parks`. Raises LinkEnded."""
        await self._until(lambda: self.parks > parks, PARK_S, "the dialplan did not park the channel again")

    async def bye(self, cause: int = 16) -> None:
        """End it, or with the cause of the fallback have the dialplan go on with it. Raises nothing."""
        if not self.up:
            return
        try:
            await self._esl.api("sched_del", self.uuid)
            if cause == CAUSE_FALLBACK:
                await self._transfer(FALLBACK)
            else:
                await self._esl.message(self.uuid, "hangup", {"hangup-cause": str(cause)})
        except (LinkEnded, BadInput) as exc:
            log.warning("parked_bye_failed", why=str(exc))
        self.end(cause, LinkClosed("ended by us"))

    async def hang_up(self, cause: int = 16) -> None:
        await self.bye(cause)

    def refuse(self, refusal: Refusal) -> None:
        """There is one way to end a channel, answered or not: `bye`."""

    async def divert(self, wanted: str) -> None:
        """Send who has not been answered elsewhere: to an extension of the administrator's, or by 302 to an address.
        Raises LinkEnded, BadInput."""
        wanted = destination(wanted)
        await self._esl.api("sched_del", self.uuid)
        if wanted.startswith(("sip:", "sips:")):
            await self._execute("redirect", wanted)
        else:
            await self._esl.api("uuid_transfer", self.uuid, wanted, "XML", f"{self._context}-dial")
        self.end(None, LinkClosed("diverted"))

    async def refer(self, refer_to: str, *, within_s: float) -> int:
        raise Refused("not_by_sip", "this call did not come over SIP")

    async def send_digit(self, digit: str) -> None:
        """Raises LinkEnded."""
        await self._esl.api("uuid_send_dtmf", self.uuid, digit)

    async def hold_back(self, after_s: int) -> None:
        """Have FreeSWITCH itself take the caller to the fallback in `after_s` seconds, if it hears nothing of us until
        then; while he is with somebody else, don't. Raises nothing."""
        try:
            await self._esl.api("sched_del", self.uuid)
            if self.up and not self.is_away:
                where = f"{self._context}-parked"
                await self._esl.api("sched_transfer", f"+{after_s}", self.uuid, FALLBACK, "XML", where)
            self.sound.check()
        except (LinkEnded, BadInput) as exc:
            log.warning("parked_hold_failed", why=str(exc))

    def end(self, cause: int | None, how: LinkEnded) -> None:
        """It is no longer ours, or no more. Idempotent."""
        if not self.up:
            return
        self._cause = cause
        self._is_over.set()
        self._tell()
        try:
            if self.ears is not None:
                self.ears.over(cause, how)
        except Exception:
            log.exception("parked_end_failed")
        finally:
            self.sound.close(how)
            self._on_over(self)

    # --- private

    def _lost(self) -> None:
        """Something was played to the caller, or the sound broke: it comes again in a new park only."""
        if self.up and not self.is_away:
            self._spawn(self._recover(), "parked-recovery")

    async def _recover(self) -> None:
        self._recoveries += 1
        parks = self.parks
        try:
            if self._recoveries > MAX_RECOVERIES:
                raise LinkBroken("the sound was lost too often")
            await self._transfer(AGAIN)
            await self.parked_again(parks)
            await self.bring()
        except (LinkEnded, BadInput) as exc:
            if self.up:
                log.warning("parked_recovery_failed", why=str(exc))
                await self.bye(CAUSE_FALLBACK)
        else:
            log.info("parked_recovered", times=self._recoveries)

    async def _transfer(self, extension: str) -> None:
        where = f"{self._context}-parked"
        said = await self._esl.api("uuid_transfer", self.uuid, extension, "XML", where)
        if not said.startswith("+OK"):
            raise LinkBroken(f"FreeSWITCH does not transfer the channel: {said[:80]}")

    async def _execute(self, application: str, argument: str = "") -> None:
        """Have an application run in the park loop; "+OK" says that it is queued. Raises LinkEnded, BadInput."""
        headers = {"execute-app-name": application, **({"execute-app-arg": argument} if argument else {})}
        said = await self._esl.message(self.uuid, "execute", headers)
        if not said.startswith("+OK"):
            raise LinkFinished(f"FreeSWITCH does not {application}: {said[:80]}")

    async def _until(self, condition: Callable[[], bool], within_s: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(within_s):
                while self.up and not condition():
                    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._news.add(waiter)
                    await waiter
        except TimeoutError as exc:
            raise LinkBroken(f"{otherwise} within {within_s:g} s") from exc
        if not self.up:
            raise LinkFinished("the caller hung up")
