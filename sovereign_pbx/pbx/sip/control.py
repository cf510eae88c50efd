"""How calls that came over SIP are put through, and how calls are placed.

SIP itself can do it (`outgoing.py`: an INVITE of our own, REFER), a FreeSWITCH's event socket can do it better
(`pbx/freeswitch`). `SipPbx` asks the first control that owns a call.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Desk, Dialled, DialOrder, NextStep
from sovereign_pbx.wire.sip import Request


class HeldCall(Protocol):
    """An answered call, between the assistant's conversation and what comes next: its dialog is up, the sound flows,
    and the caller hears what this side plays (music, ringing, silence) until somebody else takes him."""

    call_id: str
    invite: Request

    @property
    def up(self) -> bool:
        """The dialog has not ended."""

    def play_ringing(self, music: str = "") -> None:
        """From now on the caller hears ringing, or waiting music where `music` names it."""

    def play_nothing(self) -> None:
        """From now on he hears comfort noise."""

    async def refer(self, refer_to: str, *, within_s: float) -> int:
        """REFER the caller to a SIP URI (its `Replaces` header parameter included where there is one): the last status
        that the NOTIFYs told (RFC 3515), 200 for success. Raises Refused when the far side does not take REFER, and
        TimeoutError."""

    async def ended(self) -> int | None:
        """Wait until the dialog has ended; the Q.850 cause if one was told."""

    def attach(self) -> MediaLink:
        """The sound of this call as a link of its own, at the call's rate, for whoever connects two calls here."""

    async def hang_up(self, cause: int = 16) -> None: ...


class Calls(Protocol):
    """What `SipPbx` offers the controls."""

    def expect_call(self, token: str, within_s: float, order: DialOrder, rate: int = PHONE_RATE) -> None:
        """An INVITE to user `token` within that time is the order's person called, who has answered: the desk is asked
        `picked_up`."""

    def expect_briefing(
        self, token: str, within_s: float, call_id: str, rate: int = PHONE_RATE
    ) -> asyncio.Future[bool]:
        """An INVITE to user `token` is the colleague of `call_id`, who is to be briefed (`Desk.briefing_connected`).

        False when it has not come in time; True when the briefing's media has ended, by whomever. Its dialog stays,
        with silence, until the control has had him taken elsewhere or ended his call, ten seconds at most."""

    def expect_back(self, token: str, call_id: str) -> asyncio.Future[None]:
        """From now on the dialog of `call_id` may end without the caller being gone: somebody else has him.

        An INVITE to user `token` is he, back again: its dialog takes the place of the old one in the same HeldCall,
        which is `up` when the future is done. `forget` cancels the future: without a dialog he is gone then."""

    def awaits(self, token: str) -> bool:
        """Whether the INVITE to this token has not come yet."""

    def forget(self, token: str) -> None: ...

    def call_of(self, is_his: Callable[[Request], bool]) -> str:
        """The id of the call that has this INVITE; "" for none."""

    @property
    def desk(self) -> Desk:
        """Who is told of an order that came to nothing (`not_answered`, `gone`), and asked and told while a caller is
        put through (`briefing`, `briefed`, `put_through`). After `Control.put_through` a call that is not `up` is gone:
        that is told by `SipPbx`."""


class Control(Protocol):
    """Puts calls through and places them, in one way. Every method may be called from the first `start` on."""

    name: str

    async def start(self, calls: Calls) -> None: ...

    async def stop(self) -> None: ...

    def owns(self, invite: Request, peer: str) -> bool:
        """Whether this call, which came from the address `peer`, is one that this control can steer."""

    def facts(self, invite: Request) -> Mapping[str, str]:
        """What the control knows of a call that comes: `channel`, `pbx_id`, `caller`, `caller_name`, `called`, each
        only where it knows better than the INVITE itself."""

    def check_outbound(self) -> None:
        """Raises Refused (`pbx_unavailable`) when no call can be placed now."""

    async def originate(self, order: DialOrder) -> None:
        """See `Pbx.originate`."""

    async def put_through(self, call: HeldCall, step: NextStep) -> Dialled:
        """Have somebody take the caller (`step.step` is `dial`). Returns when nobody did, the caller still here; or,
        when they have been connected (`Desk.put_through` was told), once the person called has hung up (`answered`)."""

    async def hang_up(self, call_id: str, cause: int) -> bool:
        """End a call that this control places or has put through, wherever it is; False when it knows no such call."""

    def health(self) -> dict[str, Any]: ...
