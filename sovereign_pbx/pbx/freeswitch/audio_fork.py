"""The sound of parked calls over mod_audio_fork, in the form of jambonz: FreeSWITCH connects by WebSocket, and plays
what it is sent.

Measured (30f2189 on FreeSWITCH 1.10.12): the caller hears 177 ms later, for the module keeps 80 ms back at first and 40
later; `killAudio` silences it within 60 ms. It plays only while something else writes to the channel, which is what the
dialplan sets `send_silence_when_idle` for.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final
from uuid import uuid4

import structlog

from sovereign_pbx.core.audio import PHONE_RATE, frame_bytes
from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.media.link import LinkKind
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.paced import Caller, PacedLink, PacedSession
from sovereign_pbx.pbx.websocket_server import Asked, Connection, Session, WebSocketServer
from sovereign_pbx.wire import audio_fork as wire
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)

PATH: Final = "/fork"
PARAMETER: Final = "token"
NAME: Final = "sovereign"  # of the fork on its channel, and its metadata
OVERRUN: Final = "mod_audio_fork::buffer_overrun"
RATES: Final = {8000: "8k", 16000: "16k"}

FIRST_S: Final = 3.0  # from the command to the first frame
MARK_EVERY: Final = 50  # frames
NORMAL_S: Final = 0.25  # between what is sent and its being played; 177 ms were measured
BEHIND_S: Final = 0.4
WRITE_LIMIT_BYTES: Final = 10 * frame_bytes(2 * PHONE_RATE)


class ForkSession(PacedSession):
    """One channel's sound over the connections that it has, one after the other."""

    kind: LinkKind = "audio_fork"

    def __init__(self, rate: int, *, on_lost: Callable[[], None]) -> None:
        super().__init__(rate, on_lost=on_lost)
        self.played_after_s = 0.0  # by the last mark
        self._connection: Connection | None = None
        self._marks: dict[str, float] = {}
        self._number = 0
        self._surplus = 0

    # --- for the connection

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        self._marks.clear()

    def text(self, text: str) -> None:
        """Raises Malformed."""
        found = wire.marked(text)
        if found is None:
            return
        sent = self._marks.pop(found[0], None)
        if sent is not None and found[1] == "playout":
            before, self.played_after_s = self.played_after_s, time.monotonic() - sent
            standing = min(before, self.played_after_s)
            self._surplus = int((standing - NORMAL_S) / 0.02) if standing > BEHIND_S else 0

    def gone(self, connection: Connection) -> None:
        """Its connection has ended."""
        if self._connection is connection:
            self._connection = None
            if self._watching:
                self.rest()
                self.on_lost()

    # --- PacedSession

    def flush(self) -> None:
        """It has 40 ms and more."""
        if self._connection is not None:
            self._connection.send_text(wire.KILL)
            self._surplus = 0

    def rest(self) -> None:
        super().rest()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self, how: LinkEnded) -> None:
        super().close(how)
        self.rest()

    def _write(self, frame: bytes) -> bool:
        connection = self._connection
        if connection is None or connection.buffered > WRITE_LIMIT_BYTES:
            return False
        if self._surplus > 0:  # what stands in its queue delays everything: leave out what would make it longer
            self._surplus -= 1
            return False
        self._number += 1
        if self._number % MARK_EVERY == 0 and len(self._marks) < wire.MAX_MARKS:
            self._marks[str(self._number)] = time.monotonic()
            connection.send_text(wire.mark(str(self._number)))
        connection.send_binary(wire.without_marks(frame) if self._marks else frame)
        return True


class ForkServer:
    """Where FreeSWITCH connects. A token is good for one connection."""

    def __init__(self, host: str, port: int, *, permit: Iterable[str] = (), max_connections: int = 512) -> None:
        self._sessions: dict[str, ForkSession] = {}
        self.server = WebSocketServer(
            host,
            port,
            key="freeswitch",
            path=PATH,
            subprotocols=wire.SUBPROTOCOLS,
            greet=self._greet,
            max_connections=max_connections,
            max_message=wire.MAX_MESSAGE,
            permit=permit,
            permit_key="freeswitch.peers",
        )

    def expect(self, session: ForkSession) -> str:
        """The address to connect to, once."""
        token = str(uuid4())
        self._sessions[token] = session
        host, port = self.server.address
        return f"ws://{host}:{port}{PATH}?{PARAMETER}={token}"

    def forget(self, session: ForkSession) -> None:
        """It will not come any more."""
        for token in [token for token, one in self._sessions.items() if one is session]:
            del self._sessions[token]

    def _greet(self, connection: Connection, asked: Asked) -> Session | str:
        session = self._sessions.pop(asked.parameters.get(PARAMETER, ""), None)
        return _Peer(connection, session) if session is not None else "unknown_id"


class _Peer:
    """One connection: its first message is the metadata that we gave it ourselves."""

    def __init__(self, connection: Connection, session: ForkSession) -> None:
        self._connection, self._session = connection, session
        self._greeted = False

    def text(self, text: str) -> None:
        if not self._greeted:
            self._greeted = True
            self._connection.settled()
            self._session.connected(self._connection)
            return
        try:
            self._session.text(text)
        except Malformed as exc:
            log.warning("audio_fork_broken", why=str(exc))
            self._connection.abort()

    def binary(self, data: bytes) -> None:
        """Nothing at all is how the module says that it has ended (graceful-shutdown)."""
        if not self._greeted:
            self._connection.refuse("unusable")
        elif not data:
            self._session.gone(self._connection)
            self._connection.close()
        else:
            self._session.received(data)

    def ended(self, how: LinkEnded) -> None:
        self._session.gone(self._connection)


class ForkSound:
    """`paced.Sound` by mod_audio_fork. `spawn` owns a task of it."""

    def __init__(self, esl: Esl, server: ForkServer, spawn: Callable[[Coroutine[Any, Any, None], str], None]) -> None:
        self.on_lost: Callable[[], None] = lambda: None
        self._esl = esl
        self._server = server
        self._spawn = spawn
        self._session: ForkSession | None = None
        self._forked = ""  # the channel that has a fork of ours

    async def bring(self, caller: Caller) -> None:
        if not caller.rate:
            raise BadInput("the channel has no media yet: nothing can be forked")
        await self._stop()
        session = self._opened(caller.rate)
        session.expect()
        address = self._server.expect(session)
        rate = RATES[session.rate]
        words = ("start", address, "mono", rate, NAME, NAME, "true", "true", str(session.rate))
        try:
            self._forked = caller.uuid
            said = await self._esl.api("uuid_audio_fork", caller.uuid, *words)
            if not said.startswith("+OK"):
                raise LinkBroken(f"FreeSWITCH does not fork the sound: {said[:80]}")
            async with asyncio.timeout(FIRST_S):
                await session.heard.wait()
        except TimeoutError as exc:
            raise LinkBroken("FreeSWITCH sends no sound, though it was asked to") from exc
        finally:
            self._server.forget(session)

    def rest(self) -> None:
        """Whoever talks with somebody else now is not listened to."""
        if self._session is not None:
            self._session.rest()
        if self._forked:
            self._spawn(self._stop(), "audio-fork-stop")

    def link(self, rate: int) -> PacedLink:
        assert self._session is not None, "the sound has not been brought"
        return self._session.link()

    def play_ringing(self) -> None:
        if self._session is not None:
            self._session.play_ringing()

    def play_nothing(self) -> None:
        if self._session is not None:
            self._session.play_nothing()

    def begin(self) -> None:
        """It has begun with `bring`."""

    def close(self, how: LinkEnded) -> None:
        if self._session is not None:
            self._session.close(how)
        if self._forked:
            self._spawn(self._stop(), "audio-fork-stop")

    def check(self) -> None:
        if self._session is not None:
            self._session.lost()

    def _opened(self, rate: int) -> ForkSession:
        if self._session is None:
            self._session = ForkSession(16000 if rate >= 16000 else 8000, on_lost=lambda: self.on_lost())
        return self._session

    async def _stop(self) -> None:
        """Raises nothing: the channel may be gone, and its fork with it."""
        uuid, self._forked = self._forked, ""
        if not uuid:
            return
        try:
            await self._esl.api("uuid_audio_fork", uuid, "stop", NAME)
        except (LinkEnded, BadInput) as exc:
            log.info("audio_fork_not_stopped", why=str(exc))
