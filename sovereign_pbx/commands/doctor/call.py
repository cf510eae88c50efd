"""A test call through the PBX: doctor is the caller, on a channel that Asterisk makes for it.

Asterisk is told to dial the administrator's number in the assistant's dialplan (`Local/…`) and to give whoever
answers to an AudioSocket of doctor's own. So the call takes the way of every other: FastAGI before the answer,
AudioSocket after it, and what is heard and said here has been through the PBX in both directions.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import aiohttp

from sovereign_pbx.assistants.directory import ANY_NUMBER
from sovereign_pbx.commands.dialplan import address
from sovereign_pbx.commands.doctor.caller import Caller, question
from sovereign_pbx.commands.doctor.channel import Channel
from sovereign_pbx.commands.doctor.daemon import health
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result, failed, ok, skipped, warning
from sovereign_pbx.commands.doctor.witness import Record, own_address, record_of
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import BadInput, ConfigError
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.audiosocket import AudioSocketServer
from sovereign_pbx.testing.caller_ticker import CallerTicker

AFTER_RINGING_S: Final = 110.0  # all the waits below, and some
GREETING_S: Final = 8.0
GREETING_OVER_S: Final = 20.0
PAUSE_S: Final = 0.8  # nothing heard for this long: the assistant has finished
ANSWER_S: Final = 20.0
LEAVE_S: Final = 8.0
AFTER_DECISION_S: Final = 7.0
SAME_AS_ANY: Final = "100"  # dialled where every number leads to the assistant

_NUMBER: Final = re.compile(r"\+?[0-9A-Za-z*#._]{1,64}")
_LISTEN: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")

LOOK: Final = "the daemon's log says why; sovereign-pbx calls list shows the call if it got that far"


@dataclass(slots=True)
class Course:
    """How the call went; `None` for what did not happen. Milliseconds."""

    number: str
    answer_ms: float | None = None
    greeting_ms: float | None = None
    reply_ms: float | None = None
    level_dbfs: float | None = None
    frames: int = 0
    hole_ms: float = 0.0
    told: bool = False  # AMI told of our channels
    record: Record | None = None

    def facts(self) -> dict[str, Any]:
        record = self.record
        return {
            "number": self.number,
            "answer_ms": self.answer_ms,
            "greeting_ms": self.greeting_ms,
            "reply_ms": self.reply_ms,
            "level_dbfs": self.level_dbfs,
            "frames": self.frames,
            "hole_ms": self.hole_ms,
            "call_id": record.call_id if record else None,
            "said": record.said if record else None,
            "recording": (record.recording or None) if record else None,
        }


def limit_s(config: Config) -> float:
    """How long the whole of it may take."""
    return config.asterisk.agi.decide_timeout_seconds + AFTER_RINGING_S


async def call(patient: Patient) -> Result:
    """Call, listen, ask, listen, hang up, and see that nothing is left."""
    refusal = _why_not(patient)
    ami = patient.ami
    if refusal is not None or ami is None:
        return refusal or skipped("the manager interface is not logged in to")
    number = dialled(patient.number or some_number(patient.config))
    host, port = await _listening_place(patient)
    with CallerTicker() as ticker:
        caller = Caller(ticker)
        server = AudioSocketServer(host, port, on_connect=caller.take, on_ended=caller.ended)
        await server.start()
        channel = Channel(ami, patient.context, number)
        try:
            return await _TestCall(patient, ami, caller, channel, server, Course(number)).run()
        finally:
            caller.hang_up()
            await channel.close()
            await server.close()


def second_chances(body: dict[str, Any] | None) -> int:
    """How many calls had AudioSocket in the place of what is configured, by the daemon's health."""
    pbx = (body or {}).get("checks", {}).get("pbx", {})
    found = pbx.get("sound", {}).get("second_chances", 0) if isinstance(pbx, dict) else 0
    return found if isinstance(found, int) else 0


def _why_not(patient: Patient) -> Result | None:
    """What keeps the call from being placed at all."""
    user = patient.config.asterisk.ami.username
    if patient.ami is None:
        return skipped("the manager interface is not logged in to, and it places the call")
    if "Originate" not in patient.ami_actions:
        remedy = f"for a test call add originate in manager.conf, [{user}]: write = call,originate,reporting"
        return skipped("the manager user may not place calls", f"{remedy}; then manager reload")
    if patient.daemon is None:
        return skipped("the daemon does not run, or can't be asked")
    if not patient.dialplan_loaded:
        return skipped("the dialplan is not loaded")
    if not (patient.number or some_number(patient.config)):
        return skipped("no number leads to an assistant", "add [[numbers]], or name a number with --number")
    return None


def some_number(config: Config) -> str:
    """The first number that somebody answers; "" when there is none."""
    for entry in config.numbers:
        assistant = config.directory.assistant(entry.assistant)
        taken = assistant.is_active if assistant is not None else bool(config.webhook.url)
        if entry.is_active and taken:
            return SAME_AS_ANY if entry.number == ANY_NUMBER else entry.number
    return SAME_AS_ANY if config.webhook.url else ""


def dialled(number: str) -> str:
    """The number as a channel's name may hold it. Raises ConfigError."""
    plain = re.sub(r"[ ()/\u00a0-]", "", number)
    if not _NUMBER.fullmatch(plain):
        raise ConfigError(f"{number[:40]!r} can't be dialled", remedy="use digits, letters, + * # . and _")
    return plain


async def _listening_place(patient: Patient) -> tuple[str, int]:
    """Where our audio listens: as told, else on the address from which the PBX is reached. Raises ConfigError."""
    if patient.listen:
        match = _LISTEN.fullmatch(patient.listen)
        if match is None or int(match[2]) > 65535:
            raise ConfigError(f"--listen {patient.listen} is not HOST:PORT", remedy="as in 10.0.0.5:9093")
        return match[1].strip("[]"), int(match[2])
    ami = patient.config.asterisk.ami
    return await own_address(ami.host, ami.port), 0


class _TestCall:
    """One call, from dialling to the last channel gone."""

    def __init__(
        self, patient: Patient, ami: Ami, caller: Caller, channel: Channel, server: AudioSocketServer, course: Course
    ) -> None:
        self._config = patient.config
        self._context = patient.context
        self._ami = ami
        self._caller = caller
        self._channel = channel
        self._server = server
        self._course = course
        self._second_chances = second_chances(patient.daemon)

    async def run(self) -> Result:
        """The call and the judgement."""
        refusal = await self._answered()
        if refusal is not None:
            return refusal
        await self._converse()
        self._caller.hang_up()
        left = await self._channel.left(LEAVE_S)
        self._course.record = await record_of(self._config.database, self._channel.caller_number, LEAVE_S)
        self._course.told = self._channel.events > 0
        if left:
            remedy = "see core show channels in Asterisk, and report it"
            return failed(f"still there after the call: {', '.join(left)}", remedy, **self._course.facts())
        if await self._came_another_way():
            remedy = "see asterisk link above; the daemon's log and Asterisk's say why it was not connected"
            media = self._config.asterisk.media
            return failed(
                f"answered, but the sound came by AudioSocket and not by {media}", remedy, **self._course.facts()
            )
        return judged(self._course, greeted=self._greets())

    async def _came_another_way(self) -> bool:
        """Whether this call's sound did not come as `[asterisk] media` says. Not known without the daemon's word."""
        try:
            now = await health(self._config)
        except (BadInput, TimeoutError, aiohttp.ClientError, OSError):
            return False
        return second_chances(now) > self._second_chances

    async def _answered(self) -> Result | None:
        """Dial until somebody answers; a result when it is not the assistant."""
        ring_s = self._config.asterisk.agi.decide_timeout_seconds + AFTER_DECISION_S
        token, began = str(uuid4()), time.monotonic()
        host, port = self._server.address
        self._server.expect(token, ring_s + 5)
        self._channel.dial(token, address(host, port), ring_s)
        while not self._caller.connected.is_set() and not self._channel.refused:
            if time.monotonic() - began > ring_s + 5:
                remedy = f"Asterisk must reach {host}:{port} of this machine; --listen names another address"
                return failed(f"nobody answered within {ring_s:g} s, or Asterisk could not reach doctor", remedy)
            await asyncio.sleep(0.02)
        if not self._caller.connected.is_set():
            return failed(self._channel.refused, LOOK)
        self._course.answer_ms = round((time.monotonic() - began) * 1000, 1)
        action = await self._channel.variable("SOVEREIGN_ACTION")
        if action != "answer":
            detail = "the call was answered by your fallback, not by the assistant"
            return failed(
                detail, f"{LOOK}; sovereign-pbx assistants try {self._course.number} shows who should take it"
            )
        return None

    async def _converse(self) -> None:
        """The greeting, a question, the answer."""
        caller, course = self._caller, self._course
        greeting = await caller.sound(0.0, GREETING_S)
        if greeting is not None:
            course.greeting_ms = _ms(greeting.start - caller.answered_at)
            await caller.quiet(PAUSE_S, GREETING_OVER_S)
        asked = caller.say(await asyncio.to_thread(question))
        try:
            async with asyncio.timeout(GREETING_S):
                await asked.finished.wait()
        except TimeoutError:
            pass  # the call has ended under the question; what was heard until then is judged
        if asked.ended_at is not None:
            reply = await caller.sound(asked.ended_at, ANSWER_S)
            course.reply_ms = None if reply is None else _ms(reply.start - asked.ended_at)
        course.frames = caller.heard.frames
        course.hole_ms = _ms(caller.heard.hole_s())
        course.level_dbfs = round(caller.level_dbfs(), 1) if caller.sounds() else None

    def _greets(self) -> bool:
        """Does the assistant of this number, as the file has it, speak first?"""
        _, assistant = self._config.directory.find(self._course.number)
        return assistant is not None and bool(assistant.first_message)


def judged(course: Course, *, greeted: bool) -> Result:
    """What the course of a finished call says; `greeted`: the assistant was to speak first."""
    facts, record = course.facts(), course.record
    seen = f"; sovereign-pbx calls show {record.call_id[:8]}" if record else ""
    words = [f"{course.number} answered after {course.answer_ms:.0f} ms"] if course.answer_ms is not None else []
    if record is not None and not record.ended:
        return failed("hung up, and the daemon still has the call", f"{LOOK}{seen}", **facts)
    if course.frames == 0:
        return failed("answered, but not one frame of audio came", f"{LOOK}{seen}", **facts)
    if course.level_dbfs is None:
        return failed(
            "answered, and silent: nothing was heard, neither a greeting nor an answer", f"{LOOK}{seen}", **facts
        )
    if course.greeting_ms is not None:
        words.append(f"greeting {course.greeting_ms:.0f} ms later at {course.level_dbfs:.0f} dBFS")
    if record is not None and record.said:
        words.append(f"it understood “{record.said}”")
    if course.reply_ms is None:
        return _unanswered(course, words, seen)
    words.append(f"answered after {course.reply_ms:.0f} ms")
    if greeted and course.greeting_ms is None:
        return warning("; ".join([*words, "no greeting was heard"]), f"{LOOK}{seen}", **facts)
    if not course.told:
        remedy = "in manager.conf: read = call,dtmf; then manager reload"
        return warning("; ".join([*words, "Asterisk told nothing of the call: read lacks call"]), remedy, **facts)
    return ok("; ".join([*words, f"nothing is left{seen}"]), **facts)


def _unanswered(course: Course, words: list[str], seen: str) -> Result:
    """Something was heard, but no answer to the question."""
    record = course.record
    silent = "; ".join([*words, f"no answer to a question within {ANSWER_S:g} s"])
    if record is None:
        remedy = "run doctor as a user who may read the daemon's database to learn more"
    elif record.said:
        remedy = f"the recogniser works: look at the language model and the voice{seen}"
    elif record.heard_s > 1.0:
        remedy = f"audio arrived ({record.heard_s:.0f} s): look at the recogniser and its language{seen}"
    else:
        remedy = f"our audio did not arrive: look at AudioSocket and the network{seen}"
    return failed(silent, remedy, **course.facts())


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
