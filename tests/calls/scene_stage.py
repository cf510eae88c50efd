"""The stage of a failure: a real Asterisk with the shipped dialplan, the real daemon, scripted vendors, a telephone.

The administrator's fallback plays a steady tone. When a scene is over nothing may be left of it: no channel, no call,
no socket, no open file, no task, no unfinished row; and every answered call has been reported once, in order.
"""

import asyncio
import contextlib
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from sovereign_pbx.core.plan import Phrases
from sovereign_pbx.pbx.asterisk.dialplan import render
from sovereign_pbx.store import CallRow, reading
from sovereign_pbx.store.reading import Delivery
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.openai import ScriptedOpenAI
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.calls import scene_traces
from tests.calls.house import GREETING, assistant
from tests.calls.scene_daemon import DaemonProcess, OwnDaemon, Running, until_linked
from tests.calls.scene_person import Person
from tests.pbx.links import LINKS, laid, named, over, together
from tests.pbx.relay import Relay
from tests.waiting import until
from tests.webhooks.receiver import SECRET, Got, Receiver, fine, listening

ANSWER = "We open at nine."
LONG_ANSWER = "Our friendly neighbourhood workshop has been repairing bicycles since nineteen hundred and twelve."
PLAIN = Phrases()
NUMBER = "100"
LONGEST_WAIT_S = 2.5
# What is kept for the next call on purpose: pools of connections, and the store's own (opened when first needed)
_POOLED = ("openai", "receiver", "http", "sovereign.sqlite", "sovereign.sqlite-wal", "sovereign.sqlite-shm")

FALLBACK_PLAN = """
[sovereign-fallback]
exten => s,1,Answer()
 same => n,Milliwatt()
[sovereign-dial]
exten => _1XX,1,Dial(PJSIP/agent)
"""


@dataclass
class Stage:
    """What a scene acts with."""

    folder: Path
    settings: dict[str, Any]
    asterisk: PrivateAsterisk
    phone: SipPhone
    deepgram: ScriptedDeepgram
    openai: ScriptedOpenAI
    elevenlabs: ScriptedElevenLabs
    receiver: Receiver
    daemon: Running
    relay: Relay | None = None  # between the daemon and Asterisk's manager, where the scene asks for one
    audio_relay: Relay | None = None  # between Asterisk and the daemon's AudioSocket, likewise
    people: list[Person] = field(default_factory=list)
    phrases: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)  # what else was measured, for the table
    baseline: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    started: bool = True  # False: the daemon was not meant to start
    unreachable: bool = False  # nobody takes the webhooks: they have to wait in the outbox
    link: str = LINKS[0].name  # what brings the sound
    most_pooled: int = 8  # connections of each kind that may be kept for the next call

    # --- doing

    async def dial(self, number: str = NUMBER) -> Person:
        """A person who has dialled and waits."""
        person = await Person.dial(self.phone, self.phrases, number)
        self.people.append(person)
        return person

    async def answered(self, number: str = NUMBER) -> Person:
        """A person whose call has been answered."""
        person = await self.dial(number)
        await person.call.answered(15.0)
        return person

    async def greeted(self, number: str = NUMBER) -> Person:
        """A person who has heard the greeting to its end."""
        person = await self.answered(number)
        await person.hears(GREETING)
        return person

    async def rehearse(self) -> None:
        """A call before the one that counts: the apologies are in the phrase cache afterwards."""
        person = await self.greeted()
        phrases = self.folder / "state" / "phrases"
        await until(lambda: phrases.is_dir() and len(list(phrases.iterdir())) >= 8, 10.0)
        await person.hang_up()
        await self._no_call()
        self.people.remove(person)

    @property
    def own(self) -> OwnDaemon:
        assert isinstance(self.daemon, OwnDaemon)
        return self.daemon

    @property
    def process(self) -> DaemonProcess:
        assert isinstance(self.daemon, DaemonProcess)
        return self.daemon

    # --- what was recorded

    def webhooks(self, event: str = "", call_id: str = "") -> list[Got]:
        """Accepted by the receiver, in order; a repetition by its id is counted once, as a receiver should."""
        seen: dict[str, Got] = {}
        for got in self.receiver.got:
            message = got.body["message"]
            if (not event or got.event == event) and (not call_id or message["call"]["id"] == call_id):
                seen.setdefault(got.webhook_id, got)
        return list(seen.values())

    async def rows(self) -> list[CallRow]:
        """The calls on disk, oldest first."""
        return list(reversed(await self.read(lambda connection: reading.calls(connection, 1000, 0, None))))

    async def row(self) -> CallRow:
        """The latest call."""
        return (await self.rows())[-1]

    async def health(self, check: str) -> str:
        """What /api/v1/health says of one part of the daemon."""
        return await self.process.health(check)

    async def row_of(self, called: str) -> CallRow:
        """The only call to this number."""
        (row,) = [row for row in await self.rows() if row.assistant_phone == called]
        return row

    async def names(self, call_id: str = "") -> list[str]:
        """The names of the events of the (latest) call, in order."""
        call_id = call_id or (await self.row()).id
        return [name for _, name, _ in await self.read(lambda connection: reading.events(connection, call_id))]

    async def values(self, name: str) -> dict[str, Any]:
        """The values of the latest call's first event of that name."""
        call_id = (await self.row()).id
        events = await self.read(lambda connection: reading.events(connection, call_id))
        return next(values for _, event, values in events if event == name)

    async def said(self) -> list[tuple[str, str]]:
        """The conversation of the latest call, as its report tells it."""
        call_id = (await self.row()).id
        (report,) = self.webhooks("end-of-call-report", call_id)
        return [(one["role"], one["content"]) for one in report.body["message"]["messages"]]

    async def waiting(self, call_id: str) -> list[Delivery]:
        """The webhooks of a call that nobody has taken yet."""
        found = await self.read(lambda connection: reading.deliveries(connection, call_id))
        return [one for one in found if one.state == "pending"]

    async def read(self, query: Any) -> Any:
        return await asyncio.to_thread(self._read, query)

    def _read(self, query: Any) -> Any:
        path = self.folder / "state" / "sovereign.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return query(connection)

    async def until_row(self, condition: Any, within_s: float = 10.0) -> CallRow:
        """Wait until the latest call's row is as `condition` wants it."""
        deadline = time.monotonic() + within_s
        while True:
            rows = await self.rows()
            if rows and condition(rows[-1]):
                return rows[-1]
            assert time.monotonic() < deadline, rows
            await asyncio.sleep(0.05)

    # --- nothing left

    async def take_stock(self) -> None:
        """Remember what the daemon has open before the first call."""
        self.baseline = await self._descriptors()
        self.tasks = self.daemon.tasks()

    async def _descriptors(self) -> Counter[str]:
        return await asyncio.to_thread(scene_traces.descriptors, self.daemon.pid, self.folder / "state", self._ports())

    def _ports(self) -> dict[str, int]:
        asterisk = self.settings["asterisk"]
        return {
            "agi": asterisk["agi"]["port"],
            "audiosocket": asterisk["audiosocket"]["port"],
            "deepgram": self.deepgram.port,
            "elevenlabs": self.elevenlabs.port,
            "openai": self.openai.port,
            "receiver": int(self.receiver.url.rpartition(":")[2].partition("/")[0]),
            "http": self.settings["http"]["port"],
        }

    async def check_nothing_left(self) -> None:
        """Fails if the scene left anything behind in Asterisk, in the daemon, or undone in the books."""
        for person in self.people:
            if person.call.end is None:
                await person.hang_up()
        await self.asterisk.wait_for_channels(0, 8.0)
        if not self.started:
            return
        await self._no_call()
        await self._nothing_unfinished()
        if not self.unreachable:
            await self._all_reported()
        await self._nothing_open()

    async def _no_call(self) -> None:
        async with asyncio.timeout(15):
            while await self.daemon.calls():  # noqa: ASYNC110 - the state is another process's
                await asyncio.sleep(0.05)

    async def _nothing_unfinished(self) -> None:
        for row in await self.rows():
            assert row.ended_at and row.end_reason and row.status in ("ended", "failed"), row
            assert row.started_at is None or row.summary, row

    async def _all_reported(self) -> None:
        owed = [row for row in await self.rows() if row.started_at is not None or row.direction == "outbound"]
        with contextlib.suppress(TimeoutError):
            await until(lambda: len(self.webhooks("end-of-call-report")) >= len(owed), 15.0)
        for row in await self.rows():
            told = [
                (got.event, got.body["message"]["call"]["status"])
                for got in self.webhooks(call_id=row.id)
                if got.event in ("status-update", "end-of-call-report")
            ]
            how = "ended-with-error" if row.error else "ended"
            ended = [("status-update", how), ("end-of-call-report", how)]
            once = [("status-update", "in-progress"), *ended]
            unanswered = ended if row.direction == "outbound" else []
            assert told == (once if row.started_at is not None else unanswered), (row, told)

    async def _nothing_open(self) -> None:
        left: object = None
        for _ in range(60):  # three seconds: closing handshakes, and whatever the loop has in hand
            now = await self._descriptors()
            left = {name: number for name, number in (now - self.baseline).items() if name not in _POOLED}
            pooled = {name: now[name] for name in _POOLED if now[name] > self.most_pooled}
            tasks = self.daemon.tasks() - self.tasks
            if not left and not pooled and not tasks:
                return
            left = (left, pooled, tasks)
            await asyncio.sleep(0.05)
        raise AssertionError(f"left open: {left}")


def settings_for(
    folder: Path, ports: Mapping[str, int], urls: Mapping[str, str], ami: Mapping[str, Any] | None, **sections: Any
) -> dict[str, Any]:
    """The daemon's configuration; `sections` are merged into it."""
    asterisk: dict[str, Any] = {"agi": {"port": ports["agi"]}, "audiosocket": {"port": ports["audio"]}}
    if ami is not None:
        asterisk["ami"] = dict(ami)
    settings: dict[str, Any] = {
        "daemon": {"state_dir": str(folder / "state"), "drain_seconds": 2.0},
        "http": {"port": ports["http"], "enabled": False},
        "asterisk": asterisk,
        "webhook": {"url": urls["receiver"], "secret": SECRET},
        "limits": {"max_lag_ms": 0},  # whatever else this machine has to do
        "log": {"level": "debug", "format": "json"},
        "providers": {name: {"api_key": "test-key", "base_url": urls[name]} for name in urls if name != "receiver"},
        "assistants": {"reception": assistant()},
        "numbers": [{"number": "*", "name": "Main line", "assistant": "reception"}],
    }
    return merged(settings, sections)


def merged(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` laid over `settings`, table by table."""
    together = dict(settings)
    for key, value in more.items():
        old = together.get(key)
        together[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return together


async def _audio_relay(stack: AsyncExitStack, ports: Mapping[str, int], *, wanted: bool, cut: bool) -> Relay | None:
    if not wanted:
        return None
    relay = await stack.enter_async_context(Relay(("127.0.0.1", ports["audio"])))
    if cut:
        await relay.cut()
    return relay


async def _asterisk(
    root: Path, agi_port: int, audio_port: int, plan: str, extra: Mapping[str, str] | None
) -> PrivateAsterisk:
    agi, audio = f"127.0.0.1:{agi_port}", f"127.0.0.1:{audio_port}"
    text = await asyncio.to_thread(lambda: render(agi=agi, audiosocket=audio))
    dialplan = text + FALLBACK_PLAN + plan
    return PrivateAsterisk(root, dialplan=dialplan, context="sovereign", ami_read="call,dtmf", extra=extra)


KNOWN_PHRASES = (GREETING, ANSWER, LONG_ANSWER, PLAIN.filler, PLAIN.apology, PLAIN.unwell, PLAIN.unheard)


def account(asterisk: PrivateAsterisk) -> dict[str, str]:
    """As whom the daemon logs in."""
    return {"username": asterisk.ami.user, "secret": asterisk.ami.secret}


def _daemon(folder: Path, settings: dict[str, Any], *, process: bool, program: tuple[str, ...]) -> Running:
    return DaemonProcess(folder, settings, program) if process else OwnDaemon(folder, settings)


@asynccontextmanager
async def stage(
    root: Path,
    folder: Path,
    *,
    process: bool = False,
    program: tuple[str, ...] = (),
    relayed: bool = False,
    audio_relayed: bool = False,
    audio_cut: bool = False,
    begin: bool = True,
    unreachable: bool = False,
    phrases: Iterable[str] = (),
    plan: str = "",
    extra: Mapping[str, str] | None = None,
    link: str = LINKS[0].name,
    **sections: Any,
) -> AsyncIterator[Stage]:
    """Everything started. `process`: the daemon as a program of its own. `relayed`: its manager connection can be cut,
    `audio_relayed`: and so can AudioSocket's, `audio_cut`: it is. `begin`: with a daemon.
    `unreachable`: webhooks go nowhere. `plan`: more of the administrator's dialplan, `extra` of Asterisk's
    other files. `link`: what brings the sound. `sections` are merged into the configuration."""
    async with AsyncExitStack() as stack:
        stack.enter_context(over(named(link)))
        bringing = stack.enter_context(laid())
        extra = together(extra, bringing.extra)
        deepgram = await stack.enter_async_context(ScriptedDeepgram(["What time do you open?"]))
        openai = await stack.enter_async_context(ScriptedOpenAI((ANSWER,), first_token_ms=50, tokens_per_s=200))
        elevenlabs = await stack.enter_async_context(ScriptedElevenLabs(first_audio_ms=50, real_time_factor=0.05))
        receiver = await stack.enter_async_context(listening(Receiver(fine)))
        block = reserve_ports()
        stack.callback(block.release)
        ports = {name: block.take(socket.SOCK_STREAM) for name in ("agi", "audio", "http")}
        audio_relay = await _audio_relay(stack, ports, wanted=audio_relayed or audio_cut, cut=audio_cut)
        audio_port = audio_relay.port if audio_relay is not None else ports["audio"]
        asterisk = await stack.enter_async_context(await _asterisk(root, ports["agi"], audio_port, plan, extra))
        phone = await stack.enter_async_context(
            SipPhone(asterisk.sip_address, port=asterisk.caller_port, codecs=bringing.codecs)
        )
        relay = await stack.enter_async_context(Relay(("127.0.0.1", asterisk.ami_port))) if relayed else None
        ami = {"port": relay.port if relay else asterisk.ami_port, **account(asterisk)}
        urls = {"receiver": receiver.url, "deepgram": deepgram.url}
        urls |= {"openai": openai.base_url, "elevenlabs": elevenlabs.url}
        wanted = merged(merged({"http": {"enabled": process}}, bringing.sections), sections)
        settings = settings_for(folder, ports, urls, ami, **wanted)
        daemon = _daemon(folder, settings, process=process, program=program)
        made = Stage(
            folder, settings, asterisk, phone, deepgram, openai, elevenlabs, receiver, daemon, relay, audio_relay
        )
        made.unreachable, made.link = unreachable, link
        made.phrases |= {*KNOWN_PHRASES, *phrases}
        stack.push_async_callback(daemon.stop)
        if begin:
            await daemon.start()
            if made.settings["asterisk"]["ami"]["secret"] == asterisk.ami.secret:
                await until_linked(daemon)
            await made.take_stock()
        yield made


def play(scene: Any) -> Any:
    """Run a scene on the loop that the daemon runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scene)
