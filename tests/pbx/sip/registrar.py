"""A registrar that takes one extension, and refuses whatever a real one would."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sovereign_pbx.pbx.sip.outgoing_way import Transport
from sovereign_pbx.pbx.sip.registration import Pending
from sovereign_pbx.wire.digest import Verifier
from sovereign_pbx.wire.sip import Headers, NameAddr, Request, Response, Uri, cseq, response_to

CONTACT = "sip:800@192.0.2.9:5090"


@dataclass
class Registrar:
    """`answers`: said instead of its own verdict, as long as there are any; a status, or an exception of the network.
    `granted_s`: what it makes of the time that is asked for. `least_s`: below it is 423. `open`: asks for no password.
    """

    password: str = "s3cret"
    granted_s: int | None = None
    least_s: int = 0
    open: bool = False
    proxied: bool = False  # asks by 407, as one behind a proxy does
    realm_lifetime_s: float = 300.0
    answers: list[int | Exception] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    bound_s: float = 0.0  # what the binding that it has was given; 0: none
    silent: bool = False

    def __post_init__(self) -> None:
        self._verifier = Verifier("pbx.example.com", lifetime_s=self.realm_lifetime_s)
        self._last: dict[str, int] = {}

    # --- as the endpoint

    def request(self, request: Request, to: Uri, *, timeout_s: float = 32.0) -> Pending:
        assert str(to) == request.uri
        return _Answer(request, self._answer, timeout_s)

    def contact(self, way: Transport, user: str) -> str:
        return f"<sip:{user}@192.0.2.9:5090>"

    # --- as the registrar

    async def _answer(self, request: Request, timeout_s: float) -> Response:
        if self.silent:
            await asyncio.sleep(timeout_s)
            return response_to(request, 408)
        self._check(request)
        self.requests.append(request)
        self.times.append(asyncio.get_running_loop().time())
        if self.answers:
            told = self.answers.pop(0)
            if isinstance(told, Exception):
                raise told
            if told != 200:
                return response_to(request, told, headers=self._challenge() if told == 401 else ())
        return self._judge(request)

    def _judge(self, request: Request) -> Response:
        now = asyncio.get_running_loop().time()
        if not self.open:
            verdict = self._verifier.judge(
                request.headers.all("Proxy-Authorization" if self.proxied else "Authorization"),
                method="REGISTER",
                username="800-auth",
                password=self.password,
                now=now,
            )
            if verdict != "right":
                stale = verdict == "stale"
                return response_to(request, 407 if self.proxied else 401, headers=self._challenge(stale=stale))
        wanted = int(request.headers.get("Expires"))
        if 0 < wanted < self.least_s:
            return response_to(request, 423, headers=[("Min-Expires", str(self.least_s))])
        self.bound_s = wanted and (self.granted_s or wanted)
        contacts = [("Contact", f"<sip:800@192.0.2.77>;expires=3333, <{CONTACT}>;expires={self.bound_s}")]
        return response_to(request, 200, headers=contacts if wanted else ())

    def _challenge(self, *, stale: bool = False) -> list[tuple[str, str]]:
        now = asyncio.get_running_loop().time()
        name = "Proxy-Authenticate" if self.proxied else "WWW-Authenticate"
        return [(name, value) for value in self._verifier.challenges(now, stale=stale)]

    def _check(self, request: Request) -> None:
        """RFC 3261 §10.2: an address without a user in the request line, To and From the same, a number that grows."""
        headers: Headers = request.headers
        assert request.method == "REGISTER"
        assert Uri.parse(request.uri).user == ""
        to, from_ = NameAddr.parse(headers.get("To")), NameAddr.parse(headers.get("From"))
        assert str(to.uri) == str(from_.uri) == "sip:800@pbx.example.com"
        assert from_.tag
        assert not to.tag
        number = cseq(headers)[0]
        assert number > self._last.get(headers.get("Call-ID"), 0)
        self._last[headers.get("Call-ID")] = number
        contact = NameAddr.parse(headers.get("Contact"))
        assert str(contact.uri) == CONTACT
        assert contact.params["expires"] == headers.get("Expires")


class _Answer:
    def __init__(
        self, request: Request, answer: Callable[[Request, float], Awaitable[Response]], timeout_s: float
    ) -> None:
        self._request, self._answer, self._timeout_s = request, answer, timeout_s
        self.flow: object = "a way"

    async def final(self) -> Response:
        return await self._answer(self._request, self._timeout_s)
