"""The caller of a scene: a person at a SIP telephone, whose ears are what the scene is judged by."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from sovereign_pbx.core.plan import Phrases
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from sovereign_pbx.testing.utterance import Utterance
from tests.calls.house import QUESTION
from tests.calls.scene_hearing import FALLBACK, Heard, read

_LOOK_S = 0.1
_BREATH_S = 0.4  # what a person takes before he answers
# After these the caller waits for more: what they announce has not come yet.
_PROMISES = (Phrases().filler, Phrases().unwell)


@dataclass
class Person:
    """One call of one person. `phrases` are what the assistant may say, to be understood."""

    call: SipCall
    phrases: frozenset[str]
    said: list[Utterance] = field(default_factory=list)
    left_at: float | None = None
    not_owed: list[tuple[float, float]] = field(default_factory=list)  # on hold, or after a goodbye

    @classmethod
    async def dial(cls, phone: SipPhone, phrases: Iterable[str], extension: str) -> "Person":
        return cls(await phone.call(extension), frozenset(phrases))

    # --- doing

    async def ask(self, pcm: bytes = QUESTION) -> float:
        """Say something that wants an answer; returns when it has been said, with that time."""
        await asyncio.sleep(_BREATH_S)
        utterance = self.call.say(pcm)
        self.said.append(utterance)
        await utterance.finished.wait()
        assert utterance.ended_at is not None
        return utterance.ended_at

    async def hang_up(self, *, at_once: bool = False) -> None:
        """Put the receiver down, after a breath unless `at_once`."""
        if self.call.end is None:
            await asyncio.sleep(0 if at_once else _BREATH_S)
            await self.call.hang_up()
        self.left_at = self.call.end.at if self.call.end else None

    # --- hearing

    def heard(self) -> list[Heard]:
        """All that was audible so far."""
        return read(self.call.ear, self.phrases)

    async def hears(self, what: str, *, after: float = 0.0, cut: bool = False, within_s: float = 12.0) -> Heard:
        """Wait until `what` is heard to its end (or `cut` off) later than `after`; the tone, as soon as it is known."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            for one in self.heard():
                if one.what == what and one.start >= after and one.cut == cut:
                    return one
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{what!r} was not heard within {within_s:g} s; heard: {self.story()}")
            await asyncio.sleep(_LOOK_S)

    async def hears_one_of(self, *phrases: str, after: float, within_s: float = 12.0) -> str:
        """Wait until one of them is heard to its end, later than `after`; which."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            for one in self.heard():
                if one.what in phrases and one.start >= after and not one.cut:
                    return one.what
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"none of {phrases} was heard within {within_s:g} s; heard: {self.story()}")
            await asyncio.sleep(_LOOK_S)

    async def hears_beginning(self, *, after: float, within_s: float = 12.0) -> float:
        """Wait for the first sound later than `after`; when it began."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            for one in self.heard():
                if one.end > after + 0.06:
                    return max(one.start, after)
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"nothing was heard within {within_s:g} s; heard before: {self.story()}")
            await asyncio.sleep(_LOOK_S / 2)

    async def hears_fallback(self, *, within_s: float = 12.0) -> Heard:
        return await self.hears(FALLBACK, within_s=within_s)

    # --- judging

    def waits(self) -> list[float]:
        """Every silence in which the caller was owed a sound: from the answer to the first one, from the end of what
        he asked, and behind a sentence that broke off or that promised more."""
        if self.call.answered_at is None:
            return []
        end = self.left_at or (self.call.end.at if self.call.end else asyncio.get_running_loop().time())
        sounds = [(one.start, one.end, False, one.cut or one.what in _PROMISES) for one in self.heard()]
        sounds += [(u.started_at, u.ended_at or end, True, True) for u in self.said if u.started_at is not None]
        waits: list[float] = []
        quiet_since, owed = self.call.answered_at, True
        for start, stop, mine, owes in sorted(sounds):
            if owed and not mine:
                waits.append(self._owed(quiet_since, start))
            if stop >= quiet_since:
                quiet_since, owed = stop, owes
        if owed:
            waits.append(self._owed(quiet_since, end))
        return [max(0.0, wait) for wait in waits]

    def _owed(self, start: float, end: float) -> float:
        excused = sum(max(0.0, min(end, until) - max(start, since)) for since, until in self.not_owed)
        return end - start - excused

    def story(self) -> str:
        """The call as its caller would tell it."""
        begin = self.call.answered_at
        if begin is None:
            status = self.call.responses[-1].status if self.call.responses else 0
            return f"ringing, then {status}" if status >= 300 else "ringing"
        told = [(one.start, str(one), False) for one in self.heard()]
        told += [(u.started_at, "(asks)", True) for u in self.said if u.started_at is not None]
        parts = [f"rang {begin - self.call.invited_at:.1f} s"]
        quiet = begin
        ends = {one.start: one.end for one in self.heard()}
        for at, text, mine in sorted(told):
            parts.append(text if mine or at - quiet < 0.35 else f"{at - quiet:.1f} s of nothing · {text}")
            quiet = max(quiet, self._end_of(at) if mine else ends[at])
        if self.call.end is not None:
            parts.append(self.call.end.how.replace("we hung up", "hangs up").replace("they hung up", "is hung up on"))
        return " · ".join(parts)

    def _end_of(self, started_at: float) -> float:
        return next(u.ended_at or started_at for u in self.said if u.started_at == started_at)
