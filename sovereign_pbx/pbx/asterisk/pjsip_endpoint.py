"""The pjsip.conf section of the endpoint by which Asterisk brings calls' sound to the daemon, as a proposal."""

import re
from typing import Final

from sovereign_pbx.core.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A semicolon begins a comment, a backslash escapes, a line break ends the line
_VALUE: Final = re.compile(r"[^\x00-\x1f\x7f;\\]*")

# Asterisk gives up a leg that brings no RTP for so long. We send some every 20 ms: then the daemon is dead, and its
# caller must not be left in silence.
SILENT_S: Final = 3

_CODECS: Final = {"L16": "slin16", "G722": "g722", "PCMU": "ulaw", "PCMA": "alaw"}


def endpoint_section(
    *, name: str, transport: str, codecs: tuple[str, ...], username: str = "", password: str = ""
) -> str:
    """The endpoint `[asterisk] sip_endpoint`, dialled with the whole address, so that it needs no aor.

    `transport` is the name of a section of type transport, `codecs` are as in `[sip] codecs`; the daemon may ask for
    `username` and `password`.

    Raises:
        ConfigError: a value that does not belong into pjsip.conf; names the key.
    """
    for key, value, allowed in (
        ("asterisk.sip_endpoint", name, _NAME),
        ("transport", transport, _NAME),
        ("sip.username", username, _VALUE),
        ("sip.password", password, _VALUE),
    ):
        if not allowed.fullmatch(value):
            shown = "its value" if key.endswith("password") else repr(value[:80])
            raise ConfigError(f"{key}: {shown} does not belong into pjsip.conf", key=key, remedy="see docs/links.md")
    lines = [
        f"[{name}]",
        "type = endpoint",
        f"transport = {transport}",
        "; It calls nobody: whoever pretends to be it finds no extension",
        f"context = {name}-calls-nobody",
        "disallow = all",
        f"allow = {','.join(_CODECS[codec] for codec in codecs)}",
        "direct_media = no",
        "rtp_symmetric = yes",
        "dtmf_mode = rfc4733",
        "allow_transfer = no",
        "; Of a caller who holds, who sends nothing, the daemon is told, or it would take him for dead",
        "moh_passthrough = yes",
        f"rtp_timeout = {SILENT_S}",
        *([f"outbound_auth = {name}"] if username else []),
        "",
    ]
    if username:
        lines += [f"[{name}]", "type = auth", "auth_type = userpass", f"username = {username}"]
        lines += [f"password = {password}", ""]
    return "\n".join(lines)
