"""What can bring the sound of this Asterisk's calls, what would do best, and whether it has what it is told to use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result, failed, ok, skipped, warning
from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.versions import has_wide_audiosocket, knows_its_websockets

NO_LOGIN: Final = "the manager interface is not logged in to"
_LOAD: Final = "asterisk -rx 'module load {}'"
_PRINT: Final = "sovereign-pbx dialplan link prints what is missing"
WORDS: Final = {
    "wide": "AudioSocket at 8 and 16 kHz",
    "narrow": "AudioSocket at 8 kHz",
    "sip": "SIP",
    "websocket": "chan_websocket",
}


@dataclass(frozen=True, slots=True)
class Means:
    """What an Asterisk has. `unloaded`: modules it says it has not loaded; `endpoint`: of PJSIP, for the daemon."""

    version: str
    unloaded: frozenset[str] = frozenset()
    endpoint: bool = False

    def lacks(self, *modules: str) -> list[str]:
        return [name for name in modules if name in self.unloaded]

    @property
    def possible(self) -> list[str]:
        """The links that it can bring, the best first: AudioSocket has no delay of its own and needs nothing set up."""
        found = []
        if not self.lacks("app_audiosocket.so", "res_audiosocket.so"):
            wide = has_wide_audiosocket(self.version) and not self.lacks("chan_audiosocket.so")
            found.append("wide" if wide else "narrow")
        if self.endpoint:
            found.append("sip")
        if not self.lacks("chan_websocket.so", "res_websocket_client.so") and knows_its_websockets(self.version):
            found.append("websocket")
        return found


MODULES: Final = (
    "app_audiosocket.so",
    "res_audiosocket.so",
    "chan_audiosocket.so",
    "chan_websocket.so",
    "res_websocket_client.so",
)


async def link(patient: Patient) -> Result:
    """Is the link that is configured there, and is there a better one?"""
    if patient.ami is None:
        return skipped(NO_LOGIN)
    section = patient.config.asterisk
    means = await means_of(patient.ami, section.sip_endpoint)
    return judged(section.media, section.sip_endpoint, means)


async def means_of(ami: Ami, endpoint: str) -> Means:
    """What this Asterisk has. What it does not say is taken for there. Raises LinkEnded, BadInput."""
    unloaded = [name for name in MODULES if await _value(ami, f"IFMODULE({name})") == "0"]
    codecs = await _value(ami, f"PJSIP_ENDPOINT({endpoint},allow)")
    return Means(await ami.version(), frozenset(unloaded), bool(codecs))


def judged(media: str, endpoint: str, means: Means) -> Result:
    """What is to be said of `[asterisk] media`."""
    possible = means.possible
    facts = {"media": media, "possible": possible, "best": possible[0] if possible else None}
    others = ", ".join(WORDS[one] for one in possible) or "nothing"
    if media == "sip" and "sip" not in possible:
        detail = f"PJSIP has no endpoint {endpoint}, so calls come by AudioSocket; possible: {others}"
        return _without(detail, possible, f"{_PRINT}; then pjsip reload", facts)
    if media == "websocket" and "websocket" not in possible:
        return _no_websocket(means, others, possible, facts)
    if media in ("auto", "audiosocket") and not {"wide", "narrow"} & {*possible}:
        missing = means.lacks("app_audiosocket.so", "res_audiosocket.so")
        remedy = _LOAD.format(missing[0]) + "; where there is none, [asterisk] media = sip"
        return failed(f"AudioSocket is not there ({', '.join(missing)}); possible: {others}", remedy, **facts)
    if media in ("sip", "websocket"):
        return ok(f"{WORDS[media]}; AudioSocket, which needs nothing set up, is there for when it fails", **facts)
    if "wide" in possible and media == "auto":
        return ok("AudioSocket, at 16 kHz for callers who speak wideband: the best there is", **facts)
    if "wide" in possible:
        return ok("AudioSocket at 8 kHz, as [asterisk] media says; auto would bring wideband as well", **facts)
    return ok(f"AudioSocket at 8 kHz; wideband: {_narrow_because(means)}", **facts)


def _no_websocket(means: Means, others: str, possible: list[str], facts: Mapping[str, Any]) -> Result:
    missing = means.lacks("chan_websocket.so", "res_websocket_client.so")
    if missing:
        detail = f"{', '.join(missing)} is not loaded, so calls come by AudioSocket; possible: {others}"
        return _without(detail, possible, f"{_LOAD.format(missing[0])}; {_PRINT}", facts)
    detail = f"the WebSockets of Asterisk {means.version} do not tell which call they are of"
    return warning(detail, "upgrade to 20.18, 22.8 or later, or take [asterisk] media = auto", **facts)


def _without(detail: str, possible: list[str], remedy: str, facts: Mapping[str, Any]) -> Result:
    """The configured link is not there: bad where AudioSocket is not, either."""
    result = warning if {"wide", "narrow"} & {*possible} else failed
    return result(detail, remedy, **facts)


def _narrow_because(means: Means) -> str:
    if not has_wide_audiosocket(means.version):
        return "Asterisk 20.17, 22.7 or later has it"
    return f"chan_audiosocket.so is not loaded ({_LOAD.format('chan_audiosocket.so')})"


async def _value(ami: Ami, function: str) -> str:
    """What a dialplan function says; "" where it is not loaded or may not be asked."""
    try:
        answer = await ami.action("Getvar", Variable=function)
    except (BadInput, LinkEnded):
        return ""
    return answer.get("Value") if answer.ok else ""
