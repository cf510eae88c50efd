"""HTTPS with a certificate of the administrator's, and what is said of files that can't be one.

The files in tests/api/tls are thrown away: made with openssl for localhost, and of use nowhere else.
"""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.resources import health
from sovereign_pbx.api.server import Listener, make_app
from sovereign_pbx.cli import cli
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.rest import tls_of
from tests.api.probe import ScriptedProbe
from tests.api.rest import written

FILES = Path(__file__).parent / "tls"


def configured(folder: Path, **http: Any) -> Config:
    for file in FILES.glob("*.pem"):
        shutil.copy(file, folder)
    return written(folder, {"http": http})


@pytest.mark.parametrize("together", [False, True])
def test_a_client_that_trusts_the_certificate_is_answered_over_tls(tmp_path: Path, together: bool) -> None:
    http = {"tls_certificate": "certificate.pem", "tls_key": "key.pem"}
    if together:
        both = (FILES / "certificate.pem").read_text() + (FILES / "key.pem").read_text()
        (tmp_path / "both.pem").write_text(both)
        http = {"tls_certificate": str(tmp_path / "both.pem")}
    config = configured(tmp_path, **http)
    trusting = ssl.create_default_context(cafile=str(FILES / "certificate.pem"))

    async def run() -> None:
        app = make_app(ScriptedProbe(), Metrics(), health.operations(ScriptedProbe()))
        listener = Listener(app, tls=await tls_of(config))
        port = await listener.start("127.0.0.1", 0)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://127.0.0.1:{port}/api/v1/health", ssl=trusting) as response:
                assert (response.status, (await response.json())["status"]) == (200, "ok")
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{port}/api/v1/health")
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"https://127.0.0.1:{port}/api/v1/health")
        await listener.close()

    asyncio.run(run())


def test_a_connection_that_never_finishes_its_handshake_is_closed(tmp_path: Path) -> None:
    config = configured(tmp_path, tls_certificate="certificate.pem", tls_key="key.pem")

    async def run() -> None:
        app = make_app(ScriptedProbe(), Metrics())
        listener = Listener(app, idle_s=0.2, tls=await tls_of(config))
        port = await listener.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        await listener.close()

    asyncio.run(run())


def test_without_a_certificate_it_is_plain_http(tmp_path: Path) -> None:
    assert asyncio.run(tls_of(configured(tmp_path))) is None


@pytest.mark.parametrize(
    ("certificate", "key", "place", "words"),
    [
        ("missing.pem", "key.pem", "http.tls_certificate", "missing.pem can't be read: No such file or directory"),
        ("certificate.pem", "missing.pem", "http.tls_key", "missing.pem can't be read: No such file or directory"),
        ("certificate.pem", ".", "http.tls_key", "can't be read: Is a directory"),
        ("certificate.pem", "other-key.pem", "http.tls_certificate", "mismatch"),
        ("certificate.pem", "encrypted-key.pem", "http.tls_certificate", "can't be used"),
        ("certificate.pem", "config.toml", "http.tls_certificate", "can't be used"),
        ("certificate.pem", "", "http.tls_certificate", "can't be used"),
        ("config.toml", "key.pem", "http.tls_certificate", "can't be used"),
        ("", "key.pem", "http.tls_key", "a key without a certificate"),
    ],
)
def test_files_that_can_not_be_used_are_named(
    tmp_path: Path, certificate: str, key: str, place: str, words: str
) -> None:
    config = configured(tmp_path, tls_certificate=certificate, tls_key=key)
    with pytest.raises(ConfigError, match=words) as wrong:
        asyncio.run(tls_of(config))
    assert wrong.value.key == place and wrong.value.remedy
    found = CliRunner().invoke(cli, ["check", "--no-ports", "-c", str(config.path)])
    assert found.exit_code == 1 and f"error: {place}: " in found.output and words in found.output
