"""How a command reaches the daemon's own API, by plain HTTP and by TLS."""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sovereign_pbx.commands.own_api import ask, base_url, trusted
from sovereign_pbx.config import Config, load
from sovereign_pbx.core.errors import BadInput

TLS = Path(__file__).resolve().parents[1] / "api" / "tls"


def configured(folder: Path, http: str) -> Config:
    path = folder / "config.toml"
    path.write_text(f"[http]\n{http}\n")
    path.chmod(0o600)
    for name in ("certificate.pem", "key.pem"):
        shutil.copy(TLS / name, folder / name)
        (folder / name).chmod(0o600)
    return load(path, environ={})


@pytest.mark.parametrize(
    ("http", "url"),
    [
        ("port = 81", "http://127.0.0.1:81"),
        ('host = "0.0.0.0"', "http://127.0.0.1:8090"),
        ('host = "::"', "http://[::1]:8090"),
        ('host = "[::1]"', "http://[::1]:8090"),
        ('host = "pbx.lan"', "http://pbx.lan:8090"),
        ('tls_certificate = "certificate.pem"\ntls_key = "key.pem"', "https://127.0.0.1:8090"),
    ],
)
def test_the_address_is_that_of_the_configuration(tmp_path: Path, http: str, url: str) -> None:
    assert base_url(configured(tmp_path, http)) == url


async def asked(config: Config, answer: web.StreamResponse | str, **options: Any) -> dict[str, Any]:
    """What `ask` makes of an answer, over TLS if the configuration says so."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(text=answer) if isinstance(answer, str) else answer

    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    context = None
    if config.http.tls_certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        await asyncio.to_thread(context.load_cert_chain, TLS / "certificate.pem", TLS / "key.pem")
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        verify = options.get("verify", await asyncio.to_thread(trusted, config))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=verify)) as session:
            scheme = "https" if context else "http"
            return (await ask(session, "GET", f"{scheme}://127.0.0.1:{port}/")).body
    finally:
        await runner.cleanup()


SECURE = 'tls_certificate = "certificate.pem"\ntls_key = "key.pem"'


def test_the_daemons_own_certificate_is_believed_and_no_other(tmp_path: Path) -> None:
    config = configured(tmp_path, SECURE)
    assert asyncio.run(asked(config, '{"ok": true}')) == {"ok": True}
    with pytest.raises(aiohttp.ClientConnectorError):
        asyncio.run(asked(config, '{"ok": true}', verify=True))


@pytest.mark.parametrize("answer", ["no JSON", "[1]", ""])
def test_what_is_no_object_is_bad_input(tmp_path: Path, answer: str) -> None:
    with pytest.raises(BadInput):
        asyncio.run(asked(configured(tmp_path, "port = 81"), answer))
