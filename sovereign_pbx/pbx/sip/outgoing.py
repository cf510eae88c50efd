"""Calls placed and callers put through by SIP alone: INVITEs of our own, REFER, and the bridge here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.core.errors import BadInput, Refused
from sovereign_pbx.pbx.link import Dialled, DialOrder, NextStep
from sovereign_pbx.pbx.sip.bridging import Bridges
from sovereign_pbx.pbx.sip.control import Calls, HeldCall
from sovereign_pbx.pbx.sip.identity import called, caller_of, user_of
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.legs import Legs
from sovereign_pbx.pbx.sip.outgoing_call import Outgoing, Whom
from sovereign_pbx.pbx.sip.outgoing_peer import connection_of, peer_way
from sovereign_pbx.pbx.sip.outgoing_result import Unanswered
from sovereign_pbx.pbx.sip.outgoing_transfer import How, Putting, TransferWay, refer_blindly
from sovereign_pbx.pbx.sip.outgoing_way import OWN_USER, Shown, Way, Ways, is_uri, uri_of
from sovereign_pbx.pbx.sip.registration import Account, Registrations
from sovereign_pbx.pbx.sip.sip_call import SipCall
from sovereign_pbx.pbx.sip.transport import Flow, kind_of
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import NameAddr, Request, Uri

log = structlog.get_logger(__name__)

_NO_WAY: Final = 'nothing leads out over SIP: add [registrations.NAME], or a trunk with pbx = "sip" and an address'
_WHICH_WAY: Final = "there are several ways out over SIP: name the trunk that the call is to go out on"
_NO_TRUNK: Final = 'no trunk {0!r} with pbx = "sip" and an address, and no [registrations.{0}]'


@dataclass(frozen=True, slots=True, kw_only=True)
class SipControlSettings:
    """`trunks` gives the ways out by name, as they are now. `accounts`: the registrations."""

    trunks: Callable[[], Mapping[str, Way]] = dict
    accounts: Sequence[Account] = ()
    transfer: TransferWay = "auto"


class Exchange(Calls, Protocol):
    """What `SipPbx` is to this control, beyond what it is to all."""

    legs: Legs

    async def converse(self, order: DialOrder, leg: Leg, invite: Request) -> None:
        """An INVITE of ours was answered: from here on it is a call like every other. Returns when it is gone."""


class SipControl:
    """Has every call that no other control has: it goes last. `start` once, `stop` once."""

    name = "sip"

    def __init__(self, settings: SipControlSettings) -> None:
        self._settings = settings
        self._ways = Ways(settings.trunks, {account.name: account.way for account in settings.accounts})
        self._bridges = Bridges()
        self._ringing: dict[str, Outgoing] = {}
        self._placed: dict[str, Whom] = {}  # answered, and not gone
        self._registrations: Registrations | None = None
        self._exchange: Exchange

    async def start(self, calls: Calls) -> None:
        """`calls` is a `SipPbx`: nothing else has dialogs."""
        self._exchange = calls  # type: ignore[assignment]  # an Exchange by the sentence above
        self._registrations = Registrations(self._settings.accounts, self._exchange.legs.endpoint)
        self._registrations.start()

    async def stop(self) -> None:
        """Stop what rings, and take the registrations back; who has been put through is hung up by `SipPbx`."""
        for outgoing in tuple(self._ringing.values()):
            outgoing.give_up()
        if self._registrations is not None:
            await self._registrations.stop()

    def owns(self, invite: Request, peer: str) -> bool:
        return True

    def facts(self, invite: Request) -> Mapping[str, str]:
        return {}

    def check_outbound(self) -> None:
        if not self._ways:
            raise Refused("pbx_unavailable", _NO_WAY)

    # --- calls placed

    async def originate(self, order: DialOrder) -> None:
        whom = self._whom_to_call(order)
        outgoing = await self._prepare(whom)
        self._ringing[order.call_id] = outgoing
        self._exchange.legs.spawn(self._place(order, whom, outgoing), f"sip-order-{order.call_id}")
        log.info("sip_invited", call_id=order.call_id, where=whom.where)

    async def _place(self, order: DialOrder, whom: Whom, outgoing: Outgoing) -> None:
        with bound_contextvars(call_id=order.call_id):
            try:
                found = await outgoing.ring(order.ring_s)
            finally:
                self._ringing.pop(order.call_id, None)
            if isinstance(found, Unanswered):
                self._tell_unanswered(order, found)
            else:
                assert outgoing.invite is not None
                self._placed[order.call_id] = whom
                try:
                    await self._exchange.converse(order, found, outgoing.invite)
                finally:
                    del self._placed[order.call_id]

    def _tell_unanswered(self, order: DialOrder, found: Unanswered) -> None:
        how = found.not_answered()
        log.info("not_answered", reason=how.reason, why=how.why, cause=how.cause, status=found.status)
        try:
            self._exchange.desk.not_answered(order.call_id, how)
        finally:
            self._exchange.desk.gone(order.call_id, how.cause)

    async def hang_up(self, call_id: str, cause: int) -> bool:
        """Only what rings is hung up here; a caller's own dialog is `SipPbx`'s, and what hangs on it ends with it."""
        outgoing = self._ringing.get(call_id)
        if outgoing is None:
            return False
        outgoing.give_up(cause)
        return True

    # --- callers put through

    async def put_through(self, call: HeldCall, step: NextStep) -> Dialled:
        assert isinstance(call, SipCall)
        try:
            whom, at_home = self._whom_to_put_through(call, step)
        except (BadInput, Refused) as exc:
            return Dialled("failed", str(exc))
        if self._settings.transfer == "refer" and at_home and not step.briefing:
            return await refer_blindly(self._exchange.desk, call, whom, step.ring_s)
        outgoing = await self._prepare(whom)
        how = How(transfer=self._settings.transfer, at_home=at_home)
        return await Putting(self._exchange.desk, self._bridges, call, step, outgoing, how).run()

    # --- whom, and by which way

    def _whom_to_call(self, order: DialOrder) -> Whom:
        """Raises Refused (`pbx_unavailable`) and BadInput."""
        way = self._way(order.trunk) if order.trunk or not is_uri(order.destination) else None
        shown = Shown(number=order.caller_id)
        trunk = f" on trunk {order.trunk}" if order.trunk else ""
        return self._whom(order.destination, way, shown, f"{order.destination}{trunk}")

    def _way(self, name: str) -> Way:
        way = self._ways.named(name) if name else self._ways.only()
        if way is not None:
            return way
        self.check_outbound()
        raise Refused("pbx_unavailable", _NO_TRUNK.format(name) if name else _WHICH_WAY)

    def _whom_to_put_through(self, call: SipCall, step: NextStep) -> tuple[Whom, bool]:
        """And whether he is to be found at the PBX that the caller came by. Raises Refused and BadInput."""
        home, (number, name) = self._home(call), self._other_end(call)
        shown = Shown(
            number=step.caller_id or number or None,
            name="" if step.caller_id else name,
            diverted_from=step.diverted_from,
        )
        if step.trunk:
            return self._whom(step.destination, self._way(step.trunk), shown, step.destination), False
        if is_uri(step.destination):
            whom = self._whom(step.destination, None, shown, step.destination)
            return whom, whom.target.host == home.host
        return self._whom(step.destination, home, shown, step.destination, connection_of(call.leg, home)), True

    def _home(self, call: SipCall) -> Way:
        """Where the caller came from: the registrar of the extension that he called, else the station that sent his
        INVITE. Whom we called is at home where we called him."""
        placed = self._placed.get(call.call_id)
        if placed is not None:
            return placed.way or Way(name=placed.where, host=placed.target.host, port=placed.target.port)
        via = peer_way(call.invite)
        account = self._registrations.of_user(called(call.invite), via.host) if self._registrations else None
        return account.way if account is not None else via

    def _other_end(self, call: SipCall) -> tuple[str, str]:
        """Number and name of whom the assistant talks to; "" where he withholds them."""
        placed = self._placed.get(call.call_id)
        return (user_of(placed.target), "") if placed is not None else caller_of(call.invite.headers)

    def _whom(self, wanted: str, way: Way | None, shown: Shown, where: str, hop: Flow | None = None) -> Whom:
        """A password is for the host that it was configured with, and for nobody else."""
        target = uri_of(wanted) if is_uri(wanted) else (way or self._way("")).uri(wanted)
        if way is not None and target.host.lower() != way.host.lower():
            way = None
        contact = self._contact(target, way)
        identity = tuple(shown.identity(way, contact.host))
        return Whom(target=target, where=where, identity=identity, contact=contact, way=way, hop=hop)

    def _contact(self, target: Uri, way: Way | None) -> Uri:
        kind = kind_of(target)
        user = way.account if way is not None and way.account else OWN_USER
        try:
            return NameAddr.parse(self._exchange.legs.endpoint.contact(kind, user)).uri
        except (KeyError, Malformed) as exc:
            raise Refused("pbx_unavailable", f"[sip] transports does not name {kind}") from exc

    async def _prepare(self, whom: Whom) -> Outgoing:
        """Raises Refused (`too_many_calls`) where there is no port for the sound."""
        sound = await self._exchange.legs.open_sound(whom.contact.host)
        return Outgoing(self._exchange.legs, whom, sound)

    def health(self) -> dict[str, Any]:
        """Degraded where a registration does not hold."""
        registrations = self._registrations
        if registrations is None:
            return {"status": "down"}
        return {
            "status": "degraded" if registrations.missing else "ok",
            "ringing": len(self._ringing),
            "bridges": len(self._bridges),
            "registrations": registrations.health(),
        }
