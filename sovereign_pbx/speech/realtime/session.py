"""One session over a websocket: accepted within its deadline, bounded in both directions, its end always named."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Self

import structlog

from sovereign_pbx.core.audio import FRAME_S
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.realtime.signals import Order, SessionAging, Signal, Sound
from sovereign_pbx.speech.realtime import RealtimeSession, Setup
from sovereign_pbx.speech.realtime.dialect import Dialect
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import Socket, Sockets, address

log = structlog.get_logger(__name__)

FRAMES_LIMIT: Final = 500  # 10 s of the caller; more behind than that is of no use to a conversation
ORDERS_LIMIT: Final = 512  # a whole history replayed is far below
SIGNALS_LIMIT: Final = 8192
AGING_S: Final = 60.0  # before the vendor's limit: a conversation has a pause within a minute
CLOSE_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a session waits, in seconds: until it is accepted, and for a peer to take a message."""

    open_s: float = 3.0
    send_s: float = 1.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(open_s=settings.seconds("open_s", 3.0), send_s=settings.seconds("send_s", 1.0))


class WireSession:
    """An open session. Make it with an accepted socket; `close` ends it."""

    def __init__(self, socket: Socket, dialect: Dialect, session_s: float) -> None:
        self.name = dialect.name
        self._socket = socket
        self._dialect = dialect
        self._out: deque[bytes | str] = deque()  # frames as they came, orders as they go
        self._frames = self._orders = 0
        self.frames_dropped = 0
        self._sent = 0
        self._woken = asyncio.Event()
        self._signals: asyncio.Queue[Signal | ProviderError | None] = asyncio.Queue(SIGNALS_LIMIT)
        self._sounded = asyncio.Event()
        self._over = False
        for item in dialect.opening():
            self._post(json.dumps(item))
        self._aging = asyncio.get_running_loop().call_later(max(1.0, session_s - AGING_S), self._age)
        self._task = asyncio.create_task(self._run(), name="realtime-session")

    @property
    def heard_s(self) -> float:
        return self._sent * FRAME_S

    # --- the interface

    def send(self, frame: bytes) -> None:
        if self._over:
            return
        if self._frames >= FRAMES_LIMIT:
            self._out.remove(next(item for item in self._out if isinstance(item, bytes)))
            self._frames -= 1
            self.frames_dropped += 1
        self._frames += 1
        self._out.append(frame)
        self._woken.set()

    def tell(self, order: Order) -> None:
        for event in self._dialect.order(order):
            self._post(json.dumps(event, ensure_ascii=False))

    async def sounded(self) -> None:
        await self._sounded.wait()

    async def __aiter__(self) -> AsyncIterator[Signal]:
        while True:
            signal = await self._signals.get()
            if signal is None:
                return
            if isinstance(signal, ProviderError):
                raise signal
            yield signal

    async def close(self) -> None:
        self._over = True
        self._aging.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._socket.close()
        self._finish(None)

    # --- the socket

    def _post(self, text: str) -> None:
        if self._over:
            return
        if self._orders >= ORDERS_LIMIT:
            self._end(self._socket.deaf())
            return
        self._orders += 1
        self._out.append(text)
        self._woken.set()

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write())
                tasks.create_task(self._read())
        except* ProviderError as group:
            self._end(_first(group))
        except* Exception as group:  # a fault of ours must not leave the call waiting
            log.exception("realtime session failed", exc_info=group)
            self._end(self._dialect.fault("garbled", type(group.exceptions[0]).__name__))

    async def _write(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._out:
                item = self._out.popleft()
                if isinstance(item, bytes):
                    self._frames -= 1
                    self._sent += 1
                    await self._socket.send(self._dialect.frame(item))
                else:
                    self._orders -= 1
                    await self._socket.send(item)

    async def _read(self) -> None:
        while True:
            _, signals = self._dialect.read(await self._socket.receive())
            for signal in signals:
                self._tell(signal)

    def _tell(self, signal: Signal) -> None:
        if isinstance(signal, Sound):
            self._sounded.set()
        try:
            self._signals.put_nowait(signal)
        except asyncio.QueueFull as exc:
            raise self._dialect.fault("garbled", "it says more than anybody takes") from exc

    def _age(self) -> None:
        if not self._over:
            self._tell(SessionAging())

    def _end(self, error: ProviderError) -> None:
        if not self._over:
            self._over = True
            self._finish(error)

    def _finish(self, last: ProviderError | None) -> None:
        self._sounded.set()
        while self._signals.full():
            self._signals.get_nowait()
        self._signals.put_nowait(last)


class Vendor:
    """A configured model. `dialect` makes a session's own."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str,
        *,
        where: str,
        model: str,
        session_s: float,
        dialect: Callable[[Setup, int], Dialect],
        deadlines: Deadlines,
    ) -> None:
        self.name = name
        self._model = model
        self._session_s = session_s
        self._dialect = dialect
        self._deadlines = deadlines
        headers = {"Authorization": f"Bearer {api_key}"}
        provider = name.partition("/")[0]
        address(base_url, where, websocket=True)
        self._sockets = Sockets(
            provider, "realtime", base_url, headers, connect_s=deadlines.open_s, send_s=deadlines.send_s
        )

    async def open(self, setup: Setup, *, rate: int) -> RealtimeSession:
        """Connect, and have the settings accepted; what was said before is sent behind them."""
        dialect = self._dialect(setup, rate)
        until = asyncio.get_running_loop().time() + self._deadlines.open_s
        socket = await self._sockets.connect("/realtime", [("model", self._model)])
        try:
            async with asyncio.timeout_at(until):
                await _accepted(socket, dialect)
        except TimeoutError as exc:
            await socket.close()
            raise socket.fault("stalled", f"the session was not accepted within {self._deadlines.open_s:g} s") from exc
        except BaseException:
            await socket.close()
            raise
        return WireSession(socket, dialect, self._session_s)

    async def aclose(self) -> None:
        await self._sockets.aclose()


async def _accepted(socket: Socket, dialect: Dialect) -> None:
    """Greeted, configured, confirmed. What a vendor does not take now it never will."""
    await _until(socket, dialect, dialect.started)
    await socket.send(json.dumps({"type": "session.update", "session": dialect.session()}, ensure_ascii=False))
    await _until(socket, dialect, ("session.updated",))


async def _until(socket: Socket, dialect: Dialect, wanted: tuple[str, ...]) -> None:
    while True:
        message = await socket.receive()
        kind, _ = dialect.read(message)
        if kind == "error":
            code, text = dialect.complaint(json.loads(message))
            busy = "rate" in code or "server" in code
            raise socket.fault("refused" if busy else "denied", f"{code}: {text}")
        if kind in wanted:
            return


def _first(group: BaseExceptionGroup[ProviderError]) -> ProviderError:
    found: ProviderError | BaseExceptionGroup[ProviderError] = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
