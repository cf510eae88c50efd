"""A leg that FreeSWITCH places to the daemon's SIP endpoint, with a scripted phone for its mouth and ear."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sovereign_pbx.pbx.freeswitch.causes import Q850
from sovereign_pbx.testing.sip_call import CallFailed, SipCall
from sovereign_pbx.testing.sip_caller import SipPhone

NAME_OF: Final = {number: name for name, number in Q850.items()}
# sofia.c, where a response without a Reason header gives the cause
_CAUSE_OF_STATUS: Final = {
    302: "REDIRECTION_TO_NEW_DESTINATION",
    403: "CALL_REJECTED",
    404: "UNALLOCATED_NUMBER",
    408: "RECOVERY_ON_TIMER_EXPIRE",
    480: "NO_USER_RESPONSE",
    486: "USER_BUSY",
    487: "ORIGINATOR_CANCEL",
    488: "INCOMPATIBLE_DESTINATION",
    500: "NORMAL_TEMPORARY_FAILURE",
    503: "NORMAL_TEMPORARY_FAILURE",
    603: "CALL_REJECTED",
}
_TICK_S: Final = 0.02
_PROBE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Refused:
    """The final response that was none of success. `contact`: where a 302 sends."""

    cause: str
    contact: str = ""


class Leg(Protocol):
    """One leg of a bridge to the daemon."""

    async def answered(self, timeout_s: float, progress_s: float) -> Refused | None:
        """None once it is; else why not."""

    async def over(self, media_timeout_s: float) -> str:
        """FreeSWITCH's name of the cause with which the daemon ended it, or MEDIA_TIMEOUT."""

    async def hang_up(self, cause: str) -> None:
        """BYE, or CANCEL before the answer."""


class Legs(Protocol):
    """Where legs come from."""

    async def place(self, user: str, caller: str, headers: Mapping[str, str]) -> Leg: ...

    async def close(self) -> None: ...


class SipLeg:
    """Over SIP and RTP. `cut`: no packet of the daemon's arrives any more, as when it has died."""

    def __init__(self, call: SipCall, address: tuple[str, int]) -> None:
        self.call = call
        self.cut = False
        self._address = address

    async def answered(self, timeout_s: float, progress_s: float) -> Refused | None:
        progress = asyncio.get_running_loop().create_task(self._progress(progress_s))
        answer = asyncio.get_running_loop().create_task(self.call.answered(timeout_s))
        try:
            await asyncio.wait({progress, answer}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and (failed := progress.result()):
                return Refused(failed)
            await answer
        except CallFailed:
            refusal = self._refusal()
            if refusal is None:
                await self.hang_up("ALLOTTED_TIMEOUT")
            return refusal or Refused("ALLOTTED_TIMEOUT")
        finally:
            for task in (progress, answer):
                task.cancel()
            await asyncio.gather(progress, answer, return_exceptions=True)
        return None

    async def over(self, media_timeout_s: float) -> str:
        last = self.call.answered_at or 0.0
        while self.call.end is None:
            packets = self.call.ear.packets
            last = packets[-1].at if packets and not self.cut else last
            if asyncio.get_running_loop().time() - last > media_timeout_s:
                await self.hang_up("MEDIA_TIMEOUT")
                return "MEDIA_TIMEOUT"
            await asyncio.sleep(_TICK_S)
        return NAME_OF.get(self.call.end.cause or 16, "NORMAL_UNSPECIFIED")

    async def hang_up(self, cause: str) -> None:
        try:
            if self.call.end is not None:
                return
            if self.call.answered_at is None:
                await self.call.cancel()
            else:
                await self.call.hang_up(f"Q.850;cause={Q850.get(cause, 31)}")
        except (CallFailed, TimeoutError):
            pass  # nobody there: the leg is gone for FreeSWITCH all the same

    async def _progress(self, within_s: float) -> str:
        """Nothing as soon as 180, 183 or a final response has come (100 is no sign of life for leg_progress_timeout),
        else why none does: a port that nobody has (ICMP) is a failure at once, silence is one after `within_s`."""
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < within_s:
            if any(response.status > 100 for response in self.call.responses):
                return ""
            if not self.call.responses and await _is_nobodys(self._address):
                return "NORMAL_TEMPORARY_FAILURE"
            await asyncio.sleep(_TICK_S)
        return "PROGRESS_TIMEOUT"

    def _refusal(self) -> Refused | None:
        final = next((one for one in self.call.responses if one.status >= 300), None)
        if final is None:
            return None
        told = final.message.cause
        cause = NAME_OF.get(told or 0) or _CAUSE_OF_STATUS.get(final.status, "NORMAL_UNSPECIFIED")
        return Refused(cause, final.message.contact if final.status == 302 else "")


class _Probe(asyncio.DatagramProtocol):
    """An unconnected socket, like the phone's, is not told of ICMP; a connected one is."""

    def __init__(self) -> None:
        self.refused = asyncio.Event()

    def error_received(self, exc: Exception) -> None:
        self.refused.set()


async def _is_nobodys(address: tuple[str, int]) -> bool:
    transport, probe = await asyncio.get_running_loop().create_datagram_endpoint(_Probe, remote_addr=address)
    transport.sendto(b"\r\n\r\n")  # a keep-alive (RFC 5626)
    try:
        await asyncio.wait_for(probe.refused.wait(), _PROBE_S)
    except TimeoutError:
        return False
    finally:
        transport.close()
    return True


class SipLegs:
    """Legs to the endpoint at host:port."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._phone = SipPhone(address, user="mod_sofia")
        self._started = False

    async def place(self, user: str, caller: str, headers: Mapping[str, str]) -> SipLeg:
        if not self._started:
            self._started = True
            await self._phone.start()
        call = await self._phone.call(user, name=caller, user=caller or "mod_sofia", headers=[*headers.items()])
        return SipLeg(call, self._address)

    async def close(self) -> None:
        await self._phone.close()
