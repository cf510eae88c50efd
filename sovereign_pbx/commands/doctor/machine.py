"""This machine: the file, the model files, the folders, the ports."""

import asyncio
import shutil
import socket
from collections.abc import Iterator
from typing import Final

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result, failed, ok, warning
from sovereign_pbx.config_checks import tcp_listeners
from sovereign_pbx.config_findings import Finding
from sovereign_pbx.config_host import folder_findings, port_findings, provider_findings
from sovereign_pbx.config_port_owner import owner_of
from sovereign_pbx.config_recording import recording_findings
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech import models
from sovereign_pbx.speech.stt.whisper_engine import SHIPPED as SHIPPED_WHISPERS

LITTLE_SPACE: Final = 1 << 30
WHOSE_CACHE: Final = "for the service with XDG_CACHE_HOME=/var/cache/sovereign-pbx, as in its unit"
NO_SPACE: Final = 100 << 20
RECORDED_BYTES_A_SECOND: Final = 8000 * 2 * 2  # 16 bits, stereo

# Without these the daemon runs, and hears worse: an energy detector, and pauses alone for the end of a turn.
EVERYBODY: Final = ("silero-vad", "smart-turn")


async def configuration(patient: Patient) -> Result:
    """What `check` says about the file and the providers in it."""
    examined = patient.examined
    known = await asyncio.to_thread(provider_findings, patient.config, examined.path)
    known += await asyncio.to_thread(recording_findings, patient.config, examined.path)
    return of_findings([*examined.findings, *known], f"{examined.path}: no errors, no warnings", "sovereign-pbx check")


def of_findings(findings: list[Finding], well: str, command: str) -> Result:
    """One result for several findings: the worst, and how many more."""
    if not findings:
        return ok(well)
    ordered = sorted(findings, key=lambda finding: finding.severity != "error")
    first, more = ordered[0], len(findings) - 1
    place = ":".join(str(part) for part in (first.file, first.line) if part)
    tail = f" (and {more} more: `{command}` lists them)" if more else ""
    result = failed if first.severity == "error" else warning
    facts = [finding.as_dict() for finding in ordered]
    return result(f"{place}: {first.message}{tail}" if place else first.message + tail, first.remedy, findings=facts)


async def model_files(patient: Patient) -> Result:
    """The files that the embedded engines open, as far as the assistants need them."""
    needed = dict.fromkeys(EVERYBODY, "warning")
    for assistant in patient.config.assistants.values():
        needed |= dict.fromkeys(_models_of(assistant), "failed")
    missing = await asyncio.to_thread(_missing, list(needed))
    folder = str(models.cache_folder())
    if not missing:
        return ok(f"{', '.join(needed)} in {folder}", present=[*needed])
    says = (patient.daemon or {}).get("checks", {}).get("models", {})
    if says.get("status") == "ok" and not set(missing) - set(EVERYBODY):
        return ok(f"the daemon has them; not in {folder}, which is this user's", present=[])
    fatal = any(needed[name] == "failed" for name in missing)
    remedy = f"run: sovereign-pbx models fetch {' '.join(missing)} ({WHOSE_CACHE})"
    detail = "; ".join(missing.values())
    return (failed if fatal else warning)(detail, remedy, missing=[*missing])


def _models_of(assistant: Assistant) -> Iterator[str]:
    for block in blocks_of(assistant.stt_config):
        if block.get("provider") == "whisper":
            whisper = SHIPPED_WHISPERS.get(str(block.get("model", "tiny.en")))
            yield from [whisper] if whisper else []
    for block in blocks_of(assistant.llm_config):
        if block.get("provider") == "local":
            yield from _local_model(block)


def _local_model(block: dict[str, object]) -> Iterator[str]:
    from sovereign_pbx.speech.llm.local import SHIPPED  # brings in what only this engine needs

    if block.get("model", SHIPPED) == SHIPPED:
        yield SHIPPED


def blocks_of(config: object) -> list[dict[str, object]]:
    """A provider block and its fallbacks, each alone, in their order."""
    block = dict(config) if isinstance(config, dict) else {}
    fallbacks = block.pop("fallbacks", None) or ()
    block.pop("switch_after_s", None)
    return [block, *(dict(spare) for spare in fallbacks)] if block else []


def _missing(names: list[str]) -> dict[str, str]:
    """Why not, by name."""
    found = {}
    for name in names:
        try:
            models.locate(name)
        except ConfigError as exc:
            found[name] = exc.message
    return found


async def disk(patient: Patient) -> Result:
    """May this user write where the daemon writes, and is there room?"""
    return await asyncio.to_thread(_disk, patient)


def _disk(patient: Patient) -> Result:
    config = patient.config
    findings = folder_findings(config, patient.examined.path)
    if findings:
        return of_findings(findings, "", "sovereign-pbx check")
    folder = config.recordings or config.state_dir
    usage = shutil.disk_usage(next(parent for parent in (folder, *folder.parents) if parent.exists()))
    detail = f"{config.state_dir} is writable, {_megabytes(usage.free)} free"
    if config.recordings is not None:
        hours = usage.free / RECORDED_BYTES_A_SECOND / 3600
        detail += f" ({hours:,.0f} hours of recordings)"
    facts = {"free_bytes": usage.free, "state_dir": str(config.state_dir)}
    if usage.free < NO_SPACE:
        return failed(detail, "free space: calls go on with a full disk, but nothing of them is kept", **facts)
    return (
        warning(detail, "free space before it runs out", **facts) if usage.free < LITTLE_SPACE else ok(detail, **facts)
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


async def ports(patient: Patient) -> Result:
    """Free before the daemon starts, its own afterwards."""
    return await asyncio.to_thread(_ports, patient)


def _ports(patient: Patient) -> Result:
    config = patient.config
    places = [(".".join(map(str, table)), host, port) for table, host, port in tcp_listeners(config)]
    shown = ", ".join(f"{name} {port}" for name, _, port in places)
    if patient.daemon is None:
        return of_findings(port_findings(config, patient.examined.path), f"free: {shown}", "sovereign-pbx check")
    strange = _held_by_others(config.http.port, [port for _, _, port in places])
    if strange:
        return failed(f"held by others: {', '.join(strange)}", "stop them, or choose other ports")
    idle = [name for name, host, port in places if _is_free(host, port)]
    if idle:
        detail = f"the daemon runs, but nobody listens on the port of {', '.join(idle)}"
        return failed(detail, "restart the daemon: its configuration is older than the file")
    return ok(f"held by the daemon: {shown}")


def _held_by_others(http_port: int, ports: list[int]) -> list[str]:
    """Processes, as far as this user may know them, that are not the one that answers for the daemon by HTTP."""
    owners = {port: owner_of(port) for port in ports}
    ours = owners.get(http_port)
    return [
        f"{port} by {owner}"
        for port, owner in owners.items()
        if owner is not None and not owner.is_ours and (ours is None or owner.pid != ours.pid)
    ]


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.create_server((host.strip("[]"), port), family=_family(host)):
            return True
    except OSError:
        return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
