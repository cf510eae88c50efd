"""A live endpoint under fire: what it sends in return, and what is left of it all afterwards."""

import asyncio
import random
from dataclasses import dataclass, field

from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Request, Response, parse, response_to

# The phrase, `received`, `rport`, a tag, and the longest header of ours, Allow; for each header line of the request the
# long name of a short one and a space.
MOST_MORE = 420
MOST_MORE_A_LINE = 20


@dataclass(slots=True)
class Way:
    """A flow from an address of its own, so that the limit for each address never hides an answer."""

    peer: tuple[str, int]
    sent: list[bytes] = field(default_factory=list)
    kind: str = "udp"
    local: tuple[str, int] = ("127.0.0.1", 5090)
    reliable: bool = False

    def send(self, message: Request | Response) -> None:
        self.write(message.encode())

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def towards(self, port: int) -> "Way":
        return self


class Fire:
    """Messages into an endpoint whose calls behave at random."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self.endpoint = Endpoint("127.0.0.1", 0, ("udp", "tcp"), on_request=self._call)
        self.bytes_in = self.bytes_out = self.calls = self.answers = 0
        self.most_more = 0
        self.inputs = 0

    def throw(self, data: bytes) -> None:
        """One datagram. Raises AssertionError when what comes back at once is out of proportion."""
        self.inputs += 1
        if self._random.random() < 0.7:  # a call of its own; the others repeat or meet what was there before
            number = str(self.inputs).encode()
            data = data.replace(b"z9hG4bK", b"z9hG4bK" + number, 1).replace(b"Call-ID: ", b"Call-ID: " + number, 1)
        way = Way((f"10.{self.inputs >> 16 & 255}.{self.inputs >> 8 & 255}.{self.inputs & 255}", 5060))
        try:
            message = parse(data)
        except Malformed as exc:
            self.endpoint.malformed(way, exc)  # type: ignore[arg-type]  # kind is a plain str here
        else:
            self.endpoint.arrived(way, message)  # type: ignore[arg-type]
        back = sum(map(len, way.sent))
        more = back - len(data)
        assert more <= MOST_MORE + MOST_MORE_A_LINE * data.count(b"\r\n"), f"{more} bytes more than came: {data!r}"
        assert len(way.sent) <= 2, f"{len(way.sent)} answers to one message"
        self.bytes_in, self.bytes_out = self.bytes_in + len(data), self.bytes_out + back
        self.answers += len(way.sent)
        self.most_more = max(self.most_more, more if back else 0)

    def _call(self, transaction: ServerTransaction) -> None:
        self.calls += 1
        chance = self._random.randrange(6)
        if chance == 0:
            transaction.reply(180)
        elif chance == 1:
            transaction.reply(200)
        elif chance == 2:
            transaction.reply(486)
        elif chance == 3:
            transaction.respond_once(response_to(transaction.request, 401))
        elif chance == 4:
            raise RuntimeError("a fault in a call")

    async def settle(self) -> None:
        """Until every timer has run out. Raises AssertionError when something is left."""
        for _ in range(40):
            await asyncio.sleep(10)
        left = self.endpoint.statistics()["transactions"]
        assert left == 0, f"{left} transactions are left"
        await self.endpoint.stop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks, f"tasks are left: {tasks}"
