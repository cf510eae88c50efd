"""The certificates of the HTTP listener and of SIP over TLS: loaded by the daemon, tried by `check`."""

import ssl
from collections.abc import Callable
from pathlib import Path

from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.config import Config
from sovereign_pbx.config_findings import Finding, located
from sovereign_pbx.config_source import read_source
from sovereign_pbx.core.errors import ConfigError

_REMEDY = "both files must be PEM, fit each other, and be readable by the daemon's user; the key unencrypted"


def context_of(config: Config) -> ssl.SSLContext | None:
    """What the listener speaks TLS with, None for plain HTTP. Reads files. ConfigError if they can't be used."""
    http = config.http
    if not http.tls_certificate:
        if http.tls_key:
            raise _error(config, "http.tls_key", "there is a key without a certificate", "set tls_certificate too")
        return None
    return _context(config, "http", http.tls_certificate, http.tls_key)


def sip_context_of(config: Config) -> ssl.SSLContext | None:
    """What `[sip]` speaks TLS with, None where it does not. Reads files. ConfigError if they can't be used."""
    sip = config.sip
    if "tls" not in sip.transports or not sip.tls_certificate:
        return None
    return _context(config, "sip", sip.tls_certificate, sip.tls_key)


def tls_findings(config: Config, file: Path) -> list[Finding]:
    """What is wrong with the certificate."""
    try:
        if config.http.enabled:
            context_of(config)
        if config.sip.enabled:
            sip_context_of(config)
    except ConfigError as error:
        problem = Problem(tuple(error.key.split(".")), error.message, error.remedy)
        return located([problem], str(file), read_source(file).positions)
    return []


def _context(config: Config, section: str, certificate: str, own_key: str) -> ssl.SSLContext:
    folder = config.path.parent
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    key = folder / own_key if own_key else None
    for name, file in (("tls_certificate", folder / certificate), ("tls_key", key)):
        _try_to_read(config, f"{section}.{name}", file)
    try:
        context.load_cert_chain(folder / certificate, key, password=_no_password)
    except (OSError, ValueError) as exc:  # an ssl.SSLError is an OSError
        reason = getattr(exc, "reason", None) or exc
        what = f"the TLS certificate and its key can't be used: {str(reason).lower().replace('_', ' ')}"
        raise _error(config, f"{section}.tls_certificate", what, _REMEDY) from exc
    return context


def _try_to_read(config: Config, name: str, file: Path | None) -> None:
    """OpenSSL does not say which of the two it could not read."""
    try:
        if file is not None:
            file.open("rb").close()
    except OSError as exc:
        raise _error(config, name, f"{file} can't be read: {exc.strerror}", _REMEDY) from exc


def _error(config: Config, key: str, message: str, remedy: str) -> ConfigError:
    return ConfigError(message, file=str(config.path), key=key, remedy=remedy)


_no_password: Callable[[], str] = lambda: ""  # noqa: E731 - without one OpenSSL would ask on a terminal
