"""The demo from curtain to curtain."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from sovereign_pbx.commands.demo import scene, stage
from sovereign_pbx.commands.demo.customer import Customer
from sovereign_pbx.commands.demo.judge import Judge, Verdict
from sovereign_pbx.commands.demo.leaves import StoredCall, leave, stored_call
from sovereign_pbx.commands.demo.live import Live
from sovereign_pbx.commands.demo.person import Exchange, NoAnswer, Person
from sovereign_pbx.commands.models import shown_progress
from sovereign_pbx.speech import models
from sovereign_pbx.speech.tts.pico import Pico
from sovereign_pbx.testing.asterisk_tree import asterisk_tree
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from sovereign_pbx.testing.debian_source import PackagesUnavailable
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.progress_line import ProgressLine
from sovereign_pbx.testing.sip_call import CallFailed

_REPORT_S = 60.0
_RATE = 8000
_UNHURRIED_S = 60.0  # nobody waits on a line for the caller's own voice, and a cold disk takes its time


async def perform(*, small: bool, out: Path | None, no_asterisk: bool) -> int:
    """Everything; the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    folder = (out or Path(time.strftime("demo-%Y%m%d-%H%M%S"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    root = await asyncio.to_thread(_prepare, console, small, no_asterisk)
    judge = asyncio.create_task(asyncio.to_thread(Judge, models.locate("whisper-tiny.en")))
    voice = await _voices()
    with tempfile.TemporaryDirectory(prefix="sovereign-demo-") as work:
        try:
            played = await _play(console, Path(work), folder, root, voice, small=small)
        except (NoAnswer, CallFailed, NotAnswered, stage.DaemonFailed) as exc:
            console.print(f"[red]The call failed:[/] {exc}. The daemon's log is in {folder}.")
            return 1
        verdicts = (await judge).verdicts(played.exchanges, played.heard, played.origin)
        paths = await asyncio.to_thread(leave, folder, played.call, played.report, played.heard, verdicts)
    return _conclude(console, played, verdicts, folder, paths)


class _Played:
    """What came of the call."""

    def __init__(
        self, exchanges: list[Exchange], heard: bytes, origin: float, call: StoredCall, customer: Customer
    ) -> None:
        self.exchanges, self.heard, self.origin = exchanges, heard, origin
        self.call = call
        self.report = customer.report
        self.events = customer.events
        self.refused = customer.refused


def _prepare(console: Console, small: bool, no_asterisk: bool) -> Path | None:
    """Fetch what is not here yet; the private Asterisk's root, or None where it can't be had."""
    with shown_progress(console) as progress:
        models.fetch(["demo-small" if small else "demo"], progress)
    if no_asterisk:
        return None
    line = ProgressLine("Asterisk")
    try:
        root = asterisk_tree(line).root
    except PackagesUnavailable as exc:
        line.end()
        console.print(f"[yellow]No Asterisk can be unpacked here:[/] {exc}")
        console.print("The call goes over the shipped AudioSocket caller instead.")
        return None
    line.end()
    return root


async def _voices() -> dict[str, bytes]:
    """The caller's lines, spoken by another voice than the assistant's."""
    maker = Pico(voice="en-GB", render_s=_UNHURRIED_S)
    session = await maker.open(rate=_RATE, language="en")
    try:
        return {line.text: b"".join([audio.pcm async for audio in session.speak(line.text)]) for line in scene.LINES}
    finally:
        await session.close()


async def _play(
    console: Console, work: Path, folder: Path, root: Path | None, voice: dict[str, bytes], *, small: bool
) -> _Played:
    secret = secrets.token_hex(16)
    async with AsyncExitStack() as stack:
        block = reserve_ports()
        stack.callback(block.release)
        ports = stage.Ports(block)
        customer = await stack.enter_async_context(Customer(secret))
        assistant = scene.assistant(customer.url, secret, small=small)
        ami = None
        asterisk = None
        if root is not None:
            asterisk = await stack.enter_async_context(stage.asterisk_for(root, ports))
            ami = (asterisk.ami_port, asterisk.ami.user, asterisk.ami.secret)
        config = await asyncio.to_thread(stage.configuration, ports, work, assistant, ami)
        began = time.monotonic()
        await stack.enter_async_context(stage.running_daemon(config, ports, folder / "daemon.log"))
        database = work / "state" / "sovereign.sqlite"
        carrier = f"Asterisk, extension {scene.NUMBER}" if asterisk else "AudioSocket"
        ready_s = time.monotonic() - began
        console.print(f"[dim]daemon ready and its models loaded after {ready_s:.1f} s; calling over {carrier}[/]\n")
        await stack.enter_async_context(_shown(Live(console, database)))
        calling = stage.sip_call(asterisk) if asterisk else stage.audiosocket_call(ports)
        exchanges, heard, origin = await _talk(calling, voice)
        with suppress(TimeoutError):
            await asyncio.wait_for(customer.reported.wait(), _REPORT_S)
    return _Played(exchanges, heard, origin, await asyncio.to_thread(stored_call, database), customer)


async def _talk(calling: Any, voice: dict[str, bytes]) -> tuple[list[Exchange], bytes, float]:
    async with calling as (phone, heard, hang_up):
        person = Person(phone, heard, voice.__getitem__)
        await person.hear_greeting()
        for line, following in zip(scene.LINES, [*scene.LINES[1:], None], strict=True):
            if line.interrupts is None:
                exchange = await person.say(line)
            else:
                exchange = await person.interrupt(line, person.exchanges[-1])
            if following is None or following.interrupts is None:
                await person.hear_out(exchange)
        await hang_up()
        origin = _first(heard)
        return person.exchanges, heard.recording(), origin


def _first(heard: Heard) -> float:
    return heard.first_at or 0.0


@asynccontextmanager
async def _shown(live: Live) -> AsyncIterator[None]:
    watching = asyncio.create_task(live.run())
    try:
        yield
        await live.look()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _conclude(console: Console, played: _Played, verdicts: list[Verdict], folder: Path, paths: list[Path]) -> int:
    console.print("\nWhat the caller heard, transcribed back from his own end of the line:")
    for verdict in verdicts:
        exchange, mark = verdict.exchange, "[green]right[/]" if verdict.right else "[red]WRONG[/]"
        cut = f", fell silent {exchange.cut_ms:.0f} ms after he spoke" if exchange.cut_ms is not None else ""
        console.print(f"  {mark}  {exchange.line.about} (after {exchange.latency_ms:.0f} ms{cut}): {verdict.heard}")
    interrupted = sum(turn.interrupted for turn in played.call.turns)
    tools = played.events.count("tool-calls")
    facts = {
        "interruptions taken": (interrupted, interrupted >= 1),
        "tool calls to the webhook": (tools, tools >= 1),
        "webhooks with a wrong signature": (played.refused, played.refused == 0),
        "end-of-call reports": (int(bool(played.report)), bool(played.report)),
    }
    for name, (count, good) in facts.items():
        console.print(f"  {'[green]right[/]' if good else '[red]WRONG[/]'}  {name}: {count}")
    console.print(f"\nLeft in {folder}:")
    for path in paths:
        console.print(f"  {path.name}  [dim]{path.stat().st_size:,} bytes[/]")
    well = all(verdict.right for verdict in verdicts) and all(good for _, good in facts.values())
    console.print("\n[green]The demo went well.[/]" if well else "\n[red]The demo did not go well.[/]")
    return 0 if well else 1
