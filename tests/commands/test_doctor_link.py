"""What doctor says of the link that brings the sound: of every Asterisk, and of a real one."""

import socket
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.commands.doctor.link import Means, judged
from sovereign_pbx.pbx.asterisk.pjsip_endpoint import endpoint_section
from sovereign_pbx.testing.port_block import reserve_ports
from tests.calls.scene_stage import play
from tests.commands.clinic import clinic

NEW, OLD, OLDEST = "22.10.1", "20.12.0", "16.28.0"
NO_AUDIOSOCKET = frozenset({"app_audiosocket.so", "res_audiosocket.so", "chan_audiosocket.so"})
NO_WEBSOCKET = frozenset({"chan_websocket.so", "res_websocket_client.so"})


@pytest.mark.parametrize(
    ("means", "possible"),
    [
        (Means(NEW, endpoint=True), ["wide", "sip", "websocket"]),
        (Means(NEW, frozenset({"chan_audiosocket.so"})), ["narrow", "websocket"]),
        (Means(NEW, NO_AUDIOSOCKET), ["websocket"]),
        (Means(OLD), ["narrow"]),
        (Means(OLDEST, NO_AUDIOSOCKET | NO_WEBSOCKET, endpoint=True), ["sip"]),
        (Means("", frozenset()), ["narrow"]),
    ],
)
def test_what_an_asterisk_can_bring(means: Means, possible: list[str]) -> None:
    assert means.possible == possible


@pytest.mark.parametrize(
    ("media", "means", "status", "words"),
    [
        ("auto", Means(NEW), "ok", "16 kHz for callers who speak wideband"),
        ("auto", Means(OLD), "ok", "20.17, 22.7 or later has it"),
        ("auto", Means(NEW, frozenset({"chan_audiosocket.so"})), "ok", "chan_audiosocket.so is not loaded"),
        ("auto", Means(OLDEST, NO_AUDIOSOCKET | NO_WEBSOCKET, endpoint=True), "failed", "possible: SIP"),
        ("audiosocket", Means(NEW), "ok", "auto would bring wideband"),
        ("sip", Means(NEW, endpoint=True), "ok", "SIP; AudioSocket"),
        ("sip", Means(NEW), "warning", "no endpoint sovereign"),
        ("sip", Means(OLDEST, NO_AUDIOSOCKET | NO_WEBSOCKET), "failed", "no endpoint sovereign"),
        ("websocket", Means(NEW), "ok", "chan_websocket"),
        ("websocket", Means(NEW, NO_WEBSOCKET), "warning", "chan_websocket.so"),
        ("websocket", Means("22.6.0"), "warning", "do not tell which call"),
    ],
)
def test_what_is_said_of_the_link_that_is_configured(media: str, means: Means, status: str, words: str) -> None:
    result = judged(media, "sovereign", means)
    assert result.status == status
    assert words in result.detail
    assert bool(result.remedy) == (status != "ok")


@pytest.mark.pbx
@pytest.mark.parametrize("endpoint", [True, False])
def test_the_test_call_goes_over_the_link_that_is_configured(
    asterisk_root: Path, tmp_path: Path, endpoint: bool
) -> None:
    async def scene() -> None:
        ports = reserve_ports()
        first, last = ports.rest
        sections: dict[str, Any] = {
            "sip": {
                "enabled": True,
                "port": ports.take(socket.SOCK_DGRAM),
                "rtp_first_port": first + 2,
                "rtp_last_port": last,
                "transports": ["udp"],
            },
        }
        text = endpoint_section(name="sovereign", transport="udp", codecs=("G722", "PCMU")) if endpoint else ""
        extra = {"pjsip.conf": f"\n{text}", "modules.conf": "load = func_module.so\n"}
        try:
            async with clinic(asterisk_root, tmp_path, extra=extra, media="sip", **sections) as it:
                found = await it.examine()
                assert found.of("asterisk link") == ("ok" if endpoint else "warning"), found.output
                assert found.of("test call") == ("ok" if endpoint else "failed"), found.output
                if not endpoint:
                    assert "came by AudioSocket and not by sip" in found.says("test call")
        finally:
            ports.release()

    play(scene())
