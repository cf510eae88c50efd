"""`sovereign-pbx demo`: a real spoken call on a real Asterisk, from the first ring to the signed report."""

from pathlib import Path

import click


@click.command()
@click.option("--small", is_flag=True, help="No language model (1.1 GB less): the embedded receptionist answers.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to leave everything in; without it demo-DATE-TIME in the current one.",
)
@click.option("--no-asterisk", is_flag=True, help="Use the AudioSocket caller even where Asterisk can be had.")
def demo(small: bool, out: Path | None, no_asterisk: bool) -> None:
    """Hold a real spoken call on this machine.

    A private Asterisk is unpacked (no root, nothing installed), the daemon is started beside it, and a scripted
    caller dials in, asks aloud, interrupts, has an appointment looked up and says goodbye. You read the transcript
    as it grows, each answer with the parts of its delay. What the caller heard is then transcribed back: exit status
    0 only if it holds the answers.
    """
    import asyncio

    from sovereign_pbx.commands.demo.play import perform

    raise SystemExit(asyncio.run(perform(small=small, out=out, no_asterisk=no_asterisk)))
