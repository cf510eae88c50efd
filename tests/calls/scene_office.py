"""The office of the scenes of transfers: a colleague for each thing that can happen, reached in each way there is."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Literal, get_args

import numpy as np

from sovereign_pbx.core.plan import Phrases
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.providers.voice_sound import Sound
from sovereign_pbx.testing.sip_caller import Manner, SipPhone
from tests.calls.house import GREETING, assistant
from tests.calls.scene_daemon import until_linked
from tests.calls.scene_hearing import UNKNOWN, Heard
from tests.calls.scene_person import Person
from tests.calls.scene_stage import Stage

Form = Literal["extension", "trunk", "uri", "queue", "group", "attended"]
Case = Literal["accepted", "declined", "busy", "no_answer", "failed", "caller_gone"]
CASES: Final[tuple[Case, ...]] = get_args(Case)

# Who sits at the telephone that each case dials. `briefed` answers and says no; `absent` is not registered.
AT: Final[Mapping[Case, str]] = {
    "accepted": "takes",
    "declined": "declines",
    "busy": "engaged",
    "no_answer": "rings",
    "failed": "absent",
    "caller_gone": "waits",
}
MANNERS: Final[Mapping[str, Manner]] = {
    "takes": "answer",
    "declines": "decline",
    "briefed": "answer",
    "engaged": "busy",
    "rings": "ring",
    "waits": "ring",
    "absent": "unknown",
}
_LOOK_S: Final = 0.1
_PAUSE_BYTES: Final = 8000 * 2 * 3 // 10  # 300 ms
_LOUD: Final = 500
RING_S: Final = 3

CONNECTING = "I am connecting you."
SUMMARY = "Jan wants his bicycle back."
COLLEAGUE = "Workshop, this is Ann speaking."
CALLER = "Good that you are there."
QUESTION = Phrases().briefing_question.replace("1", "one").replace("2", "two")  # as it is spoken
INTRODUCTION = Phrases().briefing_call.format(caller="caller")
BACK: Final[Mapping[str, str]] = {
    "did not want": "They would rather not talk now.",
    "busy": "Their line is engaged at the moment.",
    "nobody answered": "Nobody picked up the telephone over there.",
    "": "That place can not be reached today.",
}
AGAIN = Phrases().briefing_again
PHRASES: Final = (CONNECTING, SUMMARY, COLLEAGUE, CALLER, INTRODUCTION, QUESTION, AGAIN, *BACK.values())

_PEOPLE: Final = tuple(MANNERS)
_ENDPOINTS = "".join(f"[{name}](phone)\naors = {name}\n[{name}]\ntype = aor\nmax_contacts = 1\n" for name in _PEOPLE)
_QUEUES = "".join(
    f"[of-{name}]\nstrategy = ringall\ntimeout = 5\nretry = 1\nmember => PJSIP/{name}\n"
    for name in _PEOPLE
    if name != "absent"
)
EXTRA: Final = {
    "modules.conf": "load = app_queue.so\nload = res_pjsip_registrar.so\nload = res_pjsip_diversion.so\n",
    "pjsip.conf": _ENDPOINTS,
    "queues.conf": f"{_QUEUES}[of-absent]\njoinempty = no\n",
}
PLAN: Final = (
    "\n[sovereign-dial](+)\n"
    + "".join(
        f"exten => 2{place},1,Dial(PJSIP/{name})\n"
        f"exten => 4{place},1,Dial(PJSIP/{name}&PJSIP/absent)\n"
        f"exten => 6{place},1,Queue(of-{name})\n"
        for place, name in enumerate(_PEOPLE)
    )
    + "exten => uri,1,Dial(PJSIP/takes/${SOVEREIGN_DEST})\n"
)


def says(phrase: str) -> bytes:
    """What a person says in the scripted voice, so that it can be read back, at 8 kHz."""
    return Sound(8000).of(phrase)


def number_of(case: Case) -> str:
    """Whom a caller dials who wants this to happen."""
    return f"800{CASES.index(case)}"


def who(form: Form, case: Case) -> str:
    return "briefed" if (form, case) == ("attended", "declined") else AT[case]


class Ear(Person):
    """A person among many. To read what somebody has heard takes long, so it is done in a thread, and only when whoever
    spoke has paused: the daemon is in this process, and its clock must not be late."""

    _read = 0

    async def hears(self, what: str, *, after: float = 0.0, cut: bool = False, within_s: float = 20.0) -> Heard:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        self._read = 0  # it may have been said before this was asked
        while True:
            late = loop.time() > deadline
            if self._paused() or late:
                for one in await asyncio.to_thread(self.heard):
                    if one.what == what and one.start >= after and one.cut == cut:
                        return one
            if late:
                raise AssertionError(f"{what!r} was not heard within {within_s:g} s; heard: {self.story()}")
            await asyncio.sleep(_LOOK_S)

    def _paused(self) -> bool:
        """Whether something was said since this was last true, and now nothing is."""
        audio = self.call.ear.heard.audio()
        if not _loud(audio[self._read :]) or _loud(audio[-_PAUSE_BYTES:]):
            return False
        self._read = len(audio)
        return True

    def told(self, after: float = 0.0) -> str:
        """What was heard later than that, in words."""
        heard = [one for one in self.heard() if one.start >= after and (one.what == UNKNOWN or not one.cut)]
        words = ["ringing" if one.what == UNKNOWN else f"“{one.what}”" for one in heard]
        return ", ".join(word for place, word in enumerate(words) if word not in words[:place]) or "nothing"


def _loud(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm, "<i2")
    return bool(len(samples) and np.abs(samples.astype(np.int32)).max() > _LOUD)


class Office:
    """The stage of one form of transfer."""

    def __init__(self, stage: Stage, form: Form, phones: Mapping[str, SipPhone]) -> None:
        self.stage, self.form, self.phones = stage, form, phones

    async def caller(self, case: Case) -> Ear:
        """Somebody who has dialled this case's number, and heard the greeting."""
        call = await self.stage.phone.call(number_of(case))
        ear = Ear(call, frozenset(self.stage.phrases))
        self.stage.people.append(ear)
        await call.answered(15.0)
        await ear.hears(GREETING)
        return ear

    async def colleague(self, name: str) -> Ear:
        """Who has picked up this telephone."""
        call = await self.phones[name].incoming(20.0)
        await call.answered()
        return Ear(call, frozenset(self.stage.phrases))

    def destination(self, case: Case) -> str:
        name = who(self.form, case)
        place = _PEOPLE.index(name)
        if self.form == "trunk":
            return f"+3161234567{place}"
        if self.form == "uri":
            return f"sip:{name}@127.0.0.1:{self.phones[name].port}"
        return {"queue": "6", "group": "4"}.get(self.form, "2") + str(place)

    def settings(self) -> dict[str, Any]:
        """An assistant for each case, with one destination each."""
        numbers = [{"number": number_of(case), "name": case, "assistant": case} for case in CASES]
        if self.form == "trunk":
            numbers = [
                {**one, "transfer_trunk": who(self.form, case)} for one, case in zip(numbers, CASES, strict=True)
            ]
        uris = [f"sip:*@127.0.0.1:{phone.port}" for phone in self.phones.values()]
        return {
            "assistants": {case: self._assistant(case) for case in CASES},
            "numbers": numbers,
            "trunks": {name: {"endpoint": name} for name in _PEOPLE},
            "dialling": {"allow": ["2*", "4*", "6*", "+3161234567*", *uris]},
        }

    def _assistant(self, case: Case) -> dict[str, Any]:
        destination = {
            "type": "number",
            "number": self.destination(case),
            "description": "The workshop",
            "message": CONNECTING,
            "mode": "attended" if self.form == "attended" else "blind",
            "ring_timeout_seconds": 10 if case == "caller_gone" else RING_S,
        }
        usual = assistant()
        tools = [{"type": "transfer_call", "destinations": [destination]}]
        return {**usual, "llm_config": {**usual["llm_config"], "tools": tools}}


def model(request: dict[str, Any]) -> Answer:
    """The assistant's mind: puts everybody through, and says what became of it when they are back."""
    text = json.dumps(request["messages"][-2:])
    if (found := re.search(r"did not succeed: ([^\"]*)", text)) is not None:
        return Answer(next(phrase for word, phrase in BACK.items() if word in found[1]))
    if not request.get("tools"):
        return Answer("Jan was put through.")  # the summary afterwards
    schema = request["tools"][0]["function"]["parameters"]["properties"]
    arguments = {"destination": schema["destination"]["enum"][0]}
    if "summary" in schema:
        arguments["summary"] = SUMMARY
    return Answer(tools=(("transfer_call", json.dumps(arguments)),))


@asynccontextmanager
async def office(stage: Stage, form: Form) -> AsyncIterator[Office]:
    """Everybody at his telephone, and the daemon started."""
    async with AsyncExitStack() as stack:
        phones: dict[str, SipPhone] = {}
        for name, manner in MANNERS.items():
            phone = SipPhone(stage.asterisk.sip_address, user=name, manner=manner)
            phones[name] = await stack.enter_async_context(phone)
            if name != "absent":
                await phone.register()
        made = Office(stage, form, phones)
        stage.settings.update(made.settings())
        stage.phrases |= set(PHRASES)
        stage.openai.script = model
        stage.most_pooled = 4 * len(CASES)  # a model is asked twice at a time: what to say, and a summary
        await stage.daemon.start()
        await until_linked(stage.daemon)
        await stage.take_stock()
        yield made
        async with asyncio.timeout(10):
            while len((await stage.asterisk.cli("bridge show all")).splitlines()) > 1:  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.05)
