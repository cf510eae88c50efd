"""Whatever can bring the sound of an Asterisk's calls: the same behaviour is to be had over every one of them."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from sovereign_pbx.pbx.asterisk.pjsip_endpoint import endpoint_section
from sovereign_pbx.pbx.asterisk.websocket_conf import client_section
from sovereign_pbx.pbx.asterisk.wideband import Media
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.pbx.sip.sound import SoundSettings
from sovereign_pbx.testing.port_block import reserve_ports

PCMU, G722 = 0, 9
SILENT_S = 2.0  # the least that may be set; shorter than what the tests hold a call


@dataclass(frozen=True, slots=True)
class Link:
    """`media` as `[asterisk] media` has it, and a caller whose telephone speaks wideband, or does not."""

    name: str
    media: Media
    wide: bool


LINKS: Final = (
    Link("AudioSocket", "auto", wide=False),
    Link("AudioSocket, wideband", "auto", wide=True),
    Link("chan_websocket", "websocket", wide=False),
    Link("chan_websocket, wideband", "websocket", wide=True),
    Link("SIP", "sip", wide=False),
    Link("SIP, wideband", "sip", wide=True),
)

# What every run of the tests sees beside AudioSocket at 8 kHz; the others only when docs/links.md is drawn
USUAL: Final = (LINKS[1], LINKS[2], LINKS[5])

_chosen: ContextVar[Link] = ContextVar("link", default=LINKS[0])


@dataclass(frozen=True, slots=True)
class Laid:
    """What a link needs: files of Asterisk's, settings of the PBX under test, codecs of the caller's telephone."""

    link: Link
    extra: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    sip: SipPbx | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)  # of the whole daemon's configuration
    arguments: tuple[str, ...] = ("auto", "0", "0", "0")  # of a daemon of its own, `tests.pbx.small_daemon`

    @property
    def codecs(self) -> tuple[int, ...]:
        return (G722,) if self.link.wide else (PCMU,)


@contextmanager
def over(link: Link) -> Iterator[None]:
    """Every stage that is built meanwhile has this link."""
    token = _chosen.set(link)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> Link:
    """What `over` has said last."""
    return _chosen.get()


@contextmanager
def laid() -> Iterator[Laid]:
    """The chosen link, with ports of its own."""
    link = _chosen.get()
    block = reserve_ports()
    try:
        if link.media == "websocket":
            port = block.take(socket.SOCK_STREAM)
            section = client_section(connection="sovereign", address=f"127.0.0.1:{port}")
            options = {"media": "websocket", "websocket_port": port, "websocket_stalled_s": SILENT_S}
            arguments = ("websocket", str(port), "0", "0")
            sections: Mapping[str, Any] = {"asterisk": {"media": "websocket", "websocket": {"port": port}}}
            yield Laid(link, {"websocket_client.conf": section}, options, None, sections, arguments)
        elif link.media == "sip":
            port = block.take(socket.SOCK_DGRAM)
            first, last = block.rest
            endpoint = endpoint_section(name="sovereign", transport="udp", codecs=("L16", "G722", "PCMU", "PCMA"))
            rtp: dict[str, Any] = {"rtp_first_port": first, "rtp_last_port": last}
            sip = SipPbx(SipSettings(port=0, transports=("udp",), sound=SoundSettings(media_timeout_s=SILENT_S), **rtp))
            arguments = ("sip", "0", str(first), str(last))
            ports = {"port": port, "media_timeout_seconds": SILENT_S, **rtp}
            sections = {"asterisk": {"media": "sip"}, "sip": {"enabled": True, "transports": ["udp"], **ports}}
            yield Laid(link, {"pjsip.conf": f"\n{endpoint}"}, {"media": "sip"}, sip, sections, arguments)
        else:
            yield Laid(link, options={"media": link.media})
    finally:
        block.release()


def named(name: str) -> Link:
    return next(link for link in LINKS if link.name == name)


def together(*files: Mapping[str, str] | None) -> dict[str, str]:
    """Files with everything that each of them adds."""
    joined: dict[str, str] = {}
    for one in files:
        for name, text in (one or {}).items():
            joined[name] = joined.get(name, "") + text
    return joined
