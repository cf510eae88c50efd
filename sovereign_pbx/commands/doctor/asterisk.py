"""The PBX: can it be reached, does the login suffice, is the version known, is the dialplan the right one?"""

import asyncio
from typing import Final

from sovereign_pbx.commands.dialplan import address
from sovereign_pbx.commands.doctor.loaded_dialplan import Loaded
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result, failed, ok, skipped, warning
from sovereign_pbx.config_checks import is_loopback
from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.asterisk.ami import NEEDED_ACTIONS, Ami
from sovereign_pbx.pbx.asterisk.ami_connection import AmiConnection
from sovereign_pbx.pbx.asterisk.dialplan import render
from sovereign_pbx.pbx.asterisk.versions import OLDEST_MAJOR, audiosocket_faults, package_faults, parse_version
from sovereign_pbx.pbx.control_login import LoginRefused
from sovereign_pbx.wire.ami import MAX_BLOCK_BYTES

NO_LOGIN: Final = "the manager interface is not logged in to"
TESTED: Final = (22, 10)
MODULES: Final = ("res_agi.so", "app_exec.so", "app_stack.so")

# The class of rights in manager.conf that permits an action (Asterisk 22.10, `manager show command NAME`).
CLASS_OF: Final = {
    "Hangup": "call",
    "PlayDTMF": "call",
    "Redirect": "call",
    "CoreShowChannels": "reporting",
    "CoreSettings": "reporting",
    "ShowDialPlan": "reporting",
    "Originate": "originate",
}
# Which class an action stands for that nothing here needs; the other classes (log, verbose, agent, cdr, dialplan, cc,
# security, test) permit no action of their own, so that whether they are granted can't be asked (22.10, each tried).
OWNS_THE_MACHINE: Final = {"Command": "command", "UpdateConfig": "config", "ModuleLoad": "system", "AGI": "agi"}
NOT_NEEDED: Final = {"UserEvent": "user", "MessageSend": "message", "AOCMessage": "aoc"}
# What does not work without an action
FOR: Final = {
    "Hangup": "hanging up with a cause",
    "PlayDTMF": "sending tones",
    "Redirect": "giving callers back who were lost",
    "CoreShowChannels": "finding out which calls there are after a disturbance",
    "CoreSettings": "knowing Asterisk's version",
}

CONNECT_S: Final = 5.0


async def login(patient: Patient) -> Result:
    """Connect and log in, as the daemon does."""
    section = patient.config.asterisk
    ami, place = section.ami, f"{section.ami.host}:{section.ami.port}"
    if not ami.secret:
        remedy = "set [asterisk.ami] secret to that of a user in manager.conf (docs/asterisk.md, The AMI user)"
        return warning("[asterisk.ami] has no secret: no hold, no tones, no hang-up with a cause", remedy)
    try:
        await _log_in_once(ami.host, ami.port, ami.username, ami.secret)
    except LoginRefused as exc:
        return failed(exc.message, exc.remedy)
    except TimeoutError:
        return failed(f"{place} does not answer within {CONNECT_S:g} s", "is a firewall between this machine and it?")
    except BadInput as exc:
        return failed(f"what answers on {place} is no manager interface: {exc}", "correct [asterisk.ami] port")
    except LinkEnded as exc:
        return failed(f"{place} ended the connection: {exc}", "see permit and deny of the user in manager.conf")
    except OSError as exc:
        remedy = "is Asterisk running, with `enabled = yes` in manager.conf, on [asterisk.ami] host and port?"
        return failed(f"nobody answers on {place}: {exc.strerror or exc}", remedy)
    patient.ami = await _stay(ami.host, ami.port, ami.username, ami.secret)
    return ok(f"logged in at {place} as {ami.username}", address=place)


async def rights(patient: Patient) -> Result:
    """Which actions the login may use, against those the daemon needs."""
    if patient.ami is None:
        return skipped(NO_LOGIN)
    found = await patient.ami.rights()
    patient.ami_actions = found.actions
    granted = sorted({kind for action, kind in CLASS_OF.items() if action in found.actions})
    needed = sorted({CLASS_OF[action] for action in NEEDED_ACTIONS if action in CLASS_OF})
    missing = sorted({CLASS_OF.get(action, action) for action in found.missing})
    user = patient.config.asterisk.ami.username
    facts = {"granted": granted, "missing_actions": [*found.missing]}
    line = f"in manager.conf, [{user}]: write = {','.join(sorted({*granted, *needed}))}; then manager reload"
    if missing:
        lost = "; ".join(FOR[action] for action in found.missing if action in FOR)
        detail = f"write lacks {', '.join(missing)} (for {', '.join(found.missing)}); what will not work: {lost}"
        return failed(detail, line, **facts)
    if too_much := _too_much(user, found.actions):
        return warning(too_much, line, **facts)
    if patient.config.dialling.allow and "Originate" not in found.actions:
        wanted = ",".join(sorted({*granted, *needed, "originate"}))
        remedy = f"in manager.conf, [{user}]: write = {wanted}; then manager reload"
        return warning("[dialling] allows calls, and the manager user may not place any", remedy, **facts)
    return ok(f"write = {','.join(granted)} suffices", **facts)


def _too_much(user: str, actions: frozenset[str]) -> str:
    """What the login may do beyond its need, the worst first; "" for nothing."""
    dangerous = sorted(kind for action, kind in OWNS_THE_MACHINE.items() if action in actions)
    if dangerous:
        return f"{user} may also use {', '.join(dangerous)}: whoever steals its secret owns the machine"
    needless = sorted(kind for action, kind in NOT_NEEDED.items() if action in actions)
    return f"{user} may also use {', '.join(needless)}, which nothing here needs" if needless else ""


async def version(patient: Patient) -> Result:
    """What is known to be wrong with this Asterisk, and whether it has loaded what the dialplan uses."""
    if patient.ami is None:
        return skipped(NO_LOGIN)
    text = await patient.ami.version()
    parsed = parse_version(text)
    if parsed is None:
        return warning(f"Asterisk does not say its version ({text!r})", "grant reporting to the manager user")
    shown = text.partition("+")[0].partition("~")[0]
    by_audiosocket = patient.config.asterisk.media in ("auto", "audiosocket")
    faults = audiosocket_faults(text) if by_audiosocket else []
    packaged = package_faults(text)
    facts = {"version": text, "faults": faults + packaged}
    if parsed[0] < OLDEST_MAJOR and faults:
        return failed(faults[0], "upgrade Asterisk", **facts)
    absent = [name for name in MODULES if await _ask(patient.ami, f"IFMODULE({name})") == "0"]
    if absent:
        return failed(f"{shown} has not loaded {', '.join(absent)}", f"asterisk -rx 'module load {absent[0]}'", **facts)
    tested = "" if parsed == TESTED else f" (this release was tested on {TESTED[0]}.{TESTED[1]})"
    if not faults:
        return ok("; ".join((f"{shown}, no known fault of AudioSocket{tested}", *packaged)), **facts)
    if is_loopback(patient.config.asterisk.audiosocket.host):
        return ok(f"{shown}{tested}; {' '.join((faults[0], *packaged))}", **facts)
    return warning(f"{shown}{tested}; {' '.join(faults + packaged)}", "upgrade Asterisk", **facts)


async def dialplan(patient: Patient) -> Result:
    """Has Asterisk loaded what `sovereign-pbx dialplan` prints, with our addresses, and a fallback behind it?"""
    ami, context = patient.ami, patient.context
    if ami is None:
        return skipped(NO_LOGIN)
    if "ShowDialPlan" not in patient.ami_actions:
        return skipped("ShowDialPlan is not permitted", "grant reporting to the manager user")
    loaded = await Loaded.of(ami, f"{context}-inbound")
    if loaded is None:
        remedy = "sovereign-pbx dialplan asterisk --help tells how to install it; --context names another context"
        return failed(f"Asterisk has no context {context}-inbound", remedy)
    patient.dialplan_loaded = True
    print_again = "print it again with sovereign-pbx dialplan asterisk, then dialplan reload"
    wrong = _wrong_addresses(patient, loaded)
    facts = {"agi": loaded.agi, "audiosocket": loaded.audiosocket, "fallback": loaded.fallback}
    if wrong:
        return failed("; ".join(wrong), print_again, **facts)
    if not await asyncio.to_thread(loaded.is_of, render, context):
        return warning("it is not the one that this version prints", print_again, **facts)
    if patient.config.dialling.allow and (lacking := await _lacks_outbound(patient, ami, loaded.agi)):
        return warning(lacking, print_again, **facts)
    if not await _has_fallback(ami, context, loaded.fallback):
        remedy = f"write a context [{context}-fallback] of your own, as in docs/asterisk.md"
        return warning("you have no fallback: when the daemon is down, callers get an error tone", remedy, **facts)
    return ok(f"loaded, for {loaded.agi} and {loaded.audiosocket}; fallback {loaded.fallback}", **facts)


def _wrong_addresses(patient: Patient, loaded: Loaded) -> list[str]:
    """Addresses in the dialplan that are not the configuration's. A name for the same machine is not wrong."""
    section = patient.config.asterisk
    wrong = []
    for name, found, listener in (
        ("agi", loaded.agi, section.agi),
        ("audiosocket", loaded.audiosocket, section.audiosocket),
    ):
        if found.rpartition(":")[2] != str(listener.port):
            wrong.append(f"it asks {name} at {found}, and the daemon listens on port {listener.port}")
        elif is_loopback(listener.host) and not is_loopback(found.rpartition(":")[0]):
            wanted = address(listener.host, listener.port)
            wrong.append(f"it asks {name} at {found}, and the daemon listens on {wanted} only")
    return wrong


async def _lacks_outbound(patient: Patient, ami: Ami, agi: str) -> str:
    """Why no call can be placed through this dialplan; "" when it can."""
    context = f"{patient.config.dialling.context}-outbound"
    outbound = await Loaded.of(ami, context)
    if outbound is None:
        return f"[dialling] allows calls, and Asterisk has no context {context} to place them through"
    return "" if outbound.tells_of_answers(agi) else f"the context {context} does not ask the daemon at {agi}"


async def _has_fallback(ami: Ami, context: str, fallback: str) -> bool:
    """A fallback of the administrator's own, not the error tone that we ship behind it."""
    if fallback.partition(",")[0] == f"{context}-fallback":
        own = await Loaded.of(ami, f"{context}-fallback")
        return own is not None and bool(own.steps)
    return await _ask(ami, f"DIALPLAN_EXISTS({fallback})") != "0"


async def _ask(ami: Ami, function: str) -> str:
    """What a dialplan function says; "" where it is not loaded or may not be asked."""
    answer = await ami.action("Getvar", Variable=function)
    return answer.get("Value") if answer.ok else ""


async def _log_in_once(host: str, port: int, username: str, secret: str) -> None:
    """One attempt whose error says what was wrong. `Ami` would try again by itself, and tell its log."""
    async with asyncio.timeout(CONNECT_S):
        reader, writer = await asyncio.open_connection(host, port, limit=MAX_BLOCK_BYTES)
    connection = AmiConnection(reader, writer, lambda message: None)
    try:
        async with asyncio.timeout(CONNECT_S):
            await connection.greet()
        reading = asyncio.ensure_future(connection.read())
        logging_in = asyncio.ensure_future(connection.login(username, secret, "off", CONNECT_S))
        try:
            await asyncio.wait({reading, logging_in}, return_when=asyncio.FIRST_COMPLETED)
            await (logging_in if logging_in.done() else reading)
        finally:
            for task in (reading, logging_in):
                task.cancel()
            await asyncio.gather(reading, logging_in, return_exceptions=True)
    finally:
        connection.end(LinkEnded("looked at"))
        await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        pass  # an aborted connection may say so


async def _stay(host: str, port: int, username: str, secret: str) -> Ami:
    """A login for the looks to come, with the events of calls."""
    ami = Ami(host, port, username, secret)
    logged_in = asyncio.Event()
    ami.on_state(lambda connected: logged_in.set() if connected else None)
    await ami.start()
    try:
        async with asyncio.timeout(CONNECT_S):
            await logged_in.wait()
    except BaseException:
        await ami.stop()
        raise
    return ami
