"""What a configuration needs of the machine it is to run on: ports, folders, and providers that exist."""

import errno
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sovereign_pbx.assistants.problem import Path as KeyPath
from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.calls.do_not_call import read_file
from sovereign_pbx.config import Config
from sovereign_pbx.config_checks import tcp_listeners
from sovereign_pbx.config_findings import Finding, located
from sovereign_pbx.config_port_owner import owner_of
from sovereign_pbx.config_source import read_source
from sovereign_pbx.core.errors import ConfigError

_ACCOUNT = re.compile(r"\[providers\.([^\]]+)\]")


def port_findings(config: Config, file: Path) -> list[Finding]:
    """Addresses that can't be listened on. A daemon of ours that holds them already is no finding."""
    return _placed([problem for wanted in _sockets(config) if (problem := _try_port(*wanted))], file)


def _sockets(config: Config) -> Iterator[tuple[KeyPath, str, int, socket.SocketKind]]:
    """Every socket that the daemon will listen on."""
    for table, host, port in tcp_listeners(config):
        yield table, host, port, socket.SOCK_STREAM
    sip = config.sip
    if sip.enabled and "udp" in sip.transports:
        yield ("sip",), sip.host, sip.port, socket.SOCK_DGRAM
    if sip.enabled and "tls" in sip.transports:
        yield ("sip",), sip.host, sip.port + 1, socket.SOCK_STREAM


def folder_findings(config: Config, file: Path) -> list[Finding]:
    """Folders that are no folders, or that this user may not write to; lists of numbers that can't be read."""
    wanted: list[tuple[KeyPath, Path]] = [(("daemon", "state_dir"), config.state_dir)]
    if config.recordings is not None:
        wanted.append((("recording", "dir"), config.recordings))
    problems = [problem for key, folder in wanted if (problem := _try_folder(key, folder))]
    return _placed([*problems, *_unreadable_numbers(config)], file)


def provider_findings(config: Config, file: Path) -> list[Finding]:
    """Providers, models and settings that the speech room does not know. Nothing is connected to, no model loaded."""
    from sovereign_pbx.speech.catalogue import validate  # brings the vendors' modules in; only `check` needs it

    problems = []
    for name, assistant in config.assistants.items():
        blocks = {"stt": assistant.stt_config, "llm": assistant.llm_config, "tts": assistant.tts_config}
        if is_realtime(assistant.llm_config):  # it hears itself, and another voice is only for exact words
            blocks = {stage: block for stage, block in blocks.items() if stage == "llm" or _names_voice(stage, block)}
        for stage, block in blocks.items():
            path: KeyPath = ("assistants", name, f"{stage}_config")
            problem = _try_provider(path, validate, stage, block, config.accounts)
            problems += [problem] if problem else []
    return _placed(problems, file)


def _unreadable_numbers(config: Config) -> Iterator[Problem]:
    for index, name in enumerate(config.dialling.do_not_call):
        try:
            read_file(config.path.parent / name, config.dialling.country_code)
        except ConfigError as exc:
            yield Problem(("dialling", "do_not_call", index), f"{exc.file}: {exc.message}", exc.remedy)


def _names_voice(stage: str, block: Any) -> bool:
    return stage == "tts" and bool(block.get("provider"))


def _try_provider(path: KeyPath, validate: Any, stage: str, block: Any, providers: Any) -> Problem | None:
    plain = {key: value for key, value in block.items() if key not in ("messages", "tools")}
    try:
        validate(stage, plain, providers)
    except ConfigError as error:
        account = _ACCOUNT.match(error.message)  # what is wrong may stand in the provider's own table
        place: KeyPath = ("providers", account[1]) if account and account[1] in providers else path
        return Problem((*place, error.key) if error.key else place, error.message, error.remedy)
    except ImportError as error:
        provider = block.get("provider", "")
        remedy = "install sovereign-pbx with the extra of this provider (embedded, deepgram, elevenlabs)"
        return Problem((*path, "provider"), f'"{provider}" needs the package {error.name}', remedy)
    return None


def _placed(problems: list[Problem], file: Path) -> list[Finding]:
    if not problems:
        return []
    source = read_source(file)
    return located(problems, str(file), source.positions)


# --- folders


def _try_folder(key: KeyPath, folder: Path) -> Problem | None:
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if not existing.is_dir():
        return Problem(key, f"{existing} is not a folder")
    if os.access(existing, os.W_OK | os.X_OK):
        return None
    state = "may not be written to" if existing == folder else "does not exist, and can't be created,"
    return Problem(key, f"{folder} {state} by this user", "check as the daemon's user, or mend its rights", "warning")


# --- ports


def _try_port(table: KeyPath, host: str, port: int, kind: socket.SocketKind) -> Problem | None:
    try:
        addresses = socket.getaddrinfo(host.strip("[]"), port, type=kind, flags=socket.AI_PASSIVE)
    except OSError as exc:
        return Problem((*table, "host"), f"{host} is no address of this machine: {exc.strerror}")
    for family, _, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as probe:
                if kind is socket.SOCK_STREAM:  # an earlier connection that is not forgotten yet is no owner
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                if kind is socket.SOCK_STREAM:
                    probe.listen()
        except OSError as exc:
            return _why_not(table, host, port, kind, exc)
    return None


def _why_not(table: KeyPath, host: str, port: int, kind: socket.SocketKind, error: OSError) -> Problem | None:
    shown = f"port {port}" if kind is socket.SOCK_STREAM else f"UDP port {port}"
    if error.errno == errno.EADDRNOTAVAIL:
        return Problem((*table, "host"), f"{host} is no address of this machine")
    if error.errno != errno.EADDRINUSE:
        return Problem((*table, "port"), f"can't listen on {host}:{port}: {error.strerror}")
    owner = owner_of(port, kind=kind)
    if owner is None:
        remedy = "run check as root to see whose it is; if it is this daemon's, all is well"
        return Problem((*table, "port"), f"{shown} is taken by a process of another user", remedy, "warning")
    if owner.is_ours:
        return None
    return Problem((*table, "port"), f"{shown} is taken by {owner}", "stop that, or choose another port")
