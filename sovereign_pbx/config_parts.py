"""The configuration as the parts of the daemon take it."""

import hashlib
import socket
from collections.abc import Callable, Iterable

from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.calls.admission import Limits
from sovereign_pbx.calls.campaign_leads import ZonesOf
from sovereign_pbx.calls.number_zones import no_zones, zones_of
from sovereign_pbx.calls.placing import OutboundLimits
from sovereign_pbx.calls.strain import StrainLimits
from sovereign_pbx.calls.transfer import TransferPolicy
from sovereign_pbx.config import Config
from sovereign_pbx.config_sip_checks import dialled_by_us
from sovereign_pbx.config_sound import possible_encryption, spoken_codecs
from sovereign_pbx.config_tls import sip_context_of
from sovereign_pbx.pbx.asterisk.ami import AmiTiming
from sovereign_pbx.pbx.asterisk.asterisk import AmiSettings, AsteriskSettings
from sovereign_pbx.pbx.freeswitch.control import FreeSwitchSettings
from sovereign_pbx.pbx.freeswitch.esl import EslTiming
from sovereign_pbx.pbx.freeswitch.parked_pbx import ParkedSettings
from sovereign_pbx.pbx.sip.outgoing import SipControlSettings
from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.pbx.sip.registration import Account
from sovereign_pbx.pbx.sip.sip_call import CallTerms
from sovereign_pbx.pbx.sip.sip_pbx import SipSettings
from sovereign_pbx.pbx.sip.sound import SoundSettings
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip_address import host_and_port


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
        timing=AmiTiming(connect_s=section.ami.timeout_seconds, action_s=section.ami.timeout_seconds),
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


def freeswitch_settings(config: Config) -> FreeSwitchSettings:
    """`[freeswitch]` as its control takes it."""
    section, esl = config.freeswitch, config.freeswitch.esl
    return FreeSwitchSettings(
        host=esl.host,
        port=esl.port,
        user=esl.user,
        password=esl.password,
        timing=EslTiming(connect_s=esl.timeout_seconds, command_s=esl.timeout_seconds),
        peers=section.peers,
        profile=section.profile,
        context=section.context,
        instance=instance_of(config),
        audit_s=section.audit_seconds,
    )


def parked_settings(config: Config) -> ParkedSettings:
    """`[freeswitch]` for its calls without SIP."""
    section = config.freeswitch
    return ParkedSettings(
        media="audio_fork" if section.media == "audio_fork" else "unicast",
        media_host=section.media_host,
        media_port=section.media_port,
        peers=section.peers,
        peer_host=section.esl.host,
        context=section.context,
        max_calls=config.sip.max_calls,
        terms=CallTerms(decide_s=config.sip.decide_timeout_seconds + 1.0),  # for a desk that hangs
    )


def sip_settings(config: Config) -> SipSettings:
    """`[sip]` as our endpoint takes it. Reads the certificate; raises ConfigError where it can't be used."""
    section = config.sip
    return SipSettings(
        host=section.host,
        port=section.port,
        transports=section.transports,
        advertise_host=section.advertise_host,
        permit=section.permit,
        username=section.username,
        password=section.password,
        tls=sip_context_of(config),
        max_calls=section.max_calls,
        sound=SoundSettings(
            codecs=spoken_codecs(section),
            srtp=possible_encryption(section),
            jitter_min_ms=section.jitter_min_ms,
            jitter_max_ms=section.jitter_max_ms,
            media_timeout_s=section.media_timeout_seconds,
            permit=section.permit,
        ),
        rtp_first_port=section.rtp_first_port,
        rtp_last_port=section.rtp_last_port,
        session_expires_s=section.session_expires_seconds,
        terms=CallTerms(decide_s=section.decide_timeout_seconds + 1.0, early=section.early_media),
        asterisk_endpoint=config.asterisk.sip_endpoint,
    )


def sip_control(config: Config, trunks: Callable[[], Iterable[Trunk]]) -> SipControlSettings:
    """Registrations, and the ways out over SIP: `trunks` gives every trunk there is, as they are now."""
    accounts = [
        Account(
            name=name,
            host=host,
            port=port,
            transport=one.transport,
            user=one.username,
            username=one.auth_username,
            password=one.password,
            expires_s=one.expires_seconds,
        )
        for name, one in config.registrations.items()
        for host, port in [host_and_port(one.server)]
    ]
    return SipControlSettings(
        trunks=lambda: {
            trunk.pbx_name: way
            for trunk in trunks()
            if trunk.is_active and dialled_by_us(config, trunk) and (way := _way_of(trunk)) is not None
        },
        accounts=accounts,
        transfer=config.sip.transfer,
    )


def _way_of(trunk: Trunk) -> Way | None:
    """None where the address is none: what the API made is not checked as the file is."""
    try:
        host, port = host_and_port(trunk.address)
    except Malformed:
        return None
    return Way(
        name=f"the trunk {trunk.name or trunk.pbx_name}",
        host=host,
        port=port,
        transport=trunk.transport,
        username=trunk.auth_username,
        password=trunk.auth_password,
    )


def instance_of(config: Config) -> str:
    """What channels placed by this installation are known by, after a restart too: another daemon on the same PBX, even
    one with the same configuration on another machine, has another one."""
    agi = config.asterisk.agi
    told = "\n".join((socket.gethostname(), str(config.state_dir), f"{agi.host}:{agi.port}"))
    return "i" + hashlib.sha256(told.encode()).hexdigest()[:10]
