"""The configuration as the parts of the daemon take it."""

import hashlib
import socket

from sovereign_pbx.calls.admission import Limits
from sovereign_pbx.calls.campaign_leads import ZonesOf
from sovereign_pbx.calls.number_zones import no_zones, zones_of
from sovereign_pbx.calls.placing import OutboundLimits
from sovereign_pbx.calls.strain import StrainLimits
from sovereign_pbx.calls.transfer import TransferPolicy
from sovereign_pbx.config import Config
from sovereign_pbx.pbx.asterisk.asterisk import AmiSettings, AsteriskSettings
from sovereign_pbx.pbx.control_login import LoginTiming


def zone_teller(config: Config) -> ZonesOf:
    """What tells the time zones of a lead's number."""
    return zones_of if config.campaigns.timezone_of_number else no_zones


def call_limits(config: Config) -> Limits:
    """`[limits]`, as far as it is about how many calls are taken."""
    section = config.limits
    return Limits(
        max_calls=section.max_calls,
        max_calls_per_number=section.max_calls_per_number,
        max_calls_per_assistant=section.max_calls_per_assistant,
        max_calls_per_trunk=section.max_calls_per_trunk,
        per_provider=section.per_provider,
        over_limit=section.over_limit,
        message=section.over_limit_message,
        after_message=section.after_message,
        max_messages=section.max_messages,
        decide_s=_decide_s(config),
    )


def _decide_s(config: Config) -> float:
    """How long the desk may take; each PBX has the time that it gives besides."""
    asterisk, sip = config.asterisk, config.sip
    if asterisk.enabled and not sip.enabled:
        return asterisk.agi.decide_timeout_seconds
    if sip.enabled and not asterisk.enabled:
        return sip.decide_timeout_seconds
    return max(asterisk.agi.decide_timeout_seconds, sip.decide_timeout_seconds)


def strain_limits(config: Config) -> StrainLimits:
    """`[limits]`, as far as it is about what the machine bears."""
    section = config.limits
    return StrainLimits(
        max_lag_ms=section.max_lag_ms,
        max_memory_mb=section.max_memory_mb,
        min_free_memory_mb=section.min_free_memory_mb,
    )


def transfer_policy(config: Config) -> TransferPolicy:
    """`[transfers]`."""
    section = config.transfers
    return TransferPolicy(
        ring_s=section.ring_seconds,
        caller_id=section.caller_id,
        diversion=section.diversion,
        music=section.music,
        after_answered=section.after_answered,
        max_per_call=section.max_per_call,
    )


def outbound_limits(config: Config) -> OutboundLimits:
    """`[dialling]`, as far as it is not about destinations."""
    section = config.dialling
    return OutboundLimits(
        caller_id=section.caller_id,
        ring_s=section.ring_seconds,
        max_at_once=section.max_at_once,
        max_per_hour=section.max_per_hour,
    )


def asterisk_settings(config: Config) -> AsteriskSettings:
    """`[asterisk]` as the link to it takes it."""
    section = config.asterisk
    ami = AmiSettings(
        host=section.ami.host,
        port=section.ami.port,
        username=section.ami.username,
        secret=section.ami.secret,
        timing=LoginTiming(connect_s=section.ami.timeout_seconds, request_s=section.ami.timeout_seconds),
    )
    return AsteriskSettings(
        agi_host=section.agi.host,
        agi_port=section.agi.port,
        audiosocket_host=section.audiosocket.host,
        audiosocket_port=section.audiosocket.port,
        media=section.media,
        websocket_host=section.websocket.host,
        websocket_port=section.websocket.port,
        websocket_connection=section.websocket.connection,
        websocket_username=section.websocket.username,
        websocket_password=section.websocket.password,
        websocket_handshake_timeout_s=section.websocket.handshake_timeout_seconds,
        websocket_stalled_s=section.websocket.stalled_seconds,
        ami=ami if section.ami.secret else None,
        context=config.dialling.context,
        instance=instance_of(config),
        audit_s=section.audit_seconds,
        permit=section.permit,
        max_calls=section.max_connections,
        agi_max_connections=section.max_connections,
        decide_timeout_s=section.agi.decide_timeout_seconds + 1.0,  # for a desk that hangs; the desk itself keeps time
        connect_within_s=section.audiosocket.expect_seconds,
        header_timeout_s=section.agi.header_timeout_seconds,
        command_timeout_s=section.agi.command_timeout_seconds,
        handshake_timeout_s=section.audiosocket.handshake_timeout_seconds,
        idle_timeout_s=section.audiosocket.idle_timeout_seconds,
    )


def instance_of(config: Config) -> str:
    """What channels placed by this installation are known by, after a restart too: another daemon on the same PBX, even
    one with the same configuration on another machine, has another one."""
    agi = config.asterisk.agi
    told = "\n".join((socket.gethostname(), str(config.state_dir), f"{agi.host}:{agi.port}"))
    return "i" + hashlib.sha256(told.encode()).hexdigest()[:10]
