"""`sovereign-pbx dialplan`: what to tell the PBX so that calls come here and never strand."""

import ipaddress
import os

import click

from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.config_source import VARIABLE, config_path
from sovereign_pbx.core.errors import ConfigError

_STEPS = """
\b
To install it:
  1. copy     sovereign-pbx dialplan asterisk > /etc/asterisk/extensions_sovereign.conf
  2. include  add this line to /etc/asterisk/extensions.conf
              (FreePBX: extensions_custom.conf):
                  #include extensions_sovereign.conf
  3. reload   asterisk -rx "dialplan reload"

Then send calls to the context: `context=sovereign` on a trunk, or Goto(sovereign,${EXTEN},1).
Who takes a call when the daemon can't is written into a context [sovereign-fallback] of yours.
`sovereign-pbx doctor` looks at the dialplan that Asterisk has loaded. More: docs/asterisk.md.
"""


@click.group()
def dialplan() -> None:
    """Print the dialplan that brings calls here."""


@dialplan.command(epilog=_STEPS)
@click.option(
    "--agi", metavar="HOST:PORT", help="Where Asterisk finds the daemon's FastAGI; else as the configuration says."
)
@click.option(
    "--audiosocket",
    metavar="HOST:PORT",
    help="Where Asterisk finds the daemon's AudioSocket; else as the configuration says.",
)
@click.option(
    "--context", metavar="NAME", default="sovereign", show_default=True, help="Context that calls are sent to."
)
@click.option(
    "--fallback",
    metavar="CONTEXT,EXTEN,PRIORITY",
    default="",
    help="Who takes a call when the daemon can't; else extension s of the context NAME-fallback, which you write.",
)
@click.option(
    "--dial-timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 600),
    default=30,
    show_default=True,
    help="How long somebody's telephone rings when the assistant puts a caller through.",
)
@click.pass_obj
def asterisk(
    invocation: Invocation, agi: str | None, audiosocket: str | None, context: str, fallback: str, dial_timeout: int
) -> None:
    """Print extensions_sovereign.conf with the addresses of your configuration.

    Without a configuration file it holds the addresses that the daemon listens on by default.
    """
    from sovereign_pbx.pbx.asterisk.dialplan import render

    if agi is None or audiosocket is None:
        known = _addresses(invocation)
        agi, audiosocket = agi or known[0], audiosocket or known[1]
    text = render(agi=agi, audiosocket=audiosocket, context=context, fallback=fallback, dial_timeout_s=dial_timeout)
    click.echo(text, nl=False)


@dialplan.command()
@click.option("--with-secrets", is_flag=True, help="Print passwords, which are *** otherwise.")
@click.option(
    "--context", metavar="NAME", default="sovereign", show_default=True, help="Context that their calls are sent to."
)
@click.pass_obj
def trunks(invocation: Invocation, with_secrets: bool, context: str) -> None:
    """Print pjsip.conf sections for the configured trunks, as a proposal.

    \b
      sovereign-pbx dialplan trunks --with-secrets > /etc/asterisk/pjsip_sovereign.conf
      chmod 640 /etc/asterisk/pjsip_sovereign.conf; chgrp asterisk /etc/asterisk/pjsip_sovereign.conf
      asterisk -rx "pjsip reload"       after #include pjsip_sovereign.conf in pjsip.conf
    """
    from sovereign_pbx.pbx.asterisk.pjsip_trunks import MASK, print_trunks, trunk_section

    config = invocation.config()
    if not config.trunks:
        raise CouldNotRun("the configuration names no trunks: add a [trunks.NAME] table (docs/asterisk.md)")
    sections = [
        trunk_section(
            name=trunk.pbx_name,
            address=trunk.address,
            transport=trunk.transport,
            username=trunk.auth_username,
            password=str(trunk.auth_password) if with_secrets or not trunk.auth_password else MASK,
            context=context,
            active=trunk.is_active,
        )
        for trunk in config.trunks.values()
    ]
    click.echo(print_trunks(sections), nl=False)


@dialplan.command()
@click.option("--with-secrets", is_flag=True, help="Print passwords, which are *** otherwise.")
@click.option(
    "--transport",
    metavar="NAME",
    default="transport-udp",
    show_default=True,
    help="The section of type transport in your pjsip.conf, where [asterisk] media is sip.",
)
@click.pass_obj
def link(invocation: Invocation, with_secrets: bool, transport: str) -> None:
    """Print what Asterisk needs for [asterisk] media, beside the dialplan.

    \b
    sip         an endpoint for pjsip.conf
    websocket   a connection for websocket_client.conf
    AudioSocket needs nothing. More: docs/links.md.
    """
    from sovereign_pbx.pbx.asterisk.pjsip_trunks import MASK

    config = invocation.config()
    section = config.asterisk
    if section.media == "sip":
        from sovereign_pbx.pbx.asterisk.pjsip_endpoint import endpoint_section

        sip = config.sip
        text = endpoint_section(
            name=section.sip_endpoint,
            transport=transport,
            codecs=tuple(sip.codecs),
            username=sip.username,
            password=str(sip.password) if with_secrets or not sip.username else MASK,
        )
        click.echo(text, nl=False)
    elif section.media == "websocket":
        from sovereign_pbx.pbx.asterisk.websocket_conf import client_section

        listening = section.websocket
        text = client_section(
            connection=listening.connection,
            address=address(section.advertise_host or listening.host, listening.port, options=""),
            username=listening.username,
            password=str(listening.password) if with_secrets or not listening.password else MASK,
        )
        click.echo(text, nl=False)
    else:
        click.echo("; AudioSocket needs nothing but the dialplan")


_FREESWITCH_STEPS = """
\b
To install it:
  1. copy     sovereign-pbx dialplan freeswitch > /etc/freeswitch/dialplan/sovereign.xml
  2. reload   fs_cli -x reloadxml
  3. [sip] enabled = true and [freeswitch] enabled = true in the daemon's configuration,
     with the event socket's password in [freeswitch.esl] password.

Then send calls to the context, from any extension of yours:
    <action application="transfer" data="$1 XML sovereign"/>
Who takes a call when the daemon can't is said by --fallback "600 XML default".
`sovereign-pbx doctor` looks at the dialplan that FreeSWITCH has loaded. More: docs/freeswitch.md.
"""


@dialplan.command(epilog=_FREESWITCH_STEPS)
@click.option(
    "--sip", metavar="HOST:PORT", help="Where FreeSWITCH finds the daemon's SIP; else as the configuration says."
)
@click.option("--context", metavar="NAME", help="Context that calls are sent to; else as [freeswitch] context says.")
@click.option(
    "--profile", metavar="NAME", help="Sofia profile to call the daemon on; else as [freeswitch] profile says."
)
@click.option(
    "--fallback",
    metavar="'EXTEN XML CONTEXT'",
    default="",
    help="Who takes a call when the daemon can't, as in '600 XML default'; else such callers are hung up on (503).",
)
@click.option("--transport", type=click.Choice(["udp", "tcp", "tls"]), default="udp", show_default=True)
@click.pass_obj
def freeswitch(
    invocation: Invocation, sip: str | None, context: str | None, profile: str | None, fallback: str, transport: str
) -> None:
    """Print sovereign.xml with the addresses of your configuration.

    FreeSWITCH bridges callers to the daemon over SIP. Wherever the daemon is down, slow or refuses, the next action of
    the dialplan is the caller's fallback. Where [freeswitch] media is not sip it parks them for the daemon, and takes
    them to the fallback by itself where nothing comes of it.
    """
    from sovereign_pbx.config_sip import FreeSwitch, Sip
    from sovereign_pbx.pbx.freeswitch.dialplan import render

    configured = _is_configured(invocation)
    ours, theirs = (Sip(), FreeSwitch())
    if configured:
        config = invocation.config()
        ours, theirs = config.sip, config.freeswitch
    elif sip is None:
        click.echo("no configuration file: this is the default address", err=True)
    if theirs.media != "sip":
        from sovereign_pbx.pbx.freeswitch.parked_dialplan import render as parked

        found = parked(
            context=context or theirs.context,
            fallback=fallback,
            decide_s=ours.decide_timeout_seconds,
            media=theirs.media,
        )
        click.echo(found, nl=False)
        return
    text = render(
        sip=sip or _sip_address(ours.advertise_host or ours.host, ours.port),
        context=context or theirs.context,
        profile=profile or theirs.profile,
        fallback=fallback,
        decide_s=ours.decide_timeout_seconds,
        codecs=tuple(ours.codecs),
        transport=transport,
    )
    click.echo(text, nl=False)


def _sip_address(host: str, port: int) -> str:
    return address(host, port, pbx="FreeSWITCH", key="sip.advertise_host", options="--sip")


def _is_configured(invocation: Invocation) -> bool:
    return bool(invocation.config_path or os.environ.get(VARIABLE) or config_path(None, os.environ).exists())


def _addresses(invocation: Invocation) -> tuple[str, str]:
    """Where Asterisk finds FastAGI and AudioSocket. Raises ConfigError."""
    if not _is_configured(invocation):
        from sovereign_pbx.config_sections import Asterisk

        section = Asterisk()
        click.echo("no configuration file: these are the default addresses", err=True)
    else:
        section = invocation.config().asterisk
    advertised = section.advertise_host
    places = ((section.agi.host, section.agi.port), (section.audiosocket.host, section.audiosocket.port))
    agi, audiosocket = (address(advertised or host, port) for host, port in places)
    return agi, audiosocket


def address(
    host: str,
    port: int,
    *,
    pbx: str = "Asterisk",
    key: str = "asterisk.advertise_host",
    options: str = "--agi and --audiosocket",
) -> str:
    """host:port as the dialplan writes it. Raises ConfigError for an address that means all of a machine's."""
    bare = host.strip("[]")
    try:
        number = ipaddress.ip_address(bare)
    except ValueError:
        return f"{bare}:{port}"
    if number.is_unspecified:
        section, _, name = key.rpartition(".")
        raise ConfigError(
            f"{host} is no address that {pbx} could connect to",
            key=key,
            remedy=f"Set [{section}] {name} to this machine's address" + (f", or give {options}." if options else "."),
        )
    return f"[{number}]:{port}" if number.version == 6 else f"{number}:{port}"
