"""FreeSWITCH: can its event socket be reached, is the version known, are modules, profile and dialplan there?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Literal
from xml.etree import ElementTree

from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Look, Result, failed, ok, skipped, warning
from sovereign_pbx.config_sip_parts import freeswitch_settings
from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.freeswitch.esl import Esl

TESTED: Final = ("1.10.12", "1.11.2")
OLDEST: Final = (1, 10)
CONNECT_S: Final = 5.0
# What the printed dialplan and the event socket's commands live on
MODULES: Final = ("mod_sofia", "mod_dptools", "mod_commands", "mod_dialplan_xml")
FOR_NUMBERS: Final = "mod_loopback"
FOR_G722: Final = "mod_spandsp"
FOR_FORK: Final = "mod_audio_fork"
NO_LOGIN: Final = "the event socket is not logged in to"


class _NoLogin(Exception):
    """Why there is none."""


def looks(patient: Patient) -> list[Look]:
    """None where the configuration has no FreeSWITCH."""
    if not patient.config.freeswitch.enabled:
        return []
    return [
        Look("freeswitch login", partial(login, patient)),
        Look("freeswitch modules", partial(modules, patient)),
        Look("freeswitch profile", partial(profile, patient)),
        Look("freeswitch dialplan", partial(dialplan, patient)),
    ]


async def login(patient: Patient) -> Result:
    """Log in as the daemon does, and ask for the version."""
    section = patient.config.freeswitch.esl
    place = f"{section.host}:{section.port}"
    if not section.password:
        remedy = "set [freeswitch.esl] password to that of autoload_configs/event_socket.conf.xml (docs/freeswitch.md)"
        return warning("[freeswitch.esl] has no password: no calls placed, callers put through by SIP alone", remedy)
    try:
        async with _logged_in(patient) as esl:
            version = await esl.version()
    except _NoLogin as exc:
        text, _, remedy = str(exc).partition("\n")
        remedy = (
            remedy.strip() or "is FreeSWITCH running, with mod_event_socket loaded, on [freeswitch.esl] host and port?"
        )
        return failed(f"{place}: {text}", remedy)
    facts = {"address": place, "version": version}
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(numbers) == 2 and numbers < OLDEST:
        return warning(f"logged in at {place}; FreeSWITCH {version} is older than any that was measured", "", **facts)
    tested = "" if version in TESTED else f" (this release was made for {' and '.join(TESTED)})"
    return ok(f"logged in at {place}: FreeSWITCH {version}{tested}", **facts)


async def modules(patient: Patient) -> Result:
    """Whether it has loaded what the dialplan and the commands need."""
    config = patient.config
    needed = [*MODULES, *([FOR_NUMBERS] if config.dialling.allow else [])]
    needed += [FOR_FORK] if config.freeswitch.media == "audio_fork" else []
    try:
        async with _logged_in(patient) as esl:
            absent = [name for name in needed if await esl.api("module_exists", name) == "false"]
            by_sip = config.freeswitch.media == "sip"
            g722 = by_sip and "G722" in config.sip.codecs and await esl.api("module_exists", FOR_G722) == "false"
    except _NoLogin:
        return skipped(NO_LOGIN)
    if absent:
        return failed(f"not loaded: {', '.join(absent)}", f"fs_cli -x 'load {absent[0]}', and in modules.conf.xml")
    if g722:
        return warning(f"G722 is offered, and {FOR_G722}, which has it, is not loaded", f"fs_cli -x 'load {FOR_G722}'")
    return ok(f"{', '.join(needed)} are loaded")


async def profile(patient: Patient) -> Result:
    """Whether the Sofia profile that the daemon is called on, and calls on, is there."""
    name = patient.config.freeswitch.profile
    try:
        async with _logged_in(patient) as esl:
            said = await esl.api("sofia", "status", "profile", name)
    except _NoLogin:
        return skipped(NO_LOGIN)
    if said.startswith("Invalid Profile"):
        remedy = "set [freeswitch] profile to one of `fs_cli -x 'sofia status'`, and print the dialplan again"
        return failed(f"FreeSWITCH has no Sofia profile {name}", remedy)
    if said.startswith("-"):
        return warning(f"the profile {name} could not be asked for: {said[:80]}")
    return ok(f"the Sofia profile {name} is there")


async def dialplan(patient: Patient) -> Result:
    """Has FreeSWITCH loaded what `sovereign-pbx dialplan freeswitch` prints, with our address?"""
    from sovereign_pbx.pbx.freeswitch.dialplan import render

    context, sip = patient.config.freeswitch.context, patient.config.sip
    try:
        async with _logged_in(patient) as esl:
            said = await esl.api("xml_locate", "dialplan", "context", "name", context)
    except _NoLogin:
        return skipped(NO_LOGIN)
    if patient.config.freeswitch.media != "sip":
        return await asyncio.to_thread(_parked, patient, said)
    loaded = _bridges(said)
    if not loaded:
        remedy = "sovereign-pbx dialplan freeswitch --help tells how to install it"
        return failed(f"FreeSWITCH has no context {context} that bridges calls here", remedy)
    print_again = "print it again with sovereign-pbx dialplan freeswitch, then fs_cli -x reloadxml"
    if not any(f":{sip.port}" in where for where in loaded):
        found = ", ".join(where.rpartition("@")[2] for where in loaded)
        return failed(f"it brings calls to {found}, and the daemon listens on port {sip.port}", print_again)
    printed = await asyncio.to_thread(
        render,
        context=context,
        profile=patient.config.freeswitch.profile,
        decide_s=sip.decide_timeout_seconds,
        codecs=sip.codecs,
    )
    wanted = {_without_address(where) for where in _bridges(_context(printed, context))}
    if {_without_address(where) for where in loaded} != wanted:
        return warning("it is not the one that this version prints for this configuration", print_again)
    return ok(f"loaded: context {context}, to {loaded[0].rpartition('@')[2]}")


def _parked(patient: Patient, said: str) -> Result:
    """Whether the context parks calls as `[freeswitch] media` needs it."""
    from sovereign_pbx.pbx.freeswitch.parked_dialplan import render

    section = patient.config.freeswitch
    loaded = _actions(said)
    if ("park", "") not in loaded:
        remedy = "sovereign-pbx dialplan freeswitch --help tells how to install it"
        return failed(f"FreeSWITCH has no context {section.context} that parks calls for the daemon", remedy)
    media: Literal["unicast", "audio_fork"] = "audio_fork" if section.media == "audio_fork" else "unicast"
    printed = render(context=section.context, decide_s=patient.config.sip.decide_timeout_seconds, media=media)
    wanted = _actions(_context(printed, section.context))
    if [one for one in loaded if one[0] != "transfer"] != [one for one in wanted if one[0] != "transfer"]:
        remedy = "print it again with sovereign-pbx dialplan freeswitch, then fs_cli -x reloadxml"
        return warning("it is not the one that this version prints for this configuration", remedy)
    return ok(f"loaded: context {section.context}, which parks for {media}")


def _actions(text: str) -> list[tuple[str, str]]:
    """Every action of a context with its data; none in what is no XML. A transfer is to the administrator's own."""
    try:
        found = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return []
    return [(one.get("application", ""), one.get("data", "")) for one in found.iter("action")]


def _bridges(text: str) -> list[str]:
    """The dial strings of a context; none in what is no XML."""
    try:
        found = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return []
    return [one.get("data", "") for one in found.iter("action") if one.get("application") == "bridge"]


def _context(text: str, name: str) -> str:
    found = next(one for one in ElementTree.fromstring(text) if one.get("name") == name)
    return ElementTree.tostring(found, encoding="unicode")


def _without_address(where: str) -> str:
    return where.rpartition("@")[0]


@asynccontextmanager
async def _logged_in(patient: Patient) -> AsyncIterator[Esl]:
    """A login of its own. Raises _NoLogin with a sentence, and a remedy in the lines after it."""
    settings = freeswitch_settings(patient.config)
    if not settings.password:
        raise _NoLogin("no password")
    esl = Esl(settings.host, settings.port, settings.password, user=settings.user, timing=settings.timing)
    done = asyncio.Event()
    esl.on_state(lambda connected: done.set())
    await esl.start()
    try:
        async with asyncio.timeout(CONNECT_S):
            while not (done.is_set() or esl.last_error):  # noqa: ASYNC110 - what went wrong is told by no event
                await asyncio.sleep(0.01)
        if not esl.connected:
            raise _NoLogin(esl.last_error)
        yield esl
    except TimeoutError as exc:
        raise _NoLogin(f"no answer within {CONNECT_S:g} s") from exc
    except (LinkEnded, BadInput) as exc:
        raise _NoLogin(str(exc)) from exc
    finally:
        await esl.stop()
