"""`sovereign-pbx doctor`: an examination from the configuration to a spoken test call."""

import contextlib
import logging
from collections.abc import Iterator

import click

from sovereign_pbx.cli import Invocation


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document at the end; progress goes to standard error.")
@click.option("--no-call", is_flag=True, help="Place no test call.")
@click.option("--number", default="", metavar="NUMBER", help="What the test call dials; else the first of [[numbers]].")
@click.option("--context", default="sovereign", show_default=True, metavar="NAME", help="The dialplan's context.")
@click.option(
    "--listen",
    default="",
    metavar="HOST:PORT",
    help="Where Asterisk reaches this command for the test call's audio; else found by itself.",
)
@click.option("--strict", is_flag=True, help="Count warnings as findings too.")
@click.option("--verbose", is_flag=True, help="Show what the parts log meanwhile.")
@click.pass_obj
def doctor(
    invocation: Invocation,
    as_json: bool,
    no_call: bool,
    number: str,
    context: str,
    listen: str,
    strict: bool,
    verbose: bool,
) -> None:
    """Examine the PBX, the providers and the sound, with a test call.

    Looks at the configuration, model files, folders and ports, the daemon, Asterisk (login, rights, version,
    dialplan), every provider with the keys given, the webhooks' servers and the clock. Each is ok, a warning, failed
    or skipped, with what to do about it.

    The test call is a real one. It needs the right `originate` for the manager user and a running daemon: Asterisk
    dials one of your numbers, doctor listens to the greeting, asks a question in English and waits for the answer. It
    is in `calls list`, from a number that begins with 0000, and its webhooks are sent. Providers are asked for a word
    each, which they may bill.

    Exit codes: 0 all is well, 1 something failed, 2 the configuration can't be read.
    """
    import asyncio

    from sovereign_pbx.commands.doctor.examination import Wishes, examine_all
    from sovereign_pbx.config import examine

    wishes = Wishes(as_json=as_json, call=not no_call, number=number, context=context, listen=listen)
    with contextlib.nullcontext() if verbose else silenced():
        status = asyncio.run(examine_all(examine(invocation.config_path), wishes, strict=strict))
    click.get_current_context().exit(status)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """The parts tell their log what doctor tells the person better; and standard output may be JSON."""
    import structlog

    before, disabled = structlog.get_config(), logging.root.manager.disable
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.disable(disabled)
