"""The daemon: every part made once, started in order, stopped in reverse. Composition and nothing else."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from sovereign_pbx import __version__, after_the_call, rest, service
from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.server import Listener
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.attachment import attach
from sovereign_pbx.calls import arguments
from sovereign_pbx.calls.accounts import Accounts
from sovereign_pbx.calls.admission import Admission
from sovereign_pbx.calls.archive import Archive
from sovereign_pbx.calls.audit import NO_END, Audit
from sovereign_pbx.calls.campaign_desk import DeskDialler
from sovereign_pbx.calls.campaign_floor import Floor
from sovereign_pbx.calls.campaign_hours import Hours
from sovereign_pbx.calls.campaign_left import LeftLines
from sovereign_pbx.calls.campaign_pace import TotalPace
from sovereign_pbx.calls.campaign_runner import CampaignRunner
from sovereign_pbx.calls.campaigns import Campaigns
from sovereign_pbx.calls.desk import CallDesk
from sovereign_pbx.calls.do_not_call import DoNotCall
from sovereign_pbx.calls.do_not_call_list import DoNotCallList
from sovereign_pbx.calls.installation import Installation
from sovereign_pbx.calls.left_behind import LeftBehind
from sovereign_pbx.calls.mcp import McpServers
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.calls.recording_links import RecordingLinks
from sovereign_pbx.calls.recovery import recover
from sovereign_pbx.calls.retention import Retention
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.strain import Strain
from sovereign_pbx.calls.strain import watch as watch_strain
from sovereign_pbx.calls.trace import Tracer, log_trace
from sovereign_pbx.calls.usage_log import UsageLog
from sovereign_pbx.calls.voices import VoiceBook
from sovereign_pbx.config import Config
from sovereign_pbx.config_difference import Difference
from sovereign_pbx.config_entries import entries_of
from sovereign_pbx.config_parts import (
    call_limits,
    outbound_limits,
    strain_limits,
    transfer_policy,
    zone_teller,
)
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.draining import CLOSING_S, Draining, longer
from sovereign_pbx.in_use import Delivery, InUse, Lasting, Retiring, longest_s
from sovereign_pbx.installation_file import read_kept
from sovereign_pbx.log import LineWriter
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.turn import TurnModel
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.preloading import keep_loaded
from sovereign_pbx.probe import Probe
from sovereign_pbx.reload import Reloader
from sovereign_pbx.renewal import make_folders, take_up
from sovereign_pbx.speech import catalogue, models
from sovereign_pbx.speech.phrases import PhraseCache
from sovereign_pbx.store.object_files import ObjectFiles
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.webhooks.ask import Asker
from sovereign_pbx.webhooks.delivery import Deliverer, Patience
from sovereign_pbx.webhooks.history import keep_short
from sovereign_pbx.webhooks.post import open_session

log = structlog.get_logger(__name__)

Broke = Callable[[BaseException], None]

_SETTLE_S = 5.0
_PHRASE_BYTES = 64 * 1024 * 1024  # an hour of telephone audio


class Daemon:
    """One daemon. `run` is its life; `ready` is set when calls are taken, `stop` asks it to end."""

    def __init__(self, config: Config, logs: LineWriter | None = None) -> None:
        self._logs = logs
        self.ready = asyncio.Event()
        self.tracer = Tracer()
        self.metrics = Metrics()
        self.estate = Estate(ObjectFiles(config.state_dir), entries_of(config), hide=config.redactor.add)
        self.pbx = attach(config, lambda: (entry.thing for entry in self.estate.trunks))
        self.retention = Retention(config.retention.content_days, config.retention.metadata_days)
        self.in_use: InUse
        self.retiring = Retiring()
        self.reloader = Reloader(config, self._take_up, self._is_draining)
        self.delivery: Delivery
        self.listener: Listener | None = None
        self.store: SqliteStore
        self.probe: Probe
        self.pace: TotalPace
        self.audit: Audit
        self.campaigns: Campaigns
        self.desk: CallDesk
        self.strain = Strain(strain_limits(config))
        self.draining: Draining
        self._standing = AsyncExitStack()  # what goes on in the background by the configuration
        self._lasting: Lasting
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._fault: BaseException | None = None

    @property
    def config(self) -> Config:
        """The configuration as it is used; another one after it was loaded anew."""
        return self.reloader.config

    @property
    def recording_links(self) -> RecordingLinks:
        return self.in_use.links

    def _is_draining(self) -> bool:
        return self._stopping.is_set() or self.desk.admission.draining

    def stop(self) -> None:
        """Take no more calls and end when the present ones have; asked again, give them back to the dialplan now."""
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()

    async def run(self) -> None:
        """Start everything, serve until `stop`, close everything. Raises ConfigError when it can't start, and
        RuntimeError when what all calls need has broken down."""
        await self._serve()
        if self._fault is not None:
            raise RuntimeError("the media clock broke down; see the log") from self._fault

    def _broke(self, fault: BaseException) -> None:
        """Without a clock every caller would hear silence: they are given back, and systemd starts anew."""
        self._fault = fault
        self._at_once.set()
        self._stopping.set()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            desk = await self._start(stack)
            self.ready.set()
            service.notify("READY=1", f"STATUS=taking calls, version {__version__}")
            log.info("daemon.ready", version=__version__)
            await self._stopping.wait()
            service.notify("STOPPING=1", "STATUS=finishing calls", longer(CLOSING_S))
            log.info("daemon.stopping", calls=len(desk), drain_seconds=self.config.daemon.drain_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.daemon.drain_seconds):
                    await desk.drain(self._at_once)
            service.notify("STATUS=closing the books of calls", longer(CLOSING_S))

    async def _start(self, stack: AsyncExitStack) -> CallDesk:
        """In this order: what is started first is needed by what comes after, and closed after it."""
        config = self.config
        self.tracer.watch(log_trace)
        self.tracer.watch(self.metrics.observe)
        guard = service.HangGuard(last_words=self._logs.close if self._logs else lambda: None)
        guard.start()
        stack.callback(guard.close)
        await asyncio.to_thread(make_folders, config)
        await asyncio.to_thread(catalogue.preload)
        await asyncio.to_thread(arguments.preload)
        store = self.store = await SqliteStore.open(config.database, synchronous=config.storage.synchronous)
        stack.push_async_callback(store.close)
        self.delivery = await self.new_delivery(config)
        stack.push_async_callback(lambda: self.delivery.close())
        detector = await asyncio.to_thread(_detector)
        clock = await stack.enter_async_context(running(detector, self._broke))
        services = await self._first_services(stack, clock)
        admission = Admission(call_limits(config), self.estate.directory, lambda: self.strain.full)
        desk = self.desk = CallDesk(services, admission, outbound_limits(config))
        self.draining = Draining(desk)
        await self._close_left()
        self.audit = Audit(desk, self.pbx, store, self._close_left)
        zones = zone_teller(config)
        self.campaigns = Campaigns(store.campaigns, self.estate.directory, config.dialling.rules, zones)
        self.campaigns.unwanted = self._unwanted
        self.delivery.start()
        stack.push_async_callback(self._end_standing)
        await self.stand(config)
        if config.http.enabled:
            heard = services.turn_model is not None
            self.probe = Probe(
                self.pbx,
                store,
                clock,
                detector,
                desk,
                guard,
                self.strain,
                turn_model=heard,
                providers=services.providers,
                logs=self._logs,
                loaded=self.reloader.loaded,
            )
            self.listener = Listener(await self.application(self.in_use), tls=await rest.tls_of(config))
            await self.listener.start(config.http.host, config.http.port)
            stack.push_async_callback(self.listener.close)
        await self._campaigning(stack, store, desk)
        stack.push_async_callback(self.pbx.stop)
        await self.pbx.start(desk)
        stack.push_async_callback(desk.close)
        stack.callback(self._hurry)
        auditing = self.audit.run(config.asterisk.audit_seconds)
        await stack.enter_async_context(in_background(auditing, "audit"))
        loading = keep_loaded(self.estate, self)  # behind the first calls, if they come at once
        await stack.enter_async_context(in_background(loading, "preload"))
        await stack.enter_async_context(in_background(watch_strain(self.strain, clock), "strain"))
        await stack.enter_async_context(in_background(self.draining.run(), "draining"))
        await stack.enter_async_context(in_background(self.reloader.run(), "reload"))
        return desk

    async def preload(self, assistants: Iterable[Assistant]) -> None:
        """Load what they need of this machine."""
        await self.in_use.services.providers.preload(assistants)

    def _hurry(self) -> None:
        for one in (self.in_use, *self.retiring.in_use):
            one.services.post_call.hurry(self.config.post_call.shutdown_seconds)

    async def _unwanted(self, numbers: Sequence[str]) -> set[str]:
        """Which of these nobody may call."""
        list_ = self.in_use.services.do_not_call
        return await list_.among(numbers) if list_ is not None else set()

    async def _campaigning(self, stack: AsyncExitStack, store: SqliteStore, desk: CallDesk) -> None:
        """Campaigns run from when calls are taken; when the last call has ended, what became of it is written."""
        section, seconds = self.config.campaigns, asyncio.get_running_loop().time
        self.pace = TotalPace(section.max_at_once, section.max_per_minute, seconds)
        runner = CampaignRunner(
            Floor(
                tables=store.campaigns,
                campaigns=self.campaigns,
                directory=self.estate.directory,
                dialler=DeskDialler(desk, self.estate.directory),
                call_row=store.call,
                events=store.events,
                hours=Hours(self.campaigns.zones),
                left=LeftLines(self.pbx.left_over, self.pace),
                total=self.pace,
                ring_s=self.config.dialling.ring_seconds,
                now=lambda: datetime.now(UTC),
                clock=seconds,
            )
        )

        async def run() -> None:
            await self.ready.wait()
            await runner.run()

        await stack.enter_async_context(in_background(run(), "campaigns"))
        stack.push_async_callback(runner.finish, _SETTLE_S)

    async def _close_left(self, ids: Collection[str] | None = None) -> int:
        """End in the books what an earlier daemon left open; of this one's own calls, those that are named."""
        config, directory, store, services = self.config, self.estate.directory, self.store, self.in_use.services
        left = LeftBehind(directory, config.account, await store.kept_secrets())
        told = {} if ids is None else {"why": NO_END}
        return await recover(store, left.target_of, directory, config.recordings, services.reporting, only=ids, **told)

    async def new_delivery(self, config: Config) -> Delivery:
        """With a session of its own: dead receivers must not keep `assistant-request` waiting for a look-up."""
        hook = config.webhook
        session = open_session(allow_private=hook.allow_private)
        deliverer = Deliverer(
            self.store,
            session,
            user_agent=hook.user_agent,
            carriers=after_the_call.carriers(config),
            patience=Patience(attempt_s=hook.delivery_timeout_seconds, give_up_s=hook.retry_hours * 3600),
            observe=self.metrics.webhook,
        )
        return Delivery(deliverer, session)

    async def stand(self, config: Config) -> None:
        """Begin what goes on in the background by this configuration; what did so by an earlier one is ended."""
        await self._end_standing()
        sweeping = after_the_call.sweeper(config, self.store, self.retention).run()
        await self._standing.enter_async_context(in_background(sweeping, "retention"))
        if (converter := after_the_call.converter(config, self.store)) is not None:
            await self._standing.enter_async_context(in_background(converter.run(), "recordings"))
        if config.webhook.keep_days:
            tidying = keep_short(self.store, config.webhook.keep_days)
            await self._standing.enter_async_context(in_background(tidying, "webhook-history"))

    async def _end_standing(self) -> None:
        standing, self._standing = self._standing, AsyncExitStack()
        await standing.aclose()

    async def _first_services(self, stack: AsyncExitStack, clock: MediaClock) -> Services:
        """Those that the daemon begins with, and what all that come after them share."""
        config = self.config
        accounts = Accounts(config.providers, config.given, ObjectFiles(config.state_dir), hide=config.redactor.add)
        providers = Providers(accounts, idle_s=longest_s(config))
        stack.push_async_callback(providers.aclose)
        turn_model = await asyncio.to_thread(_turn_model)
        if turn_model is not None:
            stack.push_async_callback(turn_model.close)
        phrases = PhraseCache(_PHRASE_BYTES, config.state_dir / "phrases")
        await phrases.load()
        stack.push_async_callback(phrases.aclose)
        self._lasting = Lasting(clock=clock, phrases=phrases, turn_model=turn_model)
        self.in_use = await self.new_in_use(config, accounts, providers, self.estate.edition)
        stack.push_async_callback(lambda: self.in_use.resources.aclose())
        stack.push_async_callback(self.retiring.close)
        return self.in_use.services

    async def new_in_use(self, config: Config, accounts: Accounts, providers: Providers, directory: Directory) -> InUse:
        """Everything that calls are given by this configuration; nobody is given it yet."""
        links = await after_the_call.recording_links(config)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(providers.leave)
            services = await self._services(config, stack, providers, directory, links)
            resources = stack.pop_all()
        return InUse(config=config, accounts=accounts, links=links, services=services, resources=resources)

    async def _services(
        self,
        config: Config,
        stack: AsyncExitStack,
        providers: Providers,
        directory: Directory,
        links: RecordingLinks,
    ) -> Services:
        lasting = self._lasting
        session = await stack.enter_async_context(open_session(allow_private=config.webhook.allow_private))
        return Services(
            clock=lasting.clock,
            store=self.store,
            providers=providers,
            phrases=lasting.phrases,
            asker=Asker(session, user_agent=config.webhook.user_agent, max_bytes=config.webhook.max_answer_bytes),
            tracer=self.tracer,
            pbx=self.pbx,
            turn_model=lasting.turn_model,
            directory=directory,
            account=config.account,
            recordings=config.recordings,
            recording_keys=await after_the_call.recording_keys(config),
            dialling=config.dialling.rules,
            transfers=transfer_policy(config),
            webhooks_due=lambda: self.delivery.deliverer.poke(),
            longest_call_s=float(config.limits.max_call_seconds),
            speculation_per_call=config.limits.speculation_per_call,
            ask_timeout_s=config.webhook.request_timeout_seconds,
            tool_timeout_s=config.webhook.tool_timeout_seconds,
            mcp=await _mcp(config, stack),
            post_call=after_the_call.post_call(config, providers, self.estate.analysis_template),
            reporting=after_the_call.reporting(config, links),
            do_not_call=await _do_not_call(config, self.store),
        )

    async def application(self, in_use: InUse) -> web.Application:
        """The API, by this configuration."""
        return rest.application(await self._backend(in_use), self.metrics)

    async def _backend(self, in_use: InUse) -> rest.Backend:
        """What the operations of the API work on."""
        config, services, accounts, links = in_use.config, in_use.services, in_use.accounts, in_use.links
        store, desk, reporting = self.store, self.desk, services.reporting
        installation = Installation(
            await asyncio.to_thread(read_kept, config.state_dir),
            ObjectFiles(config.state_dir),
            name=config.daemon.name or socket.gethostname(),
            spent=store,
            retention=self.retention,
            active_calls=lambda: desk.active,
        )
        await installation.begin()
        return rest.Backend(
            config=config,
            estate=self.estate,
            probe_mcp=services.mcp.probe,
            probe=self.probe,
            desk=desk,
            reload=self.reloader.reload,
            audit=self.audit,
            draining=self.draining,
            archive=Archive(store, recordings=config.recordings, recording_url=reporting.recording_url),
            is_good_link=lambda call_id, expires, signature: links.check(call_id, expires, signature, time.time()),
            campaigns=self.campaigns,
            do_not_call=DoNotCallList(store.do_not_call, config.dialling.country_code),
            claims=store.claims,
            usage=UsageLog(store),
            voices=VoiceBook(accounts),
            accounts=accounts,
            installation=installation,
        )

    async def _take_up(self, wanted: Config) -> Difference:
        return await take_up(self, wanted)

    def reconfigure(self, in_use: InUse) -> None:
        """Calls that come from now on are given these; nobody who is here is turned out."""
        config = self.reloader.config = in_use.config
        self.in_use = in_use
        self.desk.reconfigure(in_use.services, call_limits(config), outbound_limits(config))
        self.strain.limits = strain_limits(config)
        self.campaigns.reconfigure(config.dialling.rules, zone_teller(config))
        self.pace.resize(config.campaigns.max_at_once, config.campaigns.max_per_minute)

    def deliver_by(self, delivery: Delivery) -> None:
        """What is due from now on goes out with this one, as soon as it is started."""
        self.delivery = delivery


async def _mcp(config: Config, stack: AsyncExitStack) -> McpServers:
    """The client library is only brought in now where the configuration names a server."""
    hook = config.webhook
    servers = McpServers(lambda: open_session(allow_private=hook.allow_private), max_bytes=hook.max_answer_bytes)
    stack.push_async_callback(servers.close)
    if config.mcp_servers:
        await servers.preload()  # not behind the first calls: parts of the import hold the interpreter for 70 ms
    return servers


async def _do_not_call(config: Config, store: SqliteStore) -> DoNotCall:
    """Whom nobody calls, its files read."""
    section = config.dialling
    files = [config.path.parent / name for name in section.do_not_call]
    made = DoNotCall(store.do_not_call, files, section.country_code)
    await made.load()
    return made


@asynccontextmanager
async def running(detector: SpeechDetector, broke: Broke = lambda fault: None) -> AsyncIterator[MediaClock]:
    """The media clock, ticking."""
    clock = MediaClock(detector, now=asyncio.get_running_loop().time)
    async with in_background(clock.run(), "media-clock", broke):
        yield clock


@asynccontextmanager
async def in_background(
    work: Coroutine[Any, Any, None], name: str, broke: Broke = lambda fault: None
) -> AsyncIterator[None]:
    """`work` goes on beside the block and ends with it. What it raises is logged at once, and told to `broke`."""

    async def guarded() -> None:
        try:
            await work
        except Exception as exc:
            log.critical("background.broke", task=name, exc_info=exc)
            broke(exc)

    task = asyncio.create_task(guarded(), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def serve_until_told(config: Config, logs: LineWriter | None = None) -> None:
    """Run a daemon until SIGTERM or SIGINT."""
    daemon = Daemon(config, logs)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    loop.add_signal_handler(signal.SIGHUP, daemon.reloader.ask)
    await daemon.run()


def _located(model: str) -> Path | None:
    try:
        return models.locate(model)
    except ConfigError as exc:
        log.warning("model.missing", model=model, error=str(exc))
        return None


def _detector() -> SpeechDetector:
    return SpeechDetector(_located("silero-vad"))


def _turn_model() -> TurnModel | None:
    path = _located("smart-turn")
    return TurnModel(path) if path is not None else None
