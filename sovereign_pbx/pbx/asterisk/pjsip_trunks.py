"""pjsip.conf sections for the trunks of the configuration, for an administrator to look at, change and include."""

import re
from collections.abc import Iterable
from typing import Final

from sovereign_pbx.core.errors import ConfigError

MASK: Final = "***"

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
# A semicolon begins a comment, a line break ends the line, a backslash escapes.
_VALUE: Final = re.compile(r"[^\x00-\x1f\x7f;\\]*")

HEADER: Final = """\
; Trunks of Sovereign PBX for pjsip.conf, made by `sovereign-pbx dialplan trunks`.
;
; A proposal: what your provider wants (codecs, from_domain, an outbound proxy, identification by address) is written in
; its own instructions. `context` is where calls from it arrive. Transports are yours: each section names one of the
; type that the trunk asks for, called transport-udp, transport-tcp or transport-tls.
"""


def trunk_section(
    *, name: str, address: str, transport: str, username: str, password: str, context: str, active: bool
) -> str:
    """One trunk: endpoint, aor and, where it has a user, auth and registration.

    Raises ConfigError for a value that does not belong into pjsip.conf.
    """
    if not address:
        return f"; {name}: an endpoint of your own, since the configuration gives no address\n"
    _check(name, "endpoint", name, _NAME)
    _check(name, "address", address, _ADDRESS)
    for key, value in (("auth_username", username), ("auth_password", password)):
        _check(name, key, value, _VALUE)
    if not active:
        return f"; {name} is not active\n"
    uri = f"sip:{address}" + ("" if transport == "udp" else f"\\;transport={transport}")
    lines = [
        f"[{name}]",
        "type = endpoint",
        f"context = {context}",
        f"transport = transport-{transport}",
        "disallow = all",
        "allow = alaw,ulaw",
        "direct_media = no",
        f"aors = {name}",
        *([f"outbound_auth = {name}", f"from_user = {username}"] if username else []),
        "",
        f"[{name}]",
        "type = aor",
        f"contact = {uri}",
        "qualify_frequency = 60",
        "",
    ]
    if username:
        lines += _registered(name, uri, transport, username, password)
    else:
        lines += [f"[{name}]", "type = identify", f"endpoint = {name}", f"match = {_host(address)}", ""]
    return "\n".join(lines)


def print_trunks(sections: Iterable[str]) -> str:
    """The whole file."""
    return "\n".join([HEADER, *sections])


def _registered(name: str, uri: str, transport: str, username: str, password: str) -> list[str]:
    scheme, _, where = uri.partition(":")
    return [
        f"[{name}]",
        "type = auth",
        "auth_type = userpass",
        f"username = {username}",
        f"password = {password}",
        "",
        f"[{name}]",
        "type = registration",
        f"transport = transport-{transport}",
        f"outbound_auth = {name}",
        f"server_uri = {uri}",
        f"client_uri = {scheme}:{username}@{where}",
        "line = yes",
        f"endpoint = {name}",
        "",
    ]


def _host(address: str) -> str:
    return address.partition("]")[0].strip("[") if address.startswith("[") else address.partition(":")[0]


def _check(trunk: str, key: str, value: str, allowed: re.Pattern[str]) -> None:
    if not allowed.fullmatch(value):
        shown = "its value" if key == "auth_password" else f"{value[:80]!r}"
        what = f"trunk {trunk}: {key}: {shown} does not belong into pjsip.conf"
        raise ConfigError(what, key=f"trunks.{trunk}.{key}", remedy="see docs/asterisk.md")
