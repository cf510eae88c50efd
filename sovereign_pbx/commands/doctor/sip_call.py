"""A test call over SIP: doctor is a telephone that calls the daemon's own endpoint, with no PBX between."""

import asyncio
from functools import partial
from typing import Final

from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.commands.doctor.call import GREETING_S, LOOK, dialled, some_number
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Look, Result, failed, ok, skipped, warning
from sovereign_pbx.commands.doctor.witness import own_address
from sovereign_pbx.config_sip import Sip
from sovereign_pbx.pbx.asterisk.peers import Peers
from sovereign_pbx.pbx.sip.transport import is_wildcard
from sovereign_pbx.testing.sip_call import CallFailed, SipCall
from sovereign_pbx.testing.sip_caller import SipPhone

NAME: Final = "doctor"
AFTER_DECISION_S: Final = 3.0
AFTER_RINGING_S: Final = 30.0
POLL_S: Final = 0.05

_PAYLOAD_TYPES: Final = {"PCMU": 0, "PCMA": 8}
_FALLBACK: Final = 41


def looks(patient: Patient, *, wanted: bool) -> list[Look]:
    """None where SIP is not listened for."""
    sip = patient.config.sip
    if not sip.enabled:
        return []
    return [
        Look(
            "sip call", partial(sip_call, patient) if wanted else _no_call, sip.decide_timeout_seconds + AFTER_RINGING_S
        )
    ]


async def sip_call(patient: Patient) -> Result:
    """Call, hear the greeting, hang up."""
    sip = patient.config.sip
    number = patient.number or some_number(patient.config)
    refusal = _why_not(patient, sip, number)
    if refusal is not None:
        return refusal
    host = "127.0.0.1" if is_wildcard(sip.host) else sip.host
    own = await own_address(host, sip.port)
    if not Peers(sip.permit, "sip.permit").admits((own, 0)):
        return skipped(f"[sip] permit does not name this machine ({own}), so its own calls are dropped as well")
    codecs = [_PAYLOAD_TYPES[name] for name in sip.codecs if name in _PAYLOAD_TYPES]
    async with SipPhone((host, sip.port), user=NAME, host=own, codecs=codecs) as phone:
        call = await phone.call(dialled(number))
        try:
            return await _taken(call, number, f"{host}:{sip.port}", sip, patient.config.directory)
        finally:
            await _leave(call)


async def _no_call() -> Result:
    return skipped("not wanted (--no-call)")


def _why_not(patient: Patient, sip: Sip, number: str) -> Result | None:
    """What keeps doctor's simple telephone from calling."""
    if patient.daemon is None:
        return skipped("the daemon does not run, or can't be asked")
    if "udp" not in sip.transports:
        return skipped("it would call over UDP, and [sip] transports has none")
    if sip.username:
        return skipped("calls must prove a password, which doctor's telephone can't")
    if sip.srtp == "required" or not set(sip.codecs) & set(_PAYLOAD_TYPES):
        return skipped("doctor's telephone speaks G.711 in the clear, which [sip] does not take")
    if not number:
        return skipped("no number leads to an assistant", "add [[numbers]], or name a number with --number")
    return None


async def _taken(call: SipCall, number: str, where: str, sip: Sip, directory: Directory) -> Result:
    try:
        await call.answered(sip.decide_timeout_seconds + AFTER_DECISION_S)
    except CallFailed:
        return _untaken(call, number, where)
    assert call.answered_at is not None
    answer_ms = round((call.answered_at - call.invited_at) * 1000)
    said = f"{number} answered after {answer_ms} ms"
    _, assistant = directory.find(number)
    if assistant is not None and not assistant.first_message:
        return ok(said, number=number, answer_ms=answer_ms)
    greeting_ms = await _greeting_ms(call)
    facts = {"number": number, "answer_ms": answer_ms, "greeting_ms": greeting_ms, "lost": call.ear.sequence_gaps()}
    if greeting_ms is None:
        packets = "no packet came: a firewall between the RTP ports?" if not call.ear.packets else "only silence came"
        return failed(f"{said}, and no greeting was heard ({packets})", LOOK, **facts)
    said += f", greeting {greeting_ms} ms later"
    if facts["lost"]:
        return warning(f"{said}, {facts['lost']} packets lost", "look at the load of this machine", **facts)
    return ok(said, **facts)


def _untaken(call: SipCall, number: str, where: str) -> Result:
    facts = {"number": number, "statuses": [one.status for one in call.responses]}
    if not call.responses:
        remedy = f"another program may hold UDP port {where.rpartition(':')[2]}, or a firewall drop it"
        return failed(f"nothing answers on {where} over UDP", remedy, **facts)
    if call.end is None:
        return failed(f"{number} rang, and was neither answered nor refused", LOOK, **facts)
    if call.early.is_set():
        return warning(f"{number} was refused with words", "as a webhook or [limits] over_limit says", **facts)
    if call.end.cause == _FALLBACK:
        return failed(f"{number} is sent to the fallback", LOOK, **facts)
    return failed(f"{number} is refused: {call.responses[-1].message.start}", LOOK, **facts)


async def _greeting_ms(call: SipCall) -> int | None:
    """When the first sound came; None for none in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GREETING_S
    while loop.time() < until:
        sounds = call.ear.heard.sounds()
        if sounds and call.answered_at is not None:
            return max(0, round((sounds[0].start - call.answered_at) * 1000))
        await asyncio.sleep(POLL_S)
    return None


async def _leave(call: SipCall) -> None:
    try:
        if call.answered_at is not None:
            await call.hang_up()
        elif call.end is None and call.responses:
            await call.cancel()
    except (CallFailed, TimeoutError):
        return  # what there is to say has been said
