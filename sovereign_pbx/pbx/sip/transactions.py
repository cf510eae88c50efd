"""Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3), and how many there may be."""

from sovereign_pbx.pbx.sip.transaction_client import ClientTransaction
from sovereign_pbx.pbx.sip.transaction_server import AckKey, ServerTransaction
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Request, Response, Via, cseq, tag_of

ServerKey = tuple[str, ...]


def server_key(request: Request, method: str = "") -> ServerKey:
    """By which repetitions of a request are known, its CANCEL and the ACK of its refusal too (with the `method` of what
    they belong to)."""
    top = request.headers.get("Via")
    via = Via.parse(top)
    method = method or request.method
    if via.branch:
        return via.branch, via.host.lower(), str(via.port or ""), method
    # A peer by RFC 2543: its Via alone tells nothing apart, so all does that can't change between the two.
    headers = request.headers
    return top, request.uri, tag_of(headers, "From"), headers.get("Call-ID"), str(cseq(headers)[0]), method


def ack_key(ack: Request) -> AckKey:
    headers = ack.headers
    return headers.get("Call-ID"), tag_of(headers, "From"), tag_of(headers, "To"), cseq(headers)[0]


def _merge_key(request: Request) -> tuple[str, ...]:
    headers = request.headers
    return headers.get("Call-ID"), tag_of(headers, "From"), headers.get("CSeq")


class Transactions:
    """All that are under way, at most `limit` of them in either direction together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._keys: dict[ServerTransaction, tuple[ServerKey, tuple[str, ...]]] = {}
        self._acks: dict[AckKey, ServerTransaction] = {}
        self._merged: dict[tuple[str, ...], ServerTransaction] = {}
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._invites: dict[tuple[str, int], ClientTransaction] = {}

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    @property
    def full(self) -> bool:
        return len(self) >= self._limit

    @property
    def clients(self) -> list[ClientTransaction]:
        return list(self._clients.values())

    # --- requests that came

    def server(self, request: Request, method: str = "") -> ServerTransaction | None:
        """The one that this request repeats, or (with `method`) that it belongs to."""
        return self._servers.get(server_key(request, method))

    def for_ack(self, ack: Request) -> ServerTransaction | None:
        """The INVITE whose answer is acknowledged: of a 2xx found by its dialog, of a refusal by its branch. Some peers
        use the INVITE's branch for both."""
        return self._acks.get(ack_key(ack)) or self.server(ack, "INVITE")

    def merged(self, request: Request) -> bool:
        """The same request has come by another way (§8.2.2.2)."""
        return _merge_key(request) in self._merged

    def add_server(self, transaction: ServerTransaction) -> None:
        keys = server_key(transaction.request), _merge_key(transaction.request)
        self._keys[transaction] = keys
        self._servers[keys[0]] = transaction
        self._merged.setdefault(keys[1], transaction)

    def answered(self, transaction: ServerTransaction) -> None:
        """From now on an ACK may come that knows the answer's tag."""
        key = transaction.ack_key
        if key is not None and transaction in self._keys:
            self._acks[key] = transaction

    def remove_server(self, transaction: ServerTransaction) -> None:
        keys = self._keys.pop(transaction, None)
        if keys is None:
            return
        self._servers.pop(keys[0], None)
        if self._merged.get(keys[1]) is transaction:
            del self._merged[keys[1]]
        ack = transaction.ack_key
        if ack is not None and self._acks.get(ack) is transaction:
            del self._acks[ack]

    # --- requests of ours

    def client(self, response: Response) -> ClientTransaction | None:
        """Whose answer this is; None for nobody's, which is dropped."""
        try:
            branch = Via.parse(response.headers.get("Via")).params.get("branch", "")
            return self._clients.get((branch, cseq(response.headers)[1]))
        except Malformed:
            return None

    def acknowledged(self, ack: Request, data: bytes) -> None:
        """An ACK of a 2xx leaves: should that 2xx come again, this is its answer."""
        transaction = self._invites.get((ack.headers.get("Call-ID"), cseq(ack.headers)[0]))
        if transaction is not None:
            transaction.acknowledge(data, tag_of(ack.headers, "To"))

    def add_client(self, transaction: ClientTransaction) -> None:
        self._clients[transaction.key] = transaction
        if transaction.request.method == "INVITE":
            self._invites[_invite_key(transaction)] = transaction

    def remove_client(self, transaction: ClientTransaction) -> None:
        self._clients.pop(transaction.key, None)
        if self._invites.get(_invite_key(transaction)) is transaction:
            del self._invites[_invite_key(transaction)]

    def close(self) -> None:
        for server in tuple(self._servers.values()):
            server.close()
        for client in self.clients:
            client.close()


def _invite_key(transaction: ClientTransaction) -> tuple[str, int]:
    headers = transaction.request.headers
    return headers.get("Call-ID"), cseq(headers)[0]
