"""The daemon as an extension of other PBXs: REGISTER, again before it runs out, and taken back at the end (RFC 3261,
§10).

Each registration is tried for as long as the daemon runs: soon again where the registrar can't be reached, seldom where
it refuses who we say we are, since that does not mend itself and some registrars lock out who tries too often.
"""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from sovereign_pbx.core.errors import LinkBroken, SovereignError
from sovereign_pbx.pbx.sip.dialog import MAX_FORWARDS, new_call_id, new_tag
from sovereign_pbx.pbx.sip.outgoing_proof import CHALLENGED, proof
from sovereign_pbx.pbx.sip.outgoing_way import Transport, Way
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Headers, NameAddr, Request, Response, Uri

log = structlog.get_logger(__name__)

ANSWER_S: Final = 16.0  # half of RFC 3261's timer F: a registrar that is silent so long is away
UNREGISTER_S: Final = 2.0
FIRST_RETRY_S: Final = 2.0
LAST_RETRY_S: Final = 120.0
REFUSED_RETRY_S: Final = 300.0
LEAST_LIFE_S: Final = 2.0  # a registrar that grants less is not followed any faster
LONGEST_LIFE_S: Final = 86_400

_REFUSED: Final = (401, 403, 404, 407)  # it knows us, or does not, and says no
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One registration: who we are there, and where. `host`, `port`: of the registrar."""

    name: str
    host: str
    port: int | None = None
    transport: Transport = "udp"
    user: str
    username: str = ""  # of the password, where it is another one
    password: str = field(default="", repr=False)
    expires_s: int = 300

    @property
    def way(self) -> Way:
        """How calls go out through it."""
        return Way(
            name=f"the registration {self.name}",
            host=self.host,
            port=self.port,
            transport=self.transport,
            account=self.user,
            username=self.username or self.user,
            password=self.password,
        )


class Pending(Protocol):
    """A request on its way. `flow` is None where there was no way to send it."""

    @property
    def flow(self) -> object: ...

    async def final(self) -> Response: ...


class Sender(Protocol):
    """As much of the endpoint as a registration needs."""

    def request(self, request: Request, to: Uri, *, timeout_s: float = 32.0) -> Pending: ...

    def contact(self, way: Transport, user: str) -> str:
        """The address at which we take requests for `user`, as it stands in a Contact."""


class Registration:
    """One account at its registrar. `run` until cancelled, then `end`."""

    def __init__(self, account: Account, sender: Sender) -> None:
        self.account = account
        self._sender = sender
        self._call_id = new_call_id()
        self._tag = new_tag()
        self._sequence = 0
        self._expires_s = account.expires_s
        self._until = 0.0  # loop time up to which it holds
        self._retry_s = FIRST_RETRY_S
        self.error = ""

    @property
    def registered(self) -> bool:
        """Whether the registrar has us, as far as is known."""
        return asyncio.get_running_loop().time() < self._until

    def health(self) -> dict[str, Any]:
        """For /health and doctor."""
        return {"registered": self.registered, "server": self.account.way.place, "error": self.error}

    async def run(self) -> None:
        """Register, and again and again."""
        while True:
            try:
                wait_s = self._judge(await self._register(self._expires_s))
            except SovereignError as exc:
                wait_s = self._failed(str(exc))
            await asyncio.sleep(wait_s)

    async def end(self) -> None:
        """Take it back, if the registrar answers in time. Raises nothing."""
        if not self.registered:
            return
        self._until = 0.0
        try:
            async with asyncio.timeout(UNREGISTER_S):
                await self._register(0)
        except (SovereignError, TimeoutError) as exc:
            log.info("unregister_failed", registration=self.account.name, why=str(exc) or type(exc).__name__)

    # --- the exchange

    async def _register(self, expires_s: int) -> Response:
        """The final answer, after one challenge and one wish for a longer time at most. Raises LinkBroken, and BadInput
        for a challenge that can't be answered."""
        request = self._request(expires_s)
        answer = await self._send(request)
        if answer.status in CHALLENGED:
            answer = await self._prove(answer, request, expires_s)
        longer = _number(answer.headers.get("Min-Expires")) if answer.status == 423 and expires_s else 0
        if expires_s < longer <= LONGEST_LIFE_S:
            self._expires_s = longer
            return await self._register(longer)
        return answer

    async def _prove(self, challenge: Response, first: Request, expires_s: int) -> Response:
        answer = challenge
        for _ in range(2):  # the second where the nonce was too old for the registrar
            way = self.account.way
            again = self._request(expires_s, [proof(answer, first, way.username, way.password)])
            answer = await self._send(again)
            if answer.status not in CHALLENGED or not _is_stale(answer):
                break
        return answer

    async def _send(self, request: Request) -> Response:
        """Raises LinkBroken where there was no way to send it, or no answer came."""
        pending = self._sender.request(request, Uri.parse(request.uri), timeout_s=ANSWER_S)
        answer = await pending.final()
        if pending.flow is None:
            raise LinkBroken(f"{self.account.way.place} can't be reached")
        if answer.status == 408:
            raise LinkBroken(f"{self.account.way.place} does not answer")
        return answer

    def _request(self, expires_s: int, extra: Sequence[tuple[str, str]] = ()) -> Request:
        account = self.account
        self._sequence += 1
        params: dict[str, str] = {} if account.transport == "udp" else {"transport": account.transport}
        registrar = Uri("sip", "", account.host, account.port, params)
        ours = NameAddr("", Uri("sip", account.user, account.host, account.port))
        headers = [
            ("Max-Forwards", MAX_FORWARDS),
            ("From", f"{ours};tag={self._tag}"),
            ("To", str(ours)),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._sequence} REGISTER"),
            ("Contact", f"{self._contact()};expires={expires_s}"),
            ("Expires", str(expires_s)),
            *extra,
        ]
        return Request("REGISTER", str(registrar), Headers(headers))

    def _contact(self) -> NameAddr:
        return NameAddr.parse(self._sender.contact(self.account.transport, self.account.user))

    # --- what comes of it

    def _judge(self, answer: Response) -> float:
        """In how many seconds to register again."""
        if 200 <= answer.status < 300:
            return self._succeeded(self._granted_s(answer))
        said = f"{answer.status} {answer.reason}".strip()
        if answer.status in _REFUSED:
            self._tell(f"{self.account.way.place} refuses {self.account.user}: {said}", refused=True)
            return _about(REFUSED_RETRY_S)
        return self._failed(f"{self.account.way.place} says {said}")

    def _succeeded(self, granted_s: float) -> float:
        if self.error or not self.registered:
            log.info("registered", registration=self.account.name, user=self.account.user, for_s=granted_s)
        self.error, self._retry_s = "", FIRST_RETRY_S
        self._until = asyncio.get_running_loop().time() + granted_s
        return _about(granted_s / 2)

    def _failed(self, why: str) -> float:
        self._tell(why, refused=False)
        wait_s, self._retry_s = _about(self._retry_s), min(2 * self._retry_s, LAST_RETRY_S)
        return wait_s

    def _tell(self, why: str, *, refused: bool) -> None:
        """Each error once; what stays the same is in health()."""
        if why == self.error:
            return
        self.error = why
        if refused:
            remedy = f"check username, auth_username and password of [registrations.{self.account.name}]"
            log.error("registration_refused", registration=self.account.name, why=why, remedy=remedy)
        else:
            log.warning("registration_failed", registration=self.account.name, why=why)

    def _granted_s(self, answer: Response) -> float:
        """How long our own contact holds: the registrar may have shortened it, and may name others' beside it."""
        ours = self._contact().uri
        for value in answer.headers.all("Contact"):
            try:
                theirs = NameAddr.parse(value)
            except Malformed:
                continue
            if (theirs.uri.user, theirs.uri.host, theirs.uri.port) == (ours.user, ours.host, ours.port):
                granted = _number(theirs.params.get("expires", "")) or _number(answer.headers.get("Expires"))
                return max(LEAST_LIFE_S, float(granted or self._expires_s))
        return max(LEAST_LIFE_S, float(_number(answer.headers.get("Expires")) or self._expires_s))


class Registrations:
    """All of them. `start` and `stop` once each."""

    def __init__(self, accounts: Sequence[Account], sender: Sender) -> None:
        self._all = [Registration(account, sender) for account in accounts]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to register; nobody waits for it."""
        self._tasks = [
            asyncio.get_running_loop().create_task(self._keep(each), name=f"registration-{each.account.name}")
            for each in self._all
        ]

    async def stop(self) -> None:
        """Take all back, within two seconds."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await asyncio.gather(*(each.end() for each in self._all))

    def of_user(self, user: str, host: str) -> Account | None:
        """The account that a call to `user`, which came from `host`, was placed to."""
        named = [each.account for each in self._all if each.account.user == user]
        return next((account for account in named if account.host == host), named[0] if named else None)

    def health(self) -> dict[str, Any]:
        """By name."""
        return {each.account.name: each.health() for each in self._all}

    @property
    def missing(self) -> list[str]:
        """Names of those that are not registered now."""
        return [each.account.name for each in self._all if not each.registered]

    async def _keep(self, registration: Registration) -> None:
        """A fault of ours in one is logged, and it is tried again: it must not go silently for good."""
        while True:
            try:
                await registration.run()
            except Exception:
                log.exception("registration_broke", registration=registration.account.name)
                await asyncio.sleep(_about(LAST_RETRY_S))


def _is_stale(answer: Response) -> bool:
    names = ("WWW-Authenticate", "Proxy-Authenticate")
    return any("stale=true" in value.lower().replace(" ", "") for name in names for value in answer.headers.all(name))


def _number(text: str) -> int:
    return int(text) if _NUMBER.fullmatch(text.strip()) else 0


def _about(seconds: float) -> float:
    """Give or take a tenth, so that many daemons do not come at once."""
    return seconds * random.uniform(0.9, 1.1)
