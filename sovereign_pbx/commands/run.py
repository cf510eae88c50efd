"""`sovereign-pbx run`: the daemon in the foreground, as systemd wants it."""

import asyncio

import click

from sovereign_pbx.cli import Invocation


@click.command()
@click.pass_obj
def run(invocation: Invocation) -> None:
    """Take calls until told to stop (SIGTERM: finish the present ones; twice: give them back at once).

    Everything is checked before the first call: a wrong key, a missing secret or a busy port ends the command with
    exit status 2 and says what to mend.
    """
    import uvloop

    from sovereign_pbx import core_dumps, log
    from sovereign_pbx.daemon import serve_until_told

    config = invocation.config()
    if not config.daemon.core_dumps:
        core_dumps.forbid()
    for finding in config.warnings:
        click.echo(str(finding), err=True)
    logs = log.setup(config.log.level, config.log.format, redact=config.redactor.redact)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_until_told(config, logs))
    finally:
        logs.close()
