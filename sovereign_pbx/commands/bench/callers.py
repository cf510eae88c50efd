"""Who calls in a bench, over which link: all of them can do the same, and are asked the same afterwards."""

from types import TracebackType
from typing import Final, Literal, Protocol, Self

from sovereign_pbx.commands.bench.target import Target
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller, CallerReport, NotAnswered
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.sip_call import CallFailed, SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from sovereign_pbx.testing.utterance import Utterance

Link = Literal["audiosocket", "sip", "websocket"]
LINKS: Final[tuple[Link, ...]] = ("audiosocket", "sip", "websocket")


class BenchCaller(Protocol):
    """One caller; times are the loop's clock."""

    @property
    def heard(self) -> Heard: ...

    @property
    def gone(self) -> bool:
        """The call has no sound, or has it no longer."""

    async def place(self) -> None:
        """Ring until the daemon has answered. Raises NotAnswered."""

    def say(self, pcm: bytes) -> Utterance: ...

    def report(self) -> CallerReport: ...

    async def hang_up(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SipBenchCaller:
    """Calls the daemon's SIP endpoint, as a PBX does."""

    def __init__(self, phone: SipPhone, called: str) -> None:
        self._phone, self._called = phone, called
        self._call: SipCall | None = None
        self._heard = Heard(keep_audio=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._call is not None:
            self._call.close()

    @property
    def heard(self) -> Heard:
        return self._call.ear.heard if self._call is not None else self._heard

    @property
    def gone(self) -> bool:
        return self._call is None or self._call.end is not None

    async def place(self) -> None:
        self._call = await self._phone.call(self._called)
        try:
            await self._call.answered()
        except CallFailed as exc:
            raise NotAnswered(f"SIP {exc.status}", "SUCCESS") from exc

    def say(self, pcm: bytes) -> Utterance:
        assert self._call is not None, "place() comes first"
        return self._call.say(pcm)

    def report(self) -> CallerReport:
        call, heard = self._call, self.heard
        assert call is not None and call.answered_at is not None, "place() comes first"
        answered = call.answered_at
        sounds = heard.sounds()
        return CallerReport(
            decision_ms=(answered - call.invited_at) * 1000,
            first_frame_ms=None if heard.first_at is None else (heard.first_at - answered) * 1000,
            first_sound_ms=(sounds[0].start - answered) * 1000 if sounds else None,
            frames_sent=0,
            frames_heard=heard.frames,
            burst=heard.burst(),
            hole_ms=heard.hole_s() * 1000,
            real_time_ratio=heard.real_time_ratio(),
            late_payloads=0,
            odd_frames=0,
            ending=None,
        )

    async def hang_up(self) -> None:
        if self._call is not None:
            await self._call.hang_up()


class Callers:
    """Makes callers of one link, `async with`: they share a clock, and over SIP a telephone system."""

    def __init__(self, target: Target, link: Link, called: str, ticker: CallerTicker) -> None:
        self._target, self._link, self._called, self._ticker = target, link, called, ticker
        self._phone: SipPhone | None = None

    async def __aenter__(self) -> Self:
        if self._link == "sip":
            assert self._target.sip is not None, "a target without SIP"
            self._phone = SipPhone(self._target.sip, ticker=self._ticker, keep_audio=False)
            await self._phone.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._phone is not None:
            await self._phone.close()

    def one(self) -> BenchCaller:
        """Another caller."""
        if self._phone is not None:
            return SipBenchCaller(self._phone, self._called)
        target = self._target
        websocket = target.websocket if self._link == "websocket" else None
        return AudioSocketCaller(
            self._ticker,
            agi=target.agi,
            audio=target.audio,
            called=self._called,
            keep_audio=False,
            websocket=websocket,
        )
