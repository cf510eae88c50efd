"""Ways out: where an INVITE of ours goes, and as whom.

A trunk that the configuration gives an address, a registration (through its registrar, as its extension), or the PBX
that brought the call, by the very connection that it came on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.pbx.harmless import destination, number, shown_number
from sovereign_pbx.wire.sip_address import NameAddr, Uri, host_text

Transport = Literal["udp", "tcp", "tls"]

ANONYMOUS: Final = "anonymous"
NOBODY: Final = "anonymous.invalid"  # RFC 3323 §4.1.1.3
OWN_USER: Final = "sovereign-pbx"  # where no number is to be shown and none is hidden
LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`name`: what it is called, for people. `host`, `port`: of request URIs. `account`: the extension that From must
    name, where there is one."""

    name: str
    host: str
    port: int | None = None
    transport: Transport = "udp"
    account: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    def uri(self, wanted: str) -> Uri:
        """The request URI for a number or an extension on this way. Raises BadInput."""
        params: dict[str, str] = {} if self.transport == "udp" else {"transport": self.transport}
        return Uri("sip", _user(number(wanted)), self.host, self.port, params)

    @property
    def place(self) -> str:
        """host or host:port."""
        return host_text(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the person called is shown. `number`: "" where nothing is configured; None: the caller withholds his.
    `diverted_from`: the number that the caller had dialled (Diversion, RFC 5806)."""

    number: str | None = ""
    name: str = ""
    diverted_from: str = ""

    def identity(self, way: Way | None, own_host: str) -> list[tuple[str, str]]:
        """From (without a tag) and whatever else tells who calls. Raises BadInput for what can't be shown.

        Registrars want From to be the extension; who really calls is then in P-Asserted-Identity (RFC 3325), which a
        PBX that trusts us shows.
        """
        told = shown_number("the caller id", self.number or "")
        known = way is not None and bool(way.account or way.username)
        host, port = (way.host, way.port) if way is not None and known else (own_host, None)
        account = way.account if way is not None else ""
        if self.number is None:
            hidden = NameAddr("Anonymous", Uri("sip", ANONYMOUS, NOBODY))
            headers = [("From", str(self._as(account, host, port) if account else hidden)), ("Privacy", "id")]
        else:
            user = account or told or (way.username if way is not None else "") or OWN_USER
            headers = [("From", str(self._as(user, host, port)))]
            if told and known:
                headers.append(("P-Asserted-Identity", str(self._as(told, host, port))))
        if self.diverted_from:
            first = Uri("sip", _user(shown_number("the number diverted from", self.diverted_from)), host, port)
            headers.append(("Diversion", f"<{first}>;reason=unknown;counter=1"))
        return headers

    def _as(self, user: str, host: str, port: int | None) -> NameAddr:
        name = "" if self.number is None else self.name[:LONGEST_NAME]
        return NameAddr("".join(c for c in name if c.isprintable()), Uri("sip", _user(user), host, port))


class Ways:
    """Every way out by its name. `trunks` gives those that the configuration, and objects made through the API, name as
    they are now."""

    def __init__(self, trunks: Callable[[], Mapping[str, Way]], registrations: Mapping[str, Way]) -> None:
        self._trunks = trunks
        self._registrations = registrations

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._registrations or self._trunks())

    def named(self, name: str) -> Way | None:
        """A registration's name comes first: it is what this side is known as."""
        return self._registrations.get(name) or self._trunks().get(name)

    def only(self) -> Way | None:
        """The one that needs no name: there is a single registration, or a single trunk and no registration."""
        found = self._registrations or self._trunks()
        return next(iter(found.values())) if len(found) == 1 else None


def is_uri(wanted: str) -> bool:
    """Whether a destination is a SIP URI rather than a number."""
    return wanted.startswith(("sip:", "sips:"))


def uri_of(wanted: str) -> Uri:
    """A destination that is a SIP URI, as a request URI. Raises BadInput."""
    try:
        uri = Uri.parse(destination(wanted))
    except ValueError as exc:
        raise BadInput(f"{wanted[:40]!r} is no SIP address: {exc}") from exc
    if not is_uri(wanted) or not uri.user:
        raise BadInput(f"{wanted[:40]!r} is no SIP address: sip:user@host is")
    return uri


def _user(text: str) -> str:
    """In a user part # must be escaped (RFC 3261 §25.1); nothing else that gets here must."""
    return text.replace("#", "%23")
