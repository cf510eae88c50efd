"""A whole campaign on the real Asterisk while daemon and PBX are killed under it; what became of it as a table."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from sovereign_pbx.config import load
from sovereign_pbx.testing.providers.deepgram import Utterance
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.api.rest import make_key
from tests.calls.campaign_street import AWAY, HOME, Hours, Street, hour_from
from tests.calls.house import assistant
from tests.calls.scene_daemon import until_linked
from tests.calls.scene_stage import Stage, stage

MAILBOX: Final = "Dit is de voicemail van Jan. Spreek een bericht in na de toon."
MANNERS: Final = {
    "answers": ("answers",),
    "busy": ("busy",),
    "busy, then answers": ("busy", "answers"),
    "silent": ("silent",),
    "mailbox": ("mailbox",),
    "declines": ("declines",),
}
EXPECTED: Final = {
    "answers": ("completed", "user_hangup", 1),
    "busy": ("failed", "busy", 2),
    "busy, then answers": ("completed", "user_hangup", 2),
    "silent": ("failed", "no_answer", 2),
    "mailbox": ("completed", "voicemail", 1),
    "declines": ("failed", "rejected", 1),
    "do not call": ("skipped", "do_not_call", 0),
}
_MIX: Final = (
    *["answers"] * 10,
    "busy",
    "busy",
    *["busy, then answers"] * 2,
    *["silent"] * 3,
    "mailbox",
    "mailbox",
    "declines",
)
_GRACE_S: Final = 45.0


@dataclass(frozen=True)
class Plan:
    """`away`: how many leads are in another time zone, whose window opens last; `gap_s`: how long the window is shut
    in the middle, `until_gap_s` after the start."""

    leads: int = 200
    kills: int = 3
    restarts: int = 1
    away: int = 20
    unwanted: int = 5
    at_once: int = 6
    per_minute: int = 40
    ring_s: float = 5.0
    until_gap_s: float = 100.0
    gap_s: float = 30.0
    within_s: float = 1500.0
    seed: int = 1
    attempts: int = 3


@dataclass
class Outcome:
    """What is judged, and told. `rows`: what | counted | allowed | well."""

    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)
    states: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        return all(row[3] for row in self.rows)

    def add(self, what: str, counted: object, allowed: object, well: bool) -> None:
        self.rows.append((what, str(counted), str(allowed), well))

    def table(self) -> str:
        """As Markdown."""
        lines = ["| what | counted | must be | |", "|---|---|---|---|"]
        lines += [
            f"| {what} | {counted} | {allowed} | {'yes' if well else '**NO**'} |"
            for what, counted, allowed, well in self.rows
        ]
        lines += ["", "| the telephone | leads | ended as |", "|---|---|---|"]
        lines += [
            f"| {kind} | {n} | {how} |"
            for (kind, _, how), n in sorted(self.states.items(), key=lambda one: (one[0][0], -one[1]))
        ]
        return "\n".join(lines)


def settings(plan: Plan) -> dict[str, Any]:
    own = {
        "voicemail_detection": True,
        "voicemail_message": "This is the workshop: the bicycle is ready.",
        "first_message": "Good morning {{name}}.",
    }
    return {
        "assistants": {"reception": assistant(**own)},
        "numbers": [{"number": "+31850835037", "assistant": "reception", "transfer_trunk": "carrier"}],
        "trunks": {"carrier": {"endpoint": "agent"}},
        "http": {"requests_per_minute": 10_000},
        "log": {"level": "info"},
        "campaigns": {"max_at_once": plan.at_once, "max_per_minute": plan.per_minute},
        "dialling": {"allow": ["+316*"], "ring_seconds": plan.ring_s, "max_at_once": 50, "max_per_hour": 10_000},
    }


@dataclass
class Proof:
    """One run. `tell` is told what happens."""

    plan: Plan
    made: Stage
    street: Street
    api: Callable[..., Awaitable[Any]]
    tell: Callable[[str], None]
    kinds: dict[str, str]
    path: str = ""
    killed: int = 0
    restarted: int = 0

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._make()
        living = asyncio.create_task(self.street.live())
        troubles = asyncio.create_task(self._troubles())
        try:
            await self._schedule(began)
            leads = await self._over(began)
            await self.street.quiet(_GRACE_S)
        finally:
            for task in (troubles, living):
                task.cancel()
            await asyncio.gather(troubles, living, return_exceptions=True)
        if troubles.done() and not troubles.cancelled() and troubles.exception() is not None:
            raise RuntimeError("a kill or a restart went wrong") from troubles.exception()
        return await self._judged(leads, loop.time() - began)

    async def _make(self) -> None:
        start, end = hour_from(datetime.now(UTC), HOME)
        numbers = list(self.kinds)
        unwanted = [number for number, kind in self.kinds.items() if kind == "do not call"]
        leads = [
            {"phone_number": number, "variables": {"name": number[-3:]}}
            | ({"timezone": zone} if (zone := self.street.zones.get(number)) else {})
            for number in numbers
        ]
        body = {
            "name": "Proof",
            "agent_id": "reception",
            "schedule_start_time": start,
            "schedule_end_time": end,
            "timezone": "UTC",
            "max_attempts": self.plan.attempts,
            "retry_minutes": 1,
            "retries": {"busy": {"attempts": 2}, "no_answer": {"attempts": 2}},
            "calls_at_once": self.plan.at_once,
            "calls_per_minute": self.plan.per_minute,
            "leads": [*leads, leads[0], leads[1]],
        }
        for number in unwanted:
            await self.api("POST", "/do-not-call", {"numbers": [number], "reason": "the proof"})
        answer = await self.api("POST", "/campaigns", body)
        assert answer["duplicates"] == numbers[:2], answer
        self.path = f"/campaigns/{answer['campaign']['id']}"

    async def _schedule(self, began: float) -> None:
        """Opened, shut for a while, opened again; then opened where those are who are away."""
        plan, loop = self.plan, asyncio.get_running_loop()
        await self._open(*hour_from(datetime.now(UTC), HOME, plan.until_gap_s), status="scheduled")
        await asyncio.sleep(plan.until_gap_s + plan.gap_s)
        self.tell(f"{loop.time() - began:.0f} s: the window opens again; {len(self.street.rings)} have rung")
        await self._open(*hour_from(datetime.now(UTC), HOME))
        at_home = [number for number, kind in self.kinds.items() if number not in self.street.zones]
        await self._until(
            lambda leads: all(
                one["status"] not in ("pending", "calling") for one in leads if one["phone_number"] in at_home
            ),
            began,
        )
        self.tell(f"{loop.time() - began:.0f} s: all at home are done; the window opens in {AWAY}")
        await self._open(*hour_from(datetime.now(UTC), AWAY))

    async def _open(self, start: str, end: str, **more: Any) -> None:
        """Both rules may be in force while the request is under way; what is dialled then is judged by the new one."""
        self.street.hours.append(Hours(datetime.now(UTC), start, end))
        await self.api("PATCH", self.path, {"schedule_start_time": start, "schedule_end_time": end, **more})

    async def _troubles(self) -> None:
        """At even distances of the calls to come."""
        plan = self.plan
        kinds = ["kill"] * plan.kills + ["restart"] * plan.restarts
        random.Random(plan.seed).shuffle(kinds)
        dice = random.Random(plan.seed + 1)
        for at, kind in enumerate(kinds, 1):
            share = at / (len(kinds) + 1)
            while len(self.street.rings) < share * plan.leads:  # noqa: ASYNC110 - the street has no event for it
                await asyncio.sleep(0.05)
            await asyncio.sleep(dice.uniform(0.0, 3.0))
            while not self.street.busy:  # noqa: ASYNC110 - likewise: it shall meet somebody
                await asyncio.sleep(0.02)
            await (self._kill() if kind == "kill" else self._restart())

    async def _kill(self) -> None:
        hit = self.street.disturb(cut=False)
        await self.made.process.kill()
        self.killed += 1
        self.tell(f"kill -9 of the daemon, {hit} calls under way, {len(self.street.rings)} telephones have rung")
        await self.made.process.start()
        await until_linked(self.made.daemon)

    async def _restart(self) -> None:
        await self.made.asterisk.stop()
        hit = self.street.disturb(cut=True)
        self.restarted += 1
        self.tell(f"kill -9 of Asterisk, {hit} calls under way, {len(self.street.rings)} telephones have rung")
        await self.made.asterisk.start()

    async def _until(self, condition: Callable[[list[dict[str, Any]]], bool], began: float) -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):  # it is being killed just now
                leads: list[dict[str, Any]] = (await self.api("GET", f"{self.path}/leads"))["leads"]
                if condition(leads):
                    return leads
            if loop.time() - began > self.plan.within_s:
                states = Counter((one["status"], one["outcome"]) for one in leads)
                raise TimeoutError(f"not over after {self.plan.within_s:.0f} s: {states}")
            await asyncio.sleep(0.5)

    async def _over(self, began: float) -> list[dict[str, Any]]:
        leads = await self._until(
            lambda leads: all(one["status"] not in ("pending", "calling") for one in leads), began
        )
        status = (await self.api("GET", self.path))["campaign"]["status"]
        assert status == "completed", status
        return leads

    # --- judging

    async def _judged(self, leads: list[dict[str, Any]], seconds: float) -> Outcome:
        plan, street, told = self.plan, self.street, Outcome(seconds=seconds)
        told.add(
            "kills of the daemon, of Asterisk",
            f"{self.killed}, {self.restarted}",
            f"{plan.kills}, {plan.restarts}",
            (self.killed, self.restarted) == (plan.kills, plan.restarts),
        )
        told.add("leads, each in a final state", f"{len(leads)}", f"{plan.leads}", len(leads) == plan.leads)
        told.add("telephones that rang", len(street.rings), "", True)
        told.add("calls outside the lead's window", len(street.outside()), 0, not street.outside())
        for crowd in street.crowded(plan.at_once):
            self.tell(f"more lines than {plan.at_once}: {crowd}")
        told.add(
            "lines taken at once", street.most_at_once(), f"≤ {plan.at_once}", street.most_at_once() <= plan.at_once
        )
        minute = street.most_in(60.0)
        told.add("telephones rung within 60 s", minute, f"≤ {plan.per_minute}", minute <= plan.per_minute)
        both = street.twice_at_once()
        told.add("numbers called twice at once", len(both), 0, not both)
        more = [one for one in leads if street.times(one["phone_number"]) > one["attempts"]]
        told.add("rung more often than the books say", len(more), 0, not more)
        fewer = [
            one
            for one in leads
            if street.times(one["phone_number"]) < one["attempts"] and one["phone_number"] not in street.disturbed
        ]
        lost = sum(one["attempts"] - street.times(one["phone_number"]) for one in leads)
        told.add(
            "attempts in the books that rang nowhere (killed before the ring)",
            lost,
            f"≤ {plan.at_once * (plan.kills + plan.restarts)}",
            len(fewer) <= plan.at_once * (plan.kills + plan.restarts) and lost >= 0,
        )
        strange = [await self._called(one) for one in self._strange(leads, told)]
        told.add("ends that are not explained", f"{len(strange)} {strange[:5] if strange else ''}", 0, not strange)
        return told

    async def _called(self, lead: dict[str, Any]) -> str:
        """A lead with what was said in its call."""
        said = []
        if lead["call_id"]:
            call = await self.api("GET", f"/calls/{lead['call_id']}")
            said = [f"{one['role']}: {one['content']}" for one in call["messages"]]
        kind = self.kinds[lead["phone_number"]]
        return f"{lead['phone_number']} {kind}: {lead['status']} {lead['outcome']} after {lead['attempts']}, {said}"

    def _strange(self, leads: list[dict[str, Any]], told: Outcome) -> list[dict[str, Any]]:
        """Ends that are neither the manner's nor of a call that was under way when something was killed."""
        strange = []
        for one in leads:
            number, end = one["phone_number"], (one["status"], one["outcome"], one["attempts"])
            kind = self.kinds[number]
            as_usual = end == expected(kind, self.plan)
            hit = number in self.street.disturbed or one["outcome"] in ("unknown", "interrupted")
            told.states[
                (kind, "" if as_usual else "hit", f"{one['status']} {one['outcome']} after {one['attempts']}")
            ] += 1
            if not as_usual and not hit:
                strange.append(one)
        return strange


def expected(kind: str, plan: Plan) -> tuple[str, str, int]:
    """How a lead of this kind ends where nothing disturbs its calls."""
    status, outcome, attempts = EXPECTED[kind]
    if attempts <= plan.attempts:
        return status, outcome, attempts
    return ("failed", "busy", 1) if "busy" in kind else (status, outcome, 1)


def people(plan: Plan) -> tuple[dict[str, str], dict[str, str]]:
    """Each number's kind, and the zone of those who are away."""
    numbers = [f"+3161234{number:04}" for number in range(plan.leads)]
    kinds = {number: _MIX[at % len(_MIX)] for at, number in enumerate(numbers)}
    kinds |= dict.fromkeys(numbers[2 : 2 + 7 * plan.unwanted : 7], "do not call")
    zones = dict.fromkeys(numbers[5 : 5 + 9 * plan.away : 9], AWAY)
    order = list(kinds)
    random.Random(plan.seed).shuffle(order)
    return {number: kinds[number] for number in order}, zones


async def prove(root: Path, folder: Path, plan: Plan, tell: Callable[[str], None]) -> Outcome:
    """Run it. Takes as long as the plan's calls at its pace."""
    async with stage(root, folder, process=True, **settings(plan)) as made:
        made.deepgram.script = (Utterance((MAILBOX,)),)  # nobody else says a word
        config = await asyncio.to_thread(load, folder / "config.toml")
        key = await asyncio.to_thread(make_key, config, ("read", "calls"))
        url = f"http://127.0.0.1:{made.settings['http']['port']}/api/v1"
        agent = SipPhone(made.asterisk.sip_address, user="agent", port=made.asterisk.agent_port)
        kinds, zones = people(plan)
        manners: dict[str, Sequence[str]] = {number: MANNERS.get(kind, ("answers",)) for number, kind in kinds.items()}
        async with agent, aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

            async def api(method: str, path: str, body: Any = None) -> Any:
                deadline = asyncio.get_running_loop().time() + _GRACE_S
                while True:  # a PATCH may meet a daemon that is being killed; all that is sent here may be sent twice
                    try:
                        async with session.request(method, url + path, json=body) as response:
                            answer = await response.json()
                            assert response.status < 300, answer
                            return answer
                    except (aiohttp.ClientError, OSError):
                        if asyncio.get_running_loop().time() > deadline:
                            raise
                        await asyncio.sleep(0.2)

            street = Street(agent, manners, zones)
            outcome = await Proof(plan, made, street, api, tell, kinds).run()
            await made.asterisk.wait_for_channels(0, 15.0)
            return outcome
