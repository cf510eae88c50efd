"""The daemon as `/health` and `/metrics` see it. Composition: it asks every part how it is."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from sovereign_pbx import __version__
from sovereign_pbx.api.health import Check
from sovereign_pbx.api.vitals import Vitals
from sovereign_pbx.calls.desk import CallDesk
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.calls.strain import Strain
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.log import LineWriter
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.vad import SpeechDetector
from sovereign_pbx.pbx.attached import Attached
from sovereign_pbx.reload import Loaded
from sovereign_pbx.service import HangGuard
from sovereign_pbx.store.sqlite import SqliteStore

_LATE_MS = 100.0  # a caller hears a hole of this length


class Probe:
    """Reads; changes nothing."""

    version = __version__

    def __init__(
        self,
        pbx: Attached,
        store: SqliteStore,
        clock: MediaClock,
        detector: SpeechDetector,
        desk: CallDesk,
        guard: HangGuard,
        strain: Strain,
        *,
        turn_model: bool,
        providers: Providers,
        logs: LineWriter | None,
        loaded: Loaded,
    ) -> None:
        self._pbx = pbx
        self._store = store
        self._clock = clock
        self._detector = detector
        self._turn_model = turn_model
        self._providers = providers
        self._desk = desk
        self._guard = guard
        self._strain = strain
        self._logs = logs
        self._loaded = loaded

    async def checks(self) -> Mapping[str, Check]:
        """database, pbx, models, clock, admission, outbox."""
        stored = await self._store.health()
        pbx = dict(self._pbx.health())
        return {
            "database": Check(status=stored.status, latency_ms=stored.latency_ms, detail=stored.error, essential=True),
            "pbx": Check(status=pbx.pop("status"), essential=True, values=pbx),
            "models": self._models(),
            "clock": self._clock_check(),
            "admission": self._admission(),
            "outbox": await self._outbox(),
            "configuration": self._configuration(),
        }

    async def vitals(self) -> Vitals:
        """The numbers that are read."""
        clock, pbx = self._clock.statistics(), self._pbx.health()
        stored = await self._store.health()
        outbox = await self._store.outbox()
        return Vitals(
            calls_active=len(self._desk),
            ticks_late=clock["late"],
            ticks_skipped=clock["skipped"],
            tick_worst_lag_seconds=clock["worst_lag_ms"] / 1000,
            frames_dropped=self._desk.frames_dropped,
            audiosocket_refused=_refused(pbx.get("audiosocket", {})),
            agi_refused=_refused(pbx.get("agi", {})),
            sip_refused=sip_refused(pbx),
            loop_worst_lag_seconds=self._guard.worst_lag_ms / 1000,
            calls_held_back=float(self._desk.admission.closed() is not None),
            tick_lag_p95_seconds=self._strain.lag_p95_ms / 1000,
            loop_tasks=len(asyncio.all_tasks()),
            store_queue=stored.pending,
            store_commit_seconds=stored.last_commit_ms / 1000,
            webhooks_pending=outbox.pending,
            webhooks_dead=outbox.dead,
            config_last_reload_successful=0 if self._loaded.fault else 1,
            config_last_reload_success_timestamp_seconds=self._loaded.at,
            log_lines_dropped=self._logs.dropped if self._logs else 0,
        )

    def _configuration(self) -> Check:
        """A file that was refused would keep the daemon from starting again. Which faults it has is in the log: this is
        told to people without a key."""
        loaded = self._loaded
        values = {
            "loaded_at": loaded.since,
            "checksum": loaded.checksum,
            "needs_restart": list(loaded.needs_restart),
        }
        if not loaded.fault:
            return Check(status="ok", values=values)
        detail = f"the file was refused when it was read again; that of {loaded.since} is in use"
        return Check(status="degraded", detail=detail, values=values)

    async def _outbox(self) -> Check:
        try:
            counts = await self._store.outbox()
        except SovereignError as exc:  # the database's own check says the rest
            return Check(status="degraded", detail=str(exc))
        status: Literal["ok", "degraded"] = "degraded" if counts.dead else "ok"
        return Check(status=status, values={"pending": counts.pending, "dead": counts.dead})

    def _models(self) -> Check:
        if self._providers.loading:
            return Check(status="degraded", detail=f"loading: {', '.join(self._providers.loading)}")
        missing = [] if self._detector.kind == "silero" else ["silero-vad"]
        missing += [] if self._turn_model else ["smart-turn"]
        if not missing:
            return Check(status="ok")
        return Check(
            status="degraded", detail=f"missing: {', '.join(missing)}; fetch with `sovereign-pbx models fetch`"
        )

    def _admission(self) -> Check:
        """Calls that hold a place, how many may, and why nobody is taken if that is so."""
        admission = self._desk.admission
        closed = admission.closed()
        values = {
            "calls": admission.active,
            "max_calls": admission.limits.max_calls,
            "refused": dict(admission.refused),
        }
        return Check(status="degraded" if closed else "ok", detail=str(closed) if closed else "", values=values)

    def _clock_check(self) -> Check:
        lag_ms = self._guard.worst_lag_ms
        return Check(status="ok" if lag_ms < _LATE_MS else "degraded", values={"worst_lag_ms": round(lag_ms, 1)})


def sip_refused(pbx: Mapping[str, Any]) -> float:
    """Of the PBX's health, where SIP may be the only one or one of several: what was refused before it was a call."""
    sip = pbx if "invites" in pbx else pbx.get("sip", {})
    return _refused(sip.get("invites", {})) + _refused(sip.get("endpoint", {}))


def _refused(statistics: Mapping[str, Any]) -> float:
    return float(sum(value for name, value in statistics.items() if name.startswith("refused")))
