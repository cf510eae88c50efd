"""A caller without any PBX: plays Asterisk with the shipped dialplan towards the daemon, hundreds at a time.

    with CallerTicker() as ticker:
        caller = AudioSocketCaller(ticker, agi=("127.0.0.1", 4573), audio=("127.0.0.1", 9092))
        await caller.place()
        question = caller.say(pcm)
        await question.finished.wait()
        …
        await caller.hang_up()
        print(caller.report())
        await caller.close()

What it does is what the dialplan does: AGI /inbound, the answer, AudioSocket with the UUID it was given, AGI /next
when the daemon ends the audio, whatever that says (Dial() reaches one of `colleagues`), AGI /hangup when the call is
over.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import UUID

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.testing.agi_caller import AgiConnection, AgiStatus, open_agi
from sovereign_pbx.testing.agi_interpreter import AgiInterpreter
from sovereign_pbx.testing.audiosocket_leg import AudioSocketLeg, Ending
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.colleague import Colleague, DialStatus
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.utterance import Utterance
from sovereign_pbx.testing.websocket_leg import WebSocketLeg

CONNECT_S = 2.0  # hard-coded in res_audiosocket.c
AGI_S = 30.0
CAUSE_NORMAL = 16
MAX_ROUNDS = 20  # as in the dialplan

_numbers = itertools.count(1)  # no two channels of a PBX have the same name


class NotAnswered(SovereignError):
    """The daemon did not take the call; `action` is what the dialplan was told, "" for nothing."""

    def __init__(self, action: str, status: AgiStatus) -> None:
        super().__init__(f"the call was not answered: SOVEREIGN_ACTION={action!r}, AGISTATUS={status}")
        self.action = action
        self.status = status


@dataclass(frozen=True, slots=True)
class CallerReport:
    """What one caller's ears and watch say. `None` where there was nothing to measure.

    `decision_ms` from the INVITE to the decision, `first_frame_ms` and `first_sound_ms` from the answer. `burst` is
    the most frames within 5 ms, `hole_ms` the longest wait for one, `real_time_ratio` seconds of audio a second.
    """

    decision_ms: float
    first_frame_ms: float | None
    first_sound_ms: float | None
    frames_sent: int
    frames_heard: int
    burst: int
    hole_ms: float
    real_time_ratio: float
    late_payloads: int
    odd_frames: int
    ending: Ending | None


class AudioSocketCaller:
    """One call to `called` from `caller`. `values` go into the AGI environment without their `agi_`. `rate` is that of
    its AudioSocket; the daemon must expect the same. `websocket`: where chan_websocket brings the sound instead."""

    def __init__(
        self,
        ticker: CallerTicker,
        *,
        agi: tuple[str, int],
        audio: tuple[str, int],
        called: str = "100",
        caller: str = "200",
        values: Mapping[str, str] | None = None,
        keep_audio: bool = True,
        rate: int = 8000,
        websocket: tuple[str, int] | None = None,
    ) -> None:
        self.variables: dict[str, str] = {}
        self.interpreter = AgiInterpreter(self.variables)
        self.heard = Heard(rate, keep_audio=keep_audio)
        self.leg: AudioSocketLeg | WebSocketLeg | None = None
        self.steps: list[str] = []
        self.reached = True  # whoever the dialplan dials for this caller answers, where `colleagues` names nobody
        self.colleagues: list[Colleague] = []  # whom it dials, one after the other
        self.answered_at: float | None = None
        self.decision_s = 0.0
        self.ticker = ticker
        self._agi, self._audio, self._websocket = agi, audio, websocket
        self._called = called
        number = next(_numbers)
        own = {"channel": f"PJSIP/caller-{number:08x}", "uniqueid": f"{int(time.time())}.{number}"}
        self._values = {**own, "callerid": caller, "dnid": called, "extension": called, **(values or {})}
        self._loop = asyncio.get_running_loop()
        self._connection: AgiConnection | None = None
        self._life: asyncio.Task[None] | None = None
        self._left = asyncio.Event()  # the caller has hung up
        self._status = ""  # DIALSTATUS

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Public

    async def place(self) -> None:
        """Ring until the daemon has decided, then answer and open the audio. Raises NotAnswered."""
        began = self._loop.time()
        status = await self._ask("inbound", [self._called])
        self.decision_s = self._loop.time() - began
        action = self.variables.get("SOVEREIGN_ACTION", "")
        if status != "SUCCESS" or action != "answer":
            raise NotAnswered(action, status)
        if not await self._connect():
            raise NotAnswered("answer, but no AudioSocket", status)
        self._life = self._loop.create_task(self._live())

    def say(self, pcm: bytes) -> Utterance:
        """Say PCM at its rate, behind what is being said already."""
        return self._talking().speech.say(pcm)

    def hush(self) -> None:
        self._talking().speech.hush(self._loop.time())

    def press(self, digits: str) -> None:
        self._talking().press(digits)

    async def hang_up(self) -> None:
        """The caller leaves, while it rings or talks; returns when the dialplan has run to its end."""
        self.interpreter.hung_up = True
        self._left.set()
        if self._connection is not None:
            self._connection.hang_up()
        if self.leg is not None:
            self.leg.hang_up()
        await self.over()

    async def over(self, deadline_s: float = 60.0) -> None:
        """Wait until the dialplan has run to its end, whoever ended the call. Raises TimeoutError."""
        if self._life is not None:
            await asyncio.wait_for(asyncio.shield(self._life), deadline_s)

    async def close(self) -> None:
        """End whatever is left of the call."""
        if self._connection is not None:
            self._connection.hang_up()
        if self.leg is not None:
            self.ticker.remove(self.leg.tick)
            self.leg.hang_up()
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    @property
    def gone(self) -> bool:
        """The call has no sound, or has it no longer."""
        return self.leg is None or self.leg.ended.is_set()

    def report(self) -> CallerReport:
        heard, leg = self.heard, self.leg
        sounds = heard.sounds()
        return CallerReport(
            decision_ms=self.decision_s * 1000,
            first_frame_ms=self._since_answer_ms(heard.first_at),
            first_sound_ms=self._since_answer_ms(sounds[0].start if sounds else None),
            frames_sent=leg.frames_sent if leg else 0,
            frames_heard=heard.frames,
            burst=heard.burst(),
            hole_ms=heard.hole_s() * 1000,
            real_time_ratio=heard.real_time_ratio(),
            late_payloads=leg.late_payloads if leg else 0,
            odd_frames=leg.odd_frames if leg else 0,
            ending=leg.ending if leg else None,
        )

    # Private

    def _talking(self) -> AudioSocketLeg | WebSocketLeg:
        if self.leg is None:
            raise SovereignError("the call has no audio: place() comes first")
        return self.leg

    def _since_answer_ms(self, at: float | None) -> float | None:
        return None if at is None or self.answered_at is None else (at - self.answered_at) * 1000

    async def _ask(self, path: str, arguments: Sequence[str], interpreter: AgiInterpreter | None = None) -> AgiStatus:
        """One `AGI(agi://…)` of the dialplan."""
        self._connection = await open_agi(self._agi, path, interpreter or self.interpreter, self._values, arguments)
        return await _served(self._connection)

    async def _ask_aside(self, path: str, arguments: Sequence[str], interpreter: AgiInterpreter) -> AgiStatus:
        """The same on another channel, which the caller's hang-up does not end."""
        return await _served(await open_agi(self._agi, path, interpreter, self._values, arguments))

    @property
    def _token(self) -> str:
        return self.variables.get("SOVEREIGN_CALL", "")

    async def _connect(self) -> bool:
        """Answer, and open AudioSocket with the UUID that the daemon gave."""
        call = UUID(self.variables.get("SOVEREIGN_CALL", ""))
        if self.answered_at is None:
            self.answered_at = self._loop.time()
        try:
            async with asyncio.timeout(CONNECT_S):
                kind, address = (WebSocketLeg, self._websocket) if self._websocket else (AudioSocketLeg, self._audio)
                _, leg = await self._loop.create_connection(lambda: kind(call, self.heard), *address)
        except (OSError, TimeoutError):
            return False
        self.leg = leg
        self.ticker.add(leg.tick)
        return True

    async def _live(self) -> None:
        """From the audio on: what the dialplan does next, as long as the caller is there."""
        while await self._talk():
            step = await self._next()
            while step == "dial" and len(self.steps) < MAX_ROUNDS:
                step = await self._dial()
            if step != "talk" or not await self._connect():
                break
        # the `h` extension runs on a channel that is hung up already, and its AGI is not ended by that
        after = AgiInterpreter(self.variables)
        await self._ask("hangup", [self._token, str(CAUSE_NORMAL), self._status], after)

    async def _dial(self) -> str:
        """Dial() with its time-out; what is next, "" when the caller is gone or somebody keeps him."""
        usual: DialStatus = "ANSWER" if self.reached else "NOANSWER"
        colleague = self.colleagues.pop(0) if self.colleagues else Colleague(status=usual)
        if await self._leaves_within(colleague.rings_s):
            self._status = "CANCEL"
            return ""
        self._status = colleague.status
        if colleague.status == "ANSWER":
            briefed = self.variables.get("SOVEREIGN_BRIEF") == "yes"
            await colleague.answer(
                self._token, briefed=briefed, ask=self._ask_aside, audio=self._audio, ticker=self.ticker
            )
            if colleague.taken and (colleague.talks_s is None or await self._leaves_within(colleague.talks_s)):
                return ""
        return await self._next(self._status, colleague.causes)

    async def _leaves_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), seconds)
        return self._left.is_set()

    async def _next(self, *dialled: str) -> str:
        for name in ("NEXT", "TRUNK", "CALLERID", "DIVERTED", "MUSIC", "BRIEF"):
            self.variables.pop(f"SOVEREIGN_{name}", None)
        await self._ask("next", [self._token, *dialled])
        self.steps.append(self.variables.get("SOVEREIGN_NEXT", "fallback"))
        return self.steps[-1]

    async def _talk(self) -> bool:
        """Wait for the end of the audio; whether the caller is still there, as `AudioSocket()` sees it."""
        leg = self._talking()
        await leg.ended.wait()
        self.ticker.remove(leg.tick)
        return leg.ending in ("server closed", "server hung up") and not self.interpreter.hung_up


async def _served(connection: AgiConnection | None) -> AgiStatus:
    if connection is None:
        return "FAILURE"
    async with asyncio.timeout(AGI_S):
        await connection.closed.wait()
    return connection.status
