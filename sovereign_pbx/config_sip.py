"""The sections of the configuration for everything that comes over SIP: our own endpoint, and FreeSWITCH.

Each key with its default, its range and one sentence, as in `config_sections`.
"""

from dataclasses import dataclass, field
from typing import Literal

from sovereign_pbx.assistants.secret import NO_SECRET
from sovereign_pbx.assistants.shape import Choice, Flag, Real, Text, Whole
from sovereign_pbx.assistants.table import ListOf, section, setting
from sovereign_pbx.config_sections import HOST, NETWORKS, PORT

TRANSPORTS = ("udp", "tcp", "tls")
CODECS = ("L16", "G722", "PCMU", "PCMA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The daemon as an extension of a PBX."""

    server: str = setting(
        "",
        Text(1, 253, pattern=r"[A-Za-z0-9._:\[\]-]+", what="a host, or host:port"),
        "The PBX to register with; host or host:port.",
        required=True,
        example="pbx.example.com",
    )
    username: str = setting(
        "",
        Text(1, 128, pattern=r"[A-Za-z0-9_.!~*'()&=+$,;?/%-]+", what="a user as in a SIP address"),
        "The extension.",
        required=True,
        example="800",
    )
    auth_username: str = setting(
        "", Text(0, 128), "User name of the password, where it is not the extension.", example="800-auth"
    )
    password: str = setting(NO_SECRET, Text(0, 512, secret=True), "Its password.", example="${credential:sip-800}")
    transport: Literal["udp", "tcp", "tls"] = setting("udp", Choice(TRANSPORTS), "Transport to the PBX.")
    expires_seconds: int = setting(
        300, Whole(30, 86400), "How long a registration is asked to hold; renewed well before."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sip:
    """The daemon's own SIP endpoint: for FreeSWITCH, for Asterisk by Dial(PJSIP/…), for every PBX that dials SIP."""

    enabled: bool = setting(False, Flag(), "Listen at all.")
    host: str = setting("127.0.0.1", HOST, "Address to listen on, for SIP and for the sound (RTP).")
    port: int = setting(5090, PORT, "UDP and TCP port; with TLS, the next one is for that.")
    transports: tuple[Literal["udp", "tcp", "tls"], ...] = setting(
        ("udp", "tcp"), ListOf(Choice(TRANSPORTS), least=1, most=3), "What to listen with."
    )
    advertise_host: str = setting(
        "",
        Text(0, 253),
        "Address under which the PBX reaches this machine, where host says all of them or is behind NAT.",
        example="192.0.2.10",
    )
    permit: tuple[str, ...] = setting(
        (),
        NETWORKS,
        "Addresses whose calls are taken, and sound from elsewhere than a call names; empty: of whoever reaches the "
        "ports, so firewall them.",
    )
    username: str = setting(
        "", Text(0, 128), "User that a call must prove to be (digest authentication); empty: none is asked."
    )
    password: str = setting(
        NO_SECRET, Text(0, 512, secret=True), "That user's password.", example="${credential:sip-password}"
    )
    tls_certificate: str = setting(
        "",
        Text(0, 4096, what="a path"),
        "Certificate with its chain (PEM), for tls.",
        example="/etc/sovereign-pbx/sip.pem",
    )
    tls_key: str = setting(
        "",
        Text(0, 4096, what="a path"),
        "Its private key (PEM); empty: in the certificate's file.",
        example="/etc/sovereign-pbx/sip.key",
    )
    srtp: Literal["off", "offered", "required"] = setting(
        "offered",
        Choice(("off", "offered", "required")),
        "Encrypted sound (SRTP with keys in SDP, RFC 4568): refused, taken where the PBX offers it, or insisted on.",
    )
    codecs: tuple[str, ...] = setting(
        CODECS, ListOf(Choice(CODECS), least=1, most=4), "Codecs, the best liked first; L16 and G722 are wideband."
    )
    rtp_first_port: int = setting(30000, Whole(1024, 65534), "First UDP port for the sound, an even number.")
    rtp_last_port: int = setting(31999, Whole(1025, 65535), "Last one; a call takes two.")
    jitter_min_ms: int = setting(20, Whole(20, 200), "Least that arriving sound is kept back to be even.")
    jitter_max_ms: int = setting(200, Whole(20, 500), "Most that it is kept back on a bad network.")
    media_timeout_seconds: float = setting(
        20.0, Real(2, 3600), "Sound that stays away so long, and no hold, means that the call is dead; 2 at least."
    )
    session_expires_seconds: int = setting(
        1800, Whole(0, 86400), "Session timer (RFC 4028) by which a call whose end got lost is noticed; 0: none."
    )
    decide_timeout_seconds: float = setting(
        8.0, Real(1, 60), "Longest time a caller rings before the decision: webhook, providers and greeting together."
    )
    early_media: bool = setting(
        True,
        Flag(),
        "Words of refusal are played before the answer (183), so nobody pays for them; off for a PBX that does not "
        "pass early media on.",
    )
    transfer: Literal["auto", "refer", "bridge"] = setting(
        "auto",
        Choice(("auto", "refer", "bridge")),
        "How callers are put through: given to the PBX (REFER), kept here with both parties' sound passed on, or as"
        " the PBX can.",
    )
    max_calls: int = setting(512, Whole(1, 65535), "SIP calls at once, those that ring included; more get 503.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Esl:
    """FreeSWITCH's event socket: calls placed, transfers, hang-up causes, reconciliation."""

    host: str = setting("127.0.0.1", HOST, "Where FreeSWITCH's event socket listens.")
    port: int = setting(8021, PORT, "TCP port.")
    user: str = setting("", Text(0, 128), "user@domain for a login with limited rights; empty: the socket's password.")
    password: str = setting(
        NO_SECRET,
        Text(0, 512, secret=True),
        "Password; empty: the event socket is not used.",
        example="${credential:esl-password}",
    )
    timeout_seconds: float = setting(5.0, Real(0.5, 60), "How long a command may take.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSwitch:
    """The link to FreeSWITCH; its calls come over [sip]."""

    enabled: bool = setting(False, Flag(), "Is there a FreeSWITCH?")
    peers: tuple[str, ...] = setting(
        ("127.0.0.1",), NETWORKS, "Addresses that its calls come from, by which they are told from other SIP calls."
    )
    profile: str = setting(
        "internal",
        Text(1, 64, pattern=r"[A-Za-z0-9_.-]+", what="a name of letters, digits, _, - and ."),
        "Sofia profile that calls are placed on where no gateway is named.",
    )
    context: str = setting(
        "sovereign",
        Text(1, 64, pattern=r"[A-Za-z0-9_.-]+", what="a name of letters, digits, _, - and ."),
        "First part of the names of the printed dialplan's contexts.",
    )
    audit_seconds: float = setting(
        30.0, Real(0, 3600), "How often FreeSWITCH's channels and the calls here are compared; 0: after a login only."
    )
    media: Literal["sip", "unicast", "audio_fork"] = setting(
        "sip",
        Choice(("sip", "unicast", "audio_fork")),
        "How the sound comes: over SIP and RTP; or, without SIP, by the socket's unicast or by mod_audio_fork.",
    )
    media_host: str = setting("127.0.0.1", HOST, "Address to listen on for unicast and audio_fork.")
    media_port: int = setting(9094, PORT, "TCP port of audio_fork's WebSocket.")
    esl: Esl = field(default_factory=Esl, metadata=section(Esl))
