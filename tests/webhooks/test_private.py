"""`allow_private = false`: nothing connects to an address that is not on the public Internet."""

import asyncio
import socket

import pytest
from aiohttp.abc import ResolveResult

from sovereign_pbx.core.errors import WebhookError
from sovereign_pbx.webhooks.ask import Asker
from sovereign_pbx.webhooks.names import Resolver
from sovereign_pbx.webhooks.post import open_session
from sovereign_pbx.webhooks.private import PrivateTarget, is_private, public_socket
from tests.webhooks.receiver import SECRET, Receiver, answering, listening

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.1.1",
    "169.254.169.254",  # metadata of AWS, Google, Azure
    "168.63.129.16",  # Azure's wire server
    "192.0.0.192",  # Oracle's metadata
    "100.64.0.1",
    "100.100.100.200",  # Alibaba's metadata
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "2002:a00:1::1",  # 6to4 of 10.0.0.1
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of AWS
    "ff02::1",
    "2001:db8::1",
    "nonsense",
    "",
    "127.1",
    "0x7f000001",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_known(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", [*PUBLIC, "64:ff9b::8.8.8.8"])
def test_a_public_address_is_not_refused(address: str) -> None:
    assert not is_private(address)


def test_no_socket_is_made_for_a_private_address() -> None:
    with pytest.raises(PrivateTarget, match="allow_private"):
        public_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.0.0.1", 80)))
    public_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("1.1.1.1", 80))).close()


def ask(url: str, resolver: Resolver | None = None, *, allow_private: bool = False) -> dict[str, object]:
    async def run() -> dict[str, object]:
        async with open_session(allow_private=allow_private) as session:
            if resolver is not None:
                session.connector._resolver = resolver  # type: ignore[union-attr]  # as a name server would answer
            return await Asker(session).tool_calls(url, SECRET, b"{}", 5.0)

    return asyncio.run(run())


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_a_webhook_on_a_private_address_is_refused_and_says_why(host: str) -> None:
    with pytest.raises(WebhookError, match=r"refused: .*allow_private is false"):
        ask(f"http://{host}:9/hook")


@pytest.mark.parametrize("host", ["127.1", "0", "2130706433", "0x7f.1"])
def test_other_spellings_of_this_machine_lead_nowhere(host: str) -> None:
    with pytest.raises(WebhookError, match="refused"):
        ask(f"http://{host}:9/hook")


class Rebinding(Resolver):
    """Shows a public address to whoever asks first, and this machine's to everybody after."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        address = "1.1.1.1" if self.asked == 0 else "127.0.0.1"
        kind = socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)]


def test_a_name_that_turns_to_a_private_address_is_refused_when_it_connects() -> None:
    resolver = Rebinding()
    with pytest.raises(WebhookError, match="allow_private is false"):
        ask("http://rebinding.example:9/hook", resolver)
    assert resolver.asked


def test_by_default_private_addresses_are_allowed() -> None:
    async def run() -> None:
        async with listening(Receiver(answering(b'{"result": 5}'))) as receiver, open_session() as session:
            assert await Asker(session).tool_calls(receiver.url, SECRET, b"{}") == {"result": 5}

    asyncio.run(run())
