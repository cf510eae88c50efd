"""One call of a scripted phone: what the person at the phone can do, and what came of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.testing.call_audio import CallAudio
from sovereign_pbx.testing.rtp_ear import RtpEar
from sovereign_pbx.testing.rtp_mouth import RtpMouth
from sovereign_pbx.testing.sip_dialog import Dialog, Headers, Transaction
from sovereign_pbx.testing.sip_message import Direction, Media, SipMessage
from sovereign_pbx.testing.utterance import Utterance

ANSWER_DEADLINE_S = 10.0
TRANSACTION_DEADLINE_S = 8.0

How = Literal["we hung up", "they hung up", "refused", "cancelled", "phone closed"]


class CallFailed(SovereignError):
    """The call was not answered; `status` is the final response's code, 0 when none came."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class SipResponse:
    """A response to our INVITE and when it came."""

    at: float
    status: int
    message: SipMessage


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How the call ended. `cause` is the Q.850 number in the other side's Reason header, if it sent one."""

    how: How
    at: float
    cause: int | None = None


class SipCall:
    """A call that a `SipPhone` placed or was offered. Times are the event loop's clock."""

    def __init__(self, dialog: Dialog, audio: CallAudio, send: Callable[[SipMessage], None]) -> None:
        self._dialog = dialog
        self._audio = audio
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._transactions: dict[tuple[int, str], Transaction] = {}
        self.invited_at = self._loop.time()
        self.answered_at: float | None = None
        self.responses: list[SipResponse] = []
        self.infos: list[SipMessage] = []
        self.end: CallEnd | None = None
        self.early = asyncio.Event()
        self._settled = asyncio.Event()
        self._ended = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._they_hung_up = False

    @property
    def call_id(self) -> str:
        """The Call-ID header: Asterisk has it as CHANNEL(pjsip,call-id)."""
        return self._dialog.call_id

    @property
    def invite(self) -> SipMessage:
        """The request that offered this call. Raises CallFailed when we placed it."""
        if self._dialog.invite is None:
            raise CallFailed("this call was placed, not offered")
        return self._dialog.invite

    @property
    def ear(self) -> RtpEar:
        return self._audio.ear

    # Public: waiting

    async def answered(self, deadline_s: float = ANSWER_DEADLINE_S) -> None:
        """Wait for the answer. Raises CallFailed when the call ends first or nothing comes in time."""
        try:
            await asyncio.wait_for(self._settled.wait(), deadline_s)
        except TimeoutError as exc:
            raise CallFailed(f"no answer within {deadline_s} s") from exc
        if self.answered_at is None:
            status = self.responses[-1].status if self.responses else 0
            raise CallFailed(f"the call ended unanswered: {self.end}, status {status}", status)

    async def over(self, deadline_s: float = ANSWER_DEADLINE_S) -> CallEnd:
        """Wait for the end, whoever brings it. Raises TimeoutError."""
        await asyncio.wait_for(self._ended.wait(), deadline_s)
        assert self.end is not None
        return self.end

    # Public: audio

    def say(self, pcm: bytes) -> Utterance:
        """Say 8 kHz PCM, behind what is being said already."""
        return self._mouth().say(pcm)

    def say_wide(self, pcm: bytes) -> Utterance:
        """Say 16 kHz PCM, in a call that speaks G.722."""
        return self._mouth().say_wide(pcm)

    def hush(self) -> None:
        """Fall silent at once."""
        self._mouth().hush()

    async def press(self, digits: str, press_s: float = 0.1, gap_s: float = 0.1) -> None:
        """Press keys as telephone events (RFC 4733), until the last one has been released."""
        await self._mouth().press(digits, press_s, gap_s).wait()

    # Public: what a caller does

    async def hang_up(self, reason: str = "") -> None:
        """BYE, with a Reason header ("Q.850;cause=16") if given; returns when the other side has confirmed.

        Who was called waits for the ACK of his answer first (RFC 3261, 15): Asterisk refuses a BYE that overtakes it.
        Raises CallFailed when the other side knows of no such call.
        """
        if self.end is None:
            if self._dialog.invite is not None:
                await self._until_acknowledged()
            self._finish("we hung up")
            done = await self._transact(self._dialog.request("BYE", extra=[("Reason", reason)] if reason else ()))
            if done.status >= 300 and not self._they_hung_up:  # a BYE of theirs that crossed ours leaves nothing to end
                raise CallFailed(f"our BYE was refused: {done.start}", done.status)

    async def cancel(self) -> None:
        """Give up before the answer; returns when the other side has confirmed."""
        await self._transact(self._dialog.cancel())
        await self.over(TRANSACTION_DEADLINE_S)

    async def hold(self) -> None:
        """Re-INVITE with sendonly, and fall silent as a phone on hold does."""
        await self._offer_again("sendonly")
        self._mouth().muted = True

    async def unhold(self) -> None:
        await self._offer_again("sendrecv")
        self._mouth().muted = False

    # Public: what a callee does

    def ring(self) -> None:
        self._reply(self.invite, "180 Ringing")

    async def progress(self) -> None:
        """Early media: the caller hears what is said from now on, before any answer."""
        await self._accept("183 Session Progress")

    async def answer(self) -> None:
        await self._accept("200 OK")
        self.answered_at = self._loop.time()
        self._settled.set()

    def decline(self, status: str = "603 Decline", reason: str = "") -> None:
        """Refuse, with a Reason header if given."""
        self._reply(self.invite, status, extra=[("Reason", reason)] if reason else ())
        self._finish("refused")

    # For the phone

    async def place(self, headers: Headers) -> None:
        """Send the INVITE."""
        await self._audio.open()
        self.invited_at = self._loop.time()
        self._start(self._dialog.request("INVITE", body=self._audio.description(), extra=headers))

    def take(self, message: SipMessage) -> None:
        """A message of this call."""
        if not message.status:
            self._take_request(message)
            return
        transaction = self._transactions.get(message.cseq)
        if message.method == "INVITE":
            self._take_invite_response(message)
        if transaction is not None:
            transaction.take(message)

    def close(self) -> None:
        self._finish("phone closed")
        for transaction in self._transactions.values():
            transaction.stop()
        self._audio.close()

    # Private

    def _mouth(self) -> RtpMouth:
        if self._audio.mouth is None:
            raise CallFailed("the call has no audio yet: answer() or progress() comes first")
        return self._audio.mouth

    def _take_request(self, message: SipMessage) -> None:
        if message.method == "INVITE":
            self._take_invite(message)
        elif message.method == "ACK":
            self._acknowledged.set()
        else:
            self._reply(message, "200 OK")
        if message.method == "INFO":
            self.infos.append(message)
        elif message.method == "BYE":
            self._they_hung_up = True
            self._finish("they hung up", message.cause)
        elif message.method == "CANCEL" and self.answered_at is None:
            self._reply(self.invite, "487 Request Terminated")
            self._finish("cancelled", message.cause)

    def _take_invite(self, message: SipMessage) -> None:
        """Of a call in progress: the other side holds, or moves its audio. Unanswered, it is a repetition."""
        if self.answered_at is not None:
            self._reply(message, "200 OK", self._audio.description())
            self._audio.connect(Media.parse(message.body))

    def _take_invite_response(self, message: SipMessage) -> None:
        self.responses.append(SipResponse(self._loop.time(), message.status, message))
        self._dialog.learn(message)
        if message.body and message.status < 300:
            self._audio.connect(Media.parse(message.body))
        if 100 < message.status < 200 and message.body:
            self.early.set()
        if message.status < 200:
            return
        self._send(self._dialog.acknowledge(message))
        if message.status >= 300 and self.answered_at is None:
            self._finish("cancelled" if message.status == 487 else "refused", message.cause)
        elif self.answered_at is None and self.end is None:
            self.answered_at = self._loop.time()
            self._settled.set()

    async def _accept(self, status: str) -> None:
        await self._audio.open()
        self._reply(self.invite, status, self._audio.description())
        self._audio.connect(Media.parse(self.invite.body))

    async def _offer_again(self, direction: Direction) -> None:
        await self._transact(self._dialog.request("INVITE", body=self._audio.description(direction)))

    def _start(self, message: SipMessage) -> Transaction:
        transaction = self._transactions[message.cseq] = Transaction(self._send, message)
        return transaction

    async def _transact(self, message: SipMessage) -> SipMessage:
        transaction = self._start(message)
        try:
            await asyncio.wait_for(transaction.answered.wait(), TRANSACTION_DEADLINE_S)
        except TimeoutError as exc:
            raise CallFailed(f"no answer to our {message.method}") from exc
        finally:
            transaction.stop()
        assert transaction.answer is not None
        return transaction.answer

    async def _until_acknowledged(self) -> None:
        try:
            await asyncio.wait_for(self._acknowledged.wait(), TRANSACTION_DEADLINE_S)
        except TimeoutError as exc:
            raise CallFailed("no ACK of our answer") from exc

    def _reply(self, request: SipMessage, status: str, body: str = "", extra: Headers = ()) -> None:
        self._send(self._dialog.reply(request, status, body, extra))

    def _finish(self, how: How, cause: int | None = None) -> None:
        if self.end is None:
            self.end = CallEnd(how, self._loop.time(), cause)
            self._audio.silence()
            self._settled.set()
            self._ended.set()
