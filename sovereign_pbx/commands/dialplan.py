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
def freeswitch() -> None:
    """Not in this release, which takes calls from Asterisk only."""
    raise CouldNotRun("FreeSWITCH is not in this release, which takes calls from Asterisk only")


def _addresses(invocation: Invocation) -> tuple[str, str]:
    """Where Asterisk finds FastAGI and AudioSocket. Raises ConfigError."""
    if not (invocation.config_path or os.environ.get(VARIABLE) or config_path(None, os.environ).exists()):
        from sovereign_pbx.config_sections import Asterisk

        section = Asterisk()
        click.echo("no configuration file: these are the default addresses", err=True)
    else:
        section = invocation.config().asterisk
    advertised = section.advertise_host
    places = ((section.agi.host, section.agi.port), (section.audiosocket.host, section.audiosocket.port))
    agi, audiosocket = (address(advertised or host, port) for host, port in places)
    return agi, audiosocket


def address(host: str, port: int) -> str:
    """host:port as the dialplan writes it. Raises ConfigError for an address that means all of a machine's."""
    bare = host.strip("[]")
    try:
        number = ipaddress.ip_address(bare)
    except ValueError:
        return f"{bare}:{port}"
    if number.is_unspecified:
        raise ConfigError(
            f"{host} is no address that Asterisk could connect to",
            key="asterisk.advertise_host",
            remedy="Set [asterisk] advertise_host to this machine's address, or give --agi and --audiosocket.",
        )
    return f"[{number}]:{port}" if number.version == 6 else f"{number}:{port}"
