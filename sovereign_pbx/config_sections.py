"""The sections of the configuration, each key with its default, its range and one sentence.

The example file, the reference in docs and the JSON Schema are all drawn from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sovereign_pbx.assistants.dialling import PATTERN, DialRules
from sovereign_pbx.assistants.model import EVENTS
from sovereign_pbx.assistants.secret import NO_SECRET
from sovereign_pbx.assistants.shape import Choice, Flag, Real, Text, Url, Whole
from sovereign_pbx.assistants.table import Key, ListOf, MapOf, Table, section, setting

HOST = Text(1, 253, pattern=r"[A-Za-z0-9._:%\[\]-]+", what="a host name or address")
PORT = Whole(1, 65535)
FOLDER = Text(1, 4096, what="a path")
NETWORKS = ListOf(Text(1, 64, pattern=r"[0-9A-Fa-f.:/]+", what="an address or a network"), most=256)
DESTINATION_PATTERN = Text(
    1, 128, pattern=PATTERN, what='a number, or the beginning of one followed by "*", or sip:*@host'
)


class _Counts(MapOf):
    """Names, and a whole number for each."""

    def words(self) -> str:
        return f"a table of names, each with {self.value.words()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """The process itself."""

    name: str = setting(
        "",
        Text(0, 200),
        "Name of this installation, for those who ask the API; empty: the machine's host name.",
        example="Main office",
    )
    state_dir: str = setting(
        "/var/lib/sovereign-pbx",
        FOLDER,
        "Folder of everything the daemon writes: database, recordings, API-made assistants.",
    )
    drain_seconds: float = setting(
        30.0, Real(0, 3600), "How long calls may go on after a stop was asked for; then they return to the dialplan."
    )
    core_dumps: bool = setting(
        False, Flag(), "Let a crash leave an image of the memory behind, with the keys and the conversations in it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The REST API, health and metrics."""

    enabled: bool = setting(True, Flag(), "Listen at all.")
    host: str = setting(
        "127.0.0.1", HOST, "Address to listen on; beyond loopback, set a certificate or put a TLS proxy in front."
    )
    port: int = setting(8090, PORT, "TCP port.")
    public_url: str = setting(
        "",
        Url(empty=True),
        "Base URL under which others reach this daemon, for links in reports; empty: made of host and port.",
        example="https://pbx.example.com",
    )
    tls_certificate: str = setting(
        "",
        Text(0, 4096, what="a path"),
        "Certificate with its chain (PEM), read at the start and at every reload; empty: plain HTTP.",
        example="/etc/sovereign-pbx/tls.pem",
    )
    tls_key: str = setting(
        "",
        Text(0, 4096, what="a path"),
        "Its private key (PEM); empty: in the certificate's file.",
        example="/etc/tls.key",
    )
    requests_per_minute: int = setting(100, Whole(1, 1_000_000), "Requests that one API key may make in a minute.")
    commands_per_minute: int = setting(10, Whole(1, 1_000_000), "Control commands to one call in a minute.")
    limit_loopback: bool = setting(True, Flag(), "Count requests from this machine too.")
    max_body_bytes: int = setting(1_000_000, Whole(10_000, 100_000_000), "Larger request bodies are refused.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ami:
    """Asterisk's manager interface: hang-ups, digits, transfers, and what the dialplan does not tell."""

    host: str = setting("127.0.0.1", HOST, "Where Asterisk's manager listens.")
    port: int = setting(5038, PORT, "TCP port of the manager.")
    username: str = setting("sovereign", Text(1, 128), "Manager user (manager.conf).")
    secret: str = setting(
        NO_SECRET,
        Text(0, 512, secret=True),
        "Its secret; empty: the manager is not used.",
        example="${credential:ami-secret}",
    )
    timeout_seconds: float = setting(5.0, Real(0.5, 60), "How long an action may take.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agi:
    """FastAGI: the dialplan asks who answers, before the call is answered."""

    host: str = setting("127.0.0.1", HOST, "Address to listen on.")
    port: int = setting(4573, PORT, "TCP port.")
    decide_timeout_seconds: float = setting(
        8.0, Real(1, 60), "Longest time a caller rings before the decision: webhook, providers and greeting together."
    )
    header_timeout_seconds: float = setting(5.0, Real(0.5, 60), "How long a connection may take to say what it wants.")
    command_timeout_seconds: float = setting(2.0, Real(0.5, 60), "How long Asterisk may take to answer a command.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSocket:
    """AudioSocket: the sound of answered calls."""

    host: str = setting("127.0.0.1", HOST, "Address to listen on.")
    port: int = setting(9092, PORT, "TCP port.")
    handshake_timeout_seconds: float = setting(2.0, Real(0.1, 30), "How long a connection may take to name its call.")
    expect_seconds: float = setting(15.0, Real(1, 300), "How long after the decision the sound may take to arrive.")
    idle_timeout_seconds: float = setting(
        900.0, Real(5, 86400), "Silence on the wire after which a connection is dead."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskWebSocket:
    """chan_websocket: the sound of answered calls, where [asterisk] media is websocket."""

    host: str = setting("127.0.0.1", HOST, "Address to listen on.")
    port: int = setting(9093, PORT, "TCP port.")
    connection: str = setting(
        "sovereign",
        Text(1, 64, pattern=r"[A-Za-z0-9_-]+", what="a name of letters, digits, _ and -"),
        "What the connection is called in Asterisk's websocket_client.conf.",
    )
    username: str = setting("", Text(0, 128), "User that Asterisk must log in as; empty: none is asked.")
    password: str = setting(
        NO_SECRET, Text(0, 512, secret=True), "That user's password.", example="${credential:websocket-password}"
    )
    handshake_timeout_seconds: float = setting(
        2.0, Real(0.1, 30), "How long a connection may take to say which call it brings."
    )
    stalled_seconds: float = setting(
        10.0, Real(2, 300), "Asterisk is asked for its queue each second; so long without an answer, and it is dead."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asterisk:
    """The link to Asterisk."""

    enabled: bool = setting(True, Flag(), "Is there an Asterisk?")
    media: Literal["auto", "audiosocket", "sip", "websocket"] = setting(
        "auto",
        Choice(("auto", "audiosocket", "sip", "websocket")),
        "What brings the sound: AudioSocket, wideband where caller and Asterisk can (auto); AudioSocket at 8 kHz;"
        " the daemon's SIP endpoint, which [sip] must enable; or chan_websocket.",
    )
    sip_endpoint: str = setting(
        "sovereign",
        Text(1, 64, pattern=r"[A-Za-z0-9_.-]+", what="a name of letters, digits, _, - and ."),
        "PJSIP endpoint that reaches the daemon, where media is sip.",
    )
    advertise_host: str = setting(
        "",
        Text(0, 253),
        "Address under which Asterisk finds this machine, for the printed dialplan; empty: the listeners' own.",
    )
    permit: tuple[str, ...] = setting(
        (), NETWORKS, "Addresses that may connect to FastAGI and AudioSocket; empty: any that reach the ports."
    )
    max_connections: int = setting(512, Whole(1, 65535), "Connections of each kind at once; more are closed.")
    audit_seconds: float = setting(
        30.0,
        Real(0, 3600),
        "How often Asterisk's channels, the calls here and the call records are compared; 0: after a login only.",
    )
    ami: Ami = field(default_factory=Ami, metadata=section(Ami))
    agi: Agi = field(default_factory=Agi, metadata=section(Agi))
    audiosocket: AudioSocket = field(default_factory=AudioSocket, metadata=section(AudioSocket))
    websocket: AsteriskWebSocket = field(default_factory=AsteriskWebSocket, metadata=section(AsteriskWebSocket))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the machine takes on."""

    max_calls: int = setting(100, Whole(1, 10000), "Calls at once; what further callers get is over_limit.")
    max_calls_per_number: int = setting(
        0, Whole(0, 10000), "The same for each number that is dialled; 0: no limit of its own."
    )
    max_calls_per_assistant: int = setting(0, Whole(0, 10000), "The same for each assistant; 0: no limit of its own.")
    max_calls_per_trunk: int = setting(
        0,
        Whole(0, 10000),
        "The same for each trunk of [trunks], calls that come in on it included; 0: no limit of its own.",
    )
    per_provider: Mapping[str, int] = setting(
        {},
        _Counts(Whole(1, 10000)),
        'The same for a provider, or for one model of it written "provider/model": what a model on this machine can'
        " serve at once, or what an account with a vendor allows.",
        example={"ollama": 4, "openai/gpt-5.4": 50},
    )
    over_limit: Literal["fallback", "busy", "reject", "message"] = setting(
        "fallback",
        Choice(("fallback", "busy", "reject", "message")),
        "What a caller gets for whom there is no room: the dialplan's fallback, a busy tone (486), a rejection (503),"
        " or over_limit_message.",
    )
    over_limit_message: str = setting(
        "All our lines are busy at the moment. Please call again later.",
        Text(1, 1000),
        "What such a caller is told where over_limit is message, in the voice of the number's assistant.",
    )
    after_message: Literal["hangup", "fallback"] = setting(
        "hangup", Choice(("hangup", "fallback")), "What comes after that message."
    )
    max_messages: int = setting(
        10, Whole(0, 1000), "Callers who hear it at once, beside max_calls; further ones go to the dialplan's fallback."
    )
    max_lag_ms: float = setting(
        100.0,
        Real(0, 10000),
        "When the sound of calls comes later than this, 5 % of it for several seconds, new calls are refused until it"
        " is on time again; 0: never.",
    )
    max_memory_mb: int = setting(
        0, Whole(0, 10_000_000), "New calls are refused while the daemon holds more memory than this; 0: no limit."
    )
    min_free_memory_mb: int = setting(
        0, Whole(0, 10_000_000), "The same while the machine has less than this to give; 0: no limit."
    )
    max_call_seconds: int = setting(
        7200, Whole(10, 86400), "Longest call of an assistant that sets no max_duration_seconds."
    )
    speculation_per_call: int = setting(
        20,
        Whole(0, 1000),
        "Answers of one call that may be begun before the caller has finished and turn out useless; 0: none are begun.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The account's webhook: for assistants without their own, and for numbers without an assistant."""

    url: str = setting("", Url(empty=True), "Where events go; empty: nowhere.", example="https://example.com/sovereign")
    secret: str = setting(
        NO_SECRET,
        Text(0, 512, secret=True),
        "Signs what is sent there; empty: unsigned.",
        example="${credential:webhook-secret}",
    )
    events: tuple[str, ...] = setting(EVENTS, ListOf(Choice(EVENTS), most=16), "Events to send there.")
    dialect: Literal["snake", "camel"] = setting(
        "snake", Choice(("snake", "camel")), "Spelling of bodies; camel for receivers of the older generation."
    )
    request_timeout_seconds: float = setting(
        5.0, Real(0.5, 30), "What assistant-request may take while the caller hears ringing."
    )
    tool_timeout_seconds: float = setting(10.0, Real(0.5, 120), "What a tool may take.")
    delivery_timeout_seconds: float = setting(10.0, Real(0.5, 120), "What one delivery of an event may take.")
    retry_hours: float = setting(24.0, Real(0, 720), "How long a failed delivery is repeated.")
    keep_days: int = setting(
        30, Whole(0, 36500), "Days that delivered webhooks and dead letters stay to be looked at; 0: for ever."
    )
    allow_private: bool = setting(
        True,
        Flag(),
        "May webhooks, tools and MCP servers be on private addresses (this machine, the local network)? Usual beside a "
        "PBX; say no where webhook addresses come from people you do not trust.",
    )
    max_answer_bytes: int = setting(1_000_000, Whole(1000, 100_000_000), "Longer answers are refused.")
    user_agent: str = setting(
        "HMS-Sovereign/1.0",
        Text(1, 200, pattern=r"[\x20-\x7e]+", what="printable ASCII"),
        "How the daemon calls itself; receivers of the hosted platform may look for its name.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialling:
    """Where calls may be sent to, whoever asks: outbound calls, transfers and campaigns."""

    allow: tuple[str, ...] = setting(
        (),
        ListOf(DESTINATION_PATTERN, most=1000),
        'What may be dialled; "+31*" allows all that begin so, "sip:*@example.org" everybody there. Empty: nothing.',
        example=["+31*", "200"],
    )
    deny: tuple[str, ...] = setting(
        (), ListOf(DESTINATION_PATTERN, most=1000), "What may not, though allowed above.", example=["+31900*"]
    )
    do_not_call: tuple[str, ...] = setting(
        (),
        ListOf(Text(1, 4096, what="a path"), most=100),
        "Files of numbers that nobody calls, one in a line, beside the list of `sovereign-pbx do-not-call`; a changed"
        " file is read again.",
        example=["/etc/sovereign-pbx/do-not-call.txt"],
    )
    deny_premium: bool = setting(
        True, Flag(), "Deny numbers that cost extra (premium rate, shared cost, satellite) unless allowed in full."
    )
    country_code: str = setting(
        "",
        Text(0, 3, pattern=r"(?:[1-9][0-9]{0,2})?", what="a country code such as 31"),
        "Country whose numbers are dialled with a single 0 in front; deny and premium ranges are then known so, too.",
        example="31",
    )
    caller_id: str = setting(
        "",
        Text(0, 33, pattern=r"(?:\+?[0-9]{1,32})?", what="a number, digits only"),
        "Number shown to those called where the call has no number of its own; empty: the trunk's.",
        example="+31850835037",
    )
    ring_seconds: float = setting(30.0, Real(5, 300), "How long an outbound call rings before it is given up.")
    max_at_once: int = setting(10, Whole(1, 10000), "Outbound calls at once, those that ring included.")
    max_per_hour: int = setting(
        200, Whole(1, 1_000_000), "Outbound calls placed in any hour, counted since the daemon's start."
    )
    context: str = setting(
        "sovereign",
        Text(1, 60, pattern=r"[A-Za-z0-9_-]+", what="a name of letters, digits, - and _"),
        "Context of the printed dialplan, where it was printed with --context.",
    )

    @property
    def rules(self) -> DialRules:
        """What is allowed, as far as it is about destinations."""
        return DialRules(allow=self.allow, deny=self.deny, deny_premium=self.deny_premium, country=self.country_code)

    def permits(self, destination: str) -> bool:
        """May it be dialled?"""
        return self.rules.permits(destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """How callers are put through, whoever wants it; where to is the matter of [dialling]."""

    ring_seconds: float = setting(
        30.0, Real(3, 300), "How long it rings before the caller is back, where the transfer does not say."
    )
    caller_id: str = setting(
        "caller",
        Text(1, 33, pattern=r"caller|number|\+?[0-9]{1,32}", what='"caller", "number", or a number, digits only'),
        'What the person called is shown: "caller" the caller\'s own number, "number" the one he dialled, or a number.',
    )
    diversion: bool = setting(
        True, Flag(), "Tell the person called which number the caller had dialled (Diversion header, RFC 5806)."
    )
    music: str = setting(
        "",
        Text(0, 64, pattern=r"[A-Za-z0-9_-]*", what="a class of music on hold"),
        "Class of music on hold that the caller hears while it rings; empty: he hears it ring.",
        example="default",
    )
    after_answered: Literal["hangup", "fallback"] = setting(
        "hangup",
        Choice(("hangup", "fallback")),
        "What becomes of a caller whose colleague hangs up first: the call ends, or the dialplan's fallback takes him.",
    )
    max_per_call: int = setting(5, Whole(1, 15), "Attempts to put the same caller through, before no more are made.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaigns:
    """What all campaigns may do together; what a single one may is set with it, through the API."""

    max_at_once: int = setting(
        5,
        Whole(1, 10000),
        "Calls of campaigns at once; below [dialling] max_at_once the rest stays for outbound calls of other kinds.",
    )
    max_per_minute: int = setting(30, Whole(1, 10000), "Calls of campaigns begun within any 60 seconds.")
    timezone_of_number: bool = setting(
        True,
        Flag(),
        "Call a lead that has no time zone of its own within the window in each one that its number may be in; off: in"
        " the campaign's.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Recordings: stereo, the caller left, the assistant right."""

    enabled: bool = setting(False, Flag(), "Record calls. Tell the callers: most countries ask for it.")
    dir: str = setting("", Text(0, 4096, what="a path"), "Folder of recordings; empty: recordings in state_dir.")
    retention_days: int = setting(30, Whole(0, 36500), "Days until a recording is removed; 0: never.")
    link_days: float = setting(7.0, Real(0, 36500), "Days for which a report's recording_url works; 0: none is sent.")
    format: Literal["wav", "mp3", "opus", "flac"] = setting(
        "wav", Choice(("wav", "mp3", "opus", "flac")), "What recordings become after the call; all but wav by ffmpeg."
    )
    bitrate_kbps: int = setting(0, Whole(0, 320), "mp3, opus: kbit/s for both sides together; 0: enough for speech.")
    public_key: str = setting(
        "",
        Text(0, 2000),
        "Encrypt recordings for the owner of this age key, or of one of several; the daemon can't read them then.",
        example="age1wzs630hpg5gae6xnhknd9zkz9t4x9sqpchhsth8lksqd6yuazf6sg2se7m",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCall:
    """Summary and analysis, after the caller has gone."""

    summaries: bool = setting(
        True, Flag(), "Have a model sum calls up; off: the summary is made of the caller's own words."
    )
    provider: str = setting(
        "",
        Text(0, 64),
        "Language model for it; empty: the assistant's (OpenAI: its smaller one).",
        example="ollama",
    )
    model: str = setting("", Text(0, 200), "Its model; empty: the provider's default.", example="gpt-5.4-mini")
    timeout_seconds: float = setting(
        20.0, Real(1, 60), "What the summary may take, and the analysis with its repair; then the report goes without."
    )
    wait_seconds: float = setting(60.0, Real(0, 3600), "How long a call may wait for its turn.")
    at_once: int = setting(16, Whole(1, 1000), "Calls worked on at the same time; the others wait.")
    waiting: int = setting(256, Whole(0, 100_000), "Calls that may wait; further ones get a plain summary at once.")
    shutdown_seconds: float = setting(
        5.0, Real(0, 600), "What is left to it when the daemon ends; then reports go without."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The mail server by which end-of-call reports reach notification_email and notification_emails."""

    host: str = setting("", Text(0, 253), "Mail server; empty: no mail is sent.", example="mail.example.com")
    port: int = setting(587, PORT, "TCP port; usually 587 with starttls, 465 with tls, 25 with none.")
    security: Literal["starttls", "tls", "none"] = setting(
        "starttls",
        Choice(("starttls", "tls", "none")),
        "Encryption; with starttls a server that does not offer it gets nothing.",
    )
    ca_file: str = setting(
        "",
        Text(0, 4096, what="a path"),
        "Certificates (PEM) that the server's is checked against; empty: the system's.",
        example="/etc/ssl/own-ca.pem",
    )
    username: str = setting("", Text(0, 254), "Account there; empty: without logging in.", example="pbx@example.com")
    password: str = setting(
        NO_SECRET, Text(0, 1024, secret=True), "Its password.", example="${credential:mail-password}"
    )
    sender: str = setting(
        "",
        Text(0, 254, pattern=r"([^@\s]+@[^@\s]+)?", what="an e-mail address"),
        "Address that reports come from; needed.",
        aliases=("from",),
        example="pbx@example.com",
    )
    timeout_seconds: float = setting(30.0, Real(1, 300), "What one mail may take, connection and all.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long calls stay in the database; the API can set it too, and what is set there counts."""

    content_days: int = setting(
        0, Whole(0, 36500), "Days until transcript, summary, analysis and recording of a call are removed; 0: never."
    )
    metadata_days: int = setting(
        0, Whole(0, 36500), "Days until the caller's number and the events of a call are removed; 0: never."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Calls, transcripts and undelivered webhooks."""

    path: str = setting("", Text(0, 4096, what="a path"), "SQLite file; empty: sovereign.sqlite in state_dir.")
    synchronous: Literal["full", "normal"] = setting(
        "full", Choice(("full", "normal")), "full survives a power cut, normal only a crash of the daemon."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Logs, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = setting(
        "info", Choice(("debug", "info", "warning", "error")), "Least important lines that are written."
    )
    format: Literal["auto", "json", "console", "journald"] = setting(
        "auto",
        Choice(("auto", "json", "console", "journald")),
        "json for machines, console for people, journald for systemd; auto: by who reads it.",
    )


PROVIDER = Table(
    Key("api_key", Text(0, 4096, secret=True), "Key of the account there.", example="${env:OPENAI_API_KEY}"),
    Key(
        "base_url",
        Url(("http", "https", "ws", "wss")),
        "Address of the service, for self-hosted and compatible ones.",
        example="https://api.openai.com/v1",
    ),
    open=True,
)
"""`[providers.NAME]`; a vendor may have further keys."""
