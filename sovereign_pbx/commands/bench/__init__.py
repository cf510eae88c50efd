"""`sovereign-pbx bench`: what callers hear, and what it costs, with N calls at once."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sovereign_pbx.commands.bench.callers import Link


@click.command()
@click.option(
    "--calls", "-n", multiple=True, type=click.IntRange(1, 1000), help="Calls at once; repeatable. [1, 10, 50, 100]"
)
@click.option(
    "--seconds", default=40.0, show_default=True, type=click.FloatRange(20, 3600), help="How long each call talks."
)
@click.option(
    "--link",
    "links",
    multiple=True,
    type=click.Choice(["audiosocket", "sip", "websocket"]),
    help="What brings the sound; repeatable, and shown side by side. [audiosocket]",
)
@click.option("--json", "style", flag_value="json", help="Print JSON instead of a table.")
@click.option("--markdown", "style", flag_value="markdown", help="Print the table as Markdown.")
@click.option("--floor/--no-floor", default=True, help="Measure a bare echo server with the same callers beside it.")
@click.option(
    "--agi", help="HOST:PORT of a running daemon's FastAGI; with --audio it is measured instead of one of our own."
)
@click.option("--audio", help="HOST:PORT of a running daemon's AudioSocket.")
@click.option("--pid", type=int, help="Its process, for CPU and memory.")
@click.option("--called", default="100", show_default=True, help="Number to dial.")
@click.option("--conversation", is_flag=True, help="Measure turn-taking instead: latency with and without speculation.")
@click.option(
    "--interim-lag",
    multiple=True,
    type=click.IntRange(0, 1000),
    help="With --conversation: ms from a word's end until the recogniser tells it; repeatable. [0, 150]",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON to a file as well.")
def bench(
    calls: tuple[int, ...],
    seconds: float,
    links: "tuple[Link, ...]",
    style: str | None,
    floor: bool,
    agi: str | None,
    audio: str | None,
    pid: int | None,
    called: str,
    conversation: bool,
    interim_lag: tuple[int, ...],
    out: Path | None,
) -> None:
    """Place calls and measure them from the callers' end.

    Without --agi and --audio a daemon of our own is started, with scripted vendors of fixed delays (recogniser's final
    text 250 ms after the last word, model's first token 300 ms, voice's first audio 150 ms), so that what is above
    700 ms a turn is the daemon's own doing. Every caller asks, listens, interrupts once, and asks again.

    With --conversation every caller asks, answers in a word, pauses for 700 ms inside sentences, and says a short "oh"
    into an answer, once to an assistant that waits for the end of a turn and once to one that begins before it.
    """
    import uvloop

    if conversation:
        from sovereign_pbx.commands.bench.conversation import measure_conversation

        if agi or audio or links:
            raise click.UsageError("--conversation measures a daemon of its own: leave --agi, --audio and --link out")
        raise SystemExit(
            uvloop.run(measure_conversation(calls or (1, 10, 50), interim_lag or (0, 150), style=style, out=out))
        )
    from sovereign_pbx.commands.bench.run import measure_all
    from sovereign_pbx.commands.bench.target import Target

    if bool(agi) != bool(audio):
        raise click.UsageError("--agi and --audio go together")
    if links and agi:
        raise click.UsageError("--link measures a daemon of its own: leave --agi and --audio out")
    target = Target.parse(agi, audio, pid) if agi and audio else None
    code = uvloop.run(
        measure_all(
            calls or (1, 10, 50, 100),
            seconds,
            target,
            called,
            links=dict.fromkeys(links or ("audiosocket",)),
            floor=floor,
            style=style,
            out=out,
        )
    )
    raise SystemExit(code)
