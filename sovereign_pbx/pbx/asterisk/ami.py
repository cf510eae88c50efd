"""The Asterisk Manager Interface: always connected where it can be, and never in anybody's way where it can't."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sovereign_pbx.pbx.asterisk.ami_connection import AmiConnection, Field
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.control_login import ControlLogin, LoginTiming
from sovereign_pbx.wire.ami import MAX_BLOCK_BYTES

# Hangup, Hold, Unhold, Newchannel, DialEnd and OriginateResponse are of class `call`, DTMFEnd of class `dtmf`
# (Asterisk 22.10). RTCP, VarSet and the like are never asked for: they are most of what a busy PBX would send.
EVENTS: Final = "call,dtmf"

# Originate too, by who places calls (`[dialling]`); the others are needed by everybody.
NEEDED_ACTIONS: Final = ("Hangup", "PlayDTMF", "Redirect", "CoreShowChannels", "CoreSettings", "Ping")


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiRights:
    """What the login may do: the actions permitted, and which of those that the daemon needs are not."""

    actions: frozenset[str]
    missing: tuple[str, ...] = field(default=())


class Ami(ControlLogin[AmiConnection, AmiMessage]):
    """The manager interface. An action is sent once, as everything that is asked of a `ControlLogin`."""

    KIND, SHOWN, MAX_BYTES = "ami", "AMI", MAX_BLOCK_BYTES

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        events: str = EVENTS,
        timing: LoginTiming | None = None,
    ) -> None:
        super().__init__(host, port, username, timing)
        self._secret = secret
        self._events = events

    async def action(self, name: str, *, timeout_s: float | None = None, **fields: Field) -> AmiMessage:
        """Send an action and await its answer, which may be a refusal (`ok` is false then).

        Raises:
            BadInput: a field that can't be sent.
            LinkEnded: not connected, lost meanwhile, or no answer in time.
        """
        return await self._logged_in(name).action(name, fields, timeout_s or self._timing.request_s)

    async def begin(self, name: str, fields: Mapping[str, Field]) -> AmiMessage:
        """Send an action that goes on behind its answer (Originate), of which the rest comes as events. As `action`."""
        return await self._logged_in(name).action(name, fields, self._timing.request_s, at_once=True)

    async def rights(self) -> AmiRights:
        """Which actions the login may use. Rights to read events can't be asked for: a test call shows them."""
        answer = await self.action("ListCommands")
        actions = frozenset(answer.headers()) - {"Response", "ActionID"}
        return AmiRights(actions=actions, missing=tuple(name for name in NEEDED_ACTIONS if name not in actions))

    async def version(self) -> str:
        """Asterisk's version, as "22.10.1"; "" when it does not say."""
        return (await self.action("CoreSettings")).get("AsteriskVersion")

    # Private

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AmiConnection:
        return AmiConnection(reader, writer, self._dispatch)

    async def _log_in(self, session: AmiConnection) -> None:
        await session.login(self.user, self._secret, self._events, self._timing.request_s)

    def _name_of(self, event: AmiMessage) -> str:
        return event.event
