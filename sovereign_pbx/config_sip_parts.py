"""The configuration as SIP and FreeSWITCH take it: of its own, so that a daemon without them does not load them."""

from collections.abc import Callable, Iterable

from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.config import Config
from sovereign_pbx.config_parts import instance_of
from sovereign_pbx.config_sip_checks import dialled_by_us
from sovereign_pbx.config_sound import possible_encryption, spoken_codecs
from sovereign_pbx.config_tls import sip_context_of
from sovereign_pbx.pbx.control_login import LoginTiming
from sovereign_pbx.pbx.freeswitch.control import FreeSwitchSettings
from sovereign_pbx.pbx.freeswitch.parked_pbx import ParkedSettings
from sovereign_pbx.pbx.sip.outgoing import SipControlSettings
from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.pbx.sip.registration import Account
from sovereign_pbx.pbx.sip.sip_call import CallTerms
from sovereign_pbx.pbx.sip.sip_pbx import SipSettings
from sovereign_pbx.pbx.sip.sound import SoundSettings
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip_address import host_and_port


def freeswitch_settings(config: Config) -> FreeSwitchSettings:
    """`[freeswitch]` as its control takes it."""
    section, esl = config.freeswitch, config.freeswitch.esl
    return FreeSwitchSettings(
        host=esl.host,
        port=esl.port,
        user=esl.user,
        password=esl.password,
        timing=LoginTiming(connect_s=esl.timeout_seconds, request_s=esl.timeout_seconds),
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
