"""The nested blocks of an assistant: names, ranges and defaults of contract §4.2 to §4.5, §11 and §12.

Provider blocks are open, since every vendor has settings of its own; everything else is closed, so that a
misspelt key is found. Whether a provider knows a model or a voice is the business of `speech/`.
"""

from sovereign_pbx.assistants.realtime import ALIASES
from sovereign_pbx.assistants.shape import Choice, Flag, Nullable, Opaque, Real, Text, Url, Whole
from sovereign_pbx.assistants.table import ANY, Key, ListOf, Table

PHRASE = Text(0, 300)
SECONDS_OR_OFF = Nullable(Real(0.2, 5))

TURN_TAKING = Table(
    Key("endpointing_min_delay", Real(0.1, 5), "Seconds of silence after a sentence that sounds complete.", 0.4),
    Key("endpointing_max_delay", Real(0.1, 5), "Seconds of silence after which a turn ends in any case.", 2.0),
    Key("interruption_min_duration", Real(0.05, 2), "Seconds the caller must speak to interrupt.", 0.3),
    Key("interruption_min_words", Whole(0, 10), "Words the caller must say to interrupt; 0 counts none.", 0),
    Key("false_interruption_timeout", SECONDS_OR_OFF, "Seconds after which a cough is forgiven.", 1.5),
    Key(
        "speculative_replies",
        Whole(0, 3),
        "Answers that may be begun per turn before it is sure that the caller has finished; unset: 3, and none where"
        " the model runs on this machine.",
        example=2,
    ),
)

SILENCE = Table(
    Key(
        "messages",
        ListOf(Text(1, 300), most=5),
        "What to say when the caller is silent, in turn; empty: the model asks.",
        example=["Are you still there?"],
    ),
    Key(
        "final_message",
        PHRASE,
        "Last words before hanging up on a silent caller.",
        example="I hear nothing, so I hang up. Goodbye.",
    ),
    Key("first_check_seconds", Real(1, 60), "Seconds of silence before the first question.", 3.0),
    Key("interval_seconds", Real(3, 120), "Seconds between questions.", 12.0),
    Key("max_attempts", Whole(1, 10), "Questions before the assistant hangs up.", 3),
)

SPEECH_CONFIG = Table(
    Key("turn_taking", TURN_TAKING, "When a turn ends and what may interrupt the assistant."),
    Key(
        "pronunciation",
        ListOf(
            Table(
                Key("from", Text(1, 64), "What the text says.", required=True, example="SIP"),
                Key("to", Text(0, 128), "What the voice is given instead.", required=True, example="sip"),
            ),
            most=50,
        ),
        "Words that the voice gets wrong, and how to write them for it.",
    ),
    Key(
        "background_audio",
        Table(
            Key("enabled", Flag(), "Play a room behind the assistant's voice.", False),
            Key("clip", Choice(("office", "city", "forest", "crowded_room")), "Which room.", "office"),
            Key("volume", Real(0.05, 1), "How loud.", 0.3),
        ),
        "A quiet background.",
    ),
    Key("silence", SILENCE, "What to do when the caller says nothing (with autonomous_silence_handling)."),
    Key("end_call_message", PHRASE, "Last words when the assistant hangs up.", example="Goodbye."),
    Key(
        "first_message_outbound",
        PHRASE,
        "Greeting of outbound calls; without it first_message is used.",
        example="Good day, this is the bakery.",
    ),
    Key(
        "end_call_phrases",
        ListOf(Text(2, 100, pattern=r"(?:.*?\w){2}.*", what="text with two letters or digits"), most=5),
        "Words of the assistant after which it hangs up.",
        example=["goodbye"],
    ),
)

PHRASES = Table(
    Key("filler", PHRASE, 'Said when a tool or the model is slow; "" for never.', example="One moment, please."),
    Key(
        "more_fillers",
        ListOf(Text(1, 300), most=8),
        "Said instead of filler in later waits, in turn; without it and without an own filler the language's own.",
        example=["Just a second.", "Let me see."],
    ),
    Key(
        "still_waiting",
        ListOf(Text(1, 300), most=8),
        "Said when a wait goes on behind the filler, in turn.",
        example=["I'm still on it, thank you for waiting."],
    ),
    Key(
        "apology",
        PHRASE,
        "Said when a provider failed and the caller should repeat.",
        example="Sorry, could you say that again?",
    ),
    Key(
        "unwell",
        PHRASE,
        "Said before the caller is handed to the dialplan's fallback.",
        example="I can not help you right now. I will put you through.",
    ),
    Key(
        "unheard",
        PHRASE,
        "Said when nothing was understood twice in a row.",
        example="Sorry, I didn't catch that. Could you say it again?",
    ),
    Key(
        "transfer_failed",
        PHRASE,
        "Said in workflows to a caller whom nobody took; empty: the model finds the words, as it does elsewhere.",
        example="I'm sorry, I couldn't get through. How else can I help you?",
    ),
    Key(
        "briefing_question",
        PHRASE,
        "Attended transfers: asks a colleague whether he takes the caller, by voice or key (always 1 and 2).",
        example="Press 1 or say yes to take the call. Press 2 or say no to decline it.",
    ),
    Key(
        "briefing_keys",
        PHRASE,
        "The same where no recogniser can be had: by keys alone.",
        example="Press 1 to take the call, or 2 to decline it.",
    ),
    Key(
        "briefing_again",
        PHRASE,
        "Said to a colleague who has not answered that, before it is asked once more.",
        example="Sorry, I have no answer from you yet.",
    ),
    Key(
        "introduction",
        PHRASE,
        "Outbound: said to a service that asks who calls and why; without it the business's name and the greeting.",
        example="This is the bakery, about your order.",
    ),
    Key("tool_filler_after", Real(0.5, 30), "Seconds a tool may take before the filler is said.", 1.0),
    Key("reply_filler_after", Real(0.5, 30), "Seconds the caller may wait for a sound before the filler is said.", 1.8),
    Key("filler_every", Real(3, 60), "Seconds of silence behind a filler before the next; four in all.", 7.0),
)

FALLBACK = Table(
    Key("provider", Text(1, 64), "Who takes over.", required=True, example="whisper"),
    Key("model", Text(1, 200), "The provider's model; without it the provider's default.", example="base"),
    open=True,
)

FALLBACKS = Key("fallbacks", ListOf(FALLBACK, most=4), "Providers that take over in turn; blocks like the one around.")

SWITCH_AFTER = Key(
    "switch_after_s", Real(0.05, 60), "Seconds of waiting after which a fallback takes over.", example=1.5
)

HEDGE = Table(
    Key("enabled", Flag(), "Ask a second time when the first word is late; whoever begins first answers.", False),
    Key("after_s", Real(0.05, 10), "Seconds before that, until enough replies have been measured.", 1.0),
    Key("floor_s", Real(0.05, 10), "Never sooner, in seconds; afterwards the model's own 95th percentile counts.", 0.4),
    Key("ceiling_s", Real(0.05, 10), "Never later, in seconds.", 2.0),
    Key("most_share", Real(0.01, 1), "Share of all replies that may be asked for twice.", 0.1),
)

STT_CONFIG = Table(
    Key("provider", Text(1, 64), "Who recognises speech.", example="deepgram"),
    Key("model", Text(1, 200), "The provider's model; without it the provider's default.", example="nova-3"),
    Key("language", Text(2, 35), 'Spoken language as a BCP 47 tag, or "multi".', example="en"),
    Key("keyterms", ListOf(Text(1, 200), most=100), "Names and terms to listen for.", example=["Asterisk"]),
    Key("tag_audio_events", Flag(), "ElevenLabs: mark laughter and noises."),
    Key("include_timestamps", Flag(), "ElevenLabs: word times."),
    Key("sample_rate", Whole(8000, 48000), "Rate to send, where the provider takes several.", example=8000),
    Key("languages", ListOf(Text(2, 35), most=100), "Gladia: languages to expect.", example=["nl", "en"]),
    Key("code_switching", Flag(), "Gladia: several languages in one call."),
    Key("region", Text(1, 64), "Gladia: eu-west or us-west.", example="eu-west"),
    Key("endpointing", ANY, "The provider's own end-of-utterance setting.", example=300),
    Key(
        "custom_vocabulary",
        ListOf(ANY, most=1000),
        "Gladia: words with weights.",
        example=[{"value": "Asterisk", "intensity": 0.6}],
    ),
    Key("translation_enabled", Flag(), "Gladia: translate."),
    Key(
        "translation_target_languages",
        ListOf(Text(2, 35), most=100),
        "Gladia: languages to translate to.",
        example=["en"],
    ),
    FALLBACKS,
    open=True,
)

MESSAGE = Table(
    Key("role", Choice(("system", "user", "assistant")), "Who says it.", required=True, example="system"),
    Key("content", Text(), "The text.", required=True, example="You are the receptionist."),
)

TRANSFER_TERMS = (
    Key(
        "mode",
        Choice(("blind", "attended")),
        "attended: whoever answers hears first who is calling and why, and takes the caller or does not.",
        "blind",
    ),
    Key(
        "ring_timeout_seconds",
        Whole(3, 300),
        "Seconds that it rings before the caller is back; without it [transfers] ring_seconds.",
        example=20,
    ),
    Key(
        "briefing",
        Text(0, 1000),
        "attended: what else the person called is to be told, as an instruction.",
        example="Say which product it is about.",
    ),
)
"""How somebody is put through, wherever a destination is given."""

DESTINATION = Table(
    Key("type", Choice(("number",)), 'Only "number".', "number"),
    Key("number", Text(1, 256), "Number to dial; [dialling] must allow it.", required=True, example="+31201234567"),
    Key("description", Text(), "When the model should choose it.", required=True, example="Sales: prices and quotes"),
    Key("message", Text(), "Said to the caller before the transfer.", example="I am connecting you to sales."),
    *TRANSFER_TERMS,
)

TOOL_TYPES = Choice(
    ("function", "webhook", "end_call", "transfer_call", "mcp"),
    {"end_call": "endCall", "transfer_call": "transferCall"},
)

ORDER_SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}

SERVER = Table(
    Key("url", Url(), "The same as url, which wins.", example="https://example.com/orders"),
    Key("secret", Text(secret=True), "Signs what this tool is sent.", example="${env:TOOL_SECRET}"),
)

FUNCTION = Table(
    Key("name", Text(1, 64), "Name the model calls it by.", example="look_up_order"),
    Key("description", Text(), "When the model should use it.", example="Look up an order by its number."),
    Key("parameters", Opaque(), "Arguments as JSON Schema.", example=ORDER_SCHEMA),
    Key("strict", Flag(), "Hold the model to the schema, where it can be.", example=True),
)

TOOL = Table(
    Key("type", TOOL_TYPES, "Kind of tool; without it a webhook.", example="function"),
    Key("name", Text(1, 64), "Name the model calls it by.", example="look_up_order"),
    Key("description", Text(), "When the model should use it.", example="Look up an order by its number."),
    Key("parameters", Opaque(), "Arguments as JSON Schema.", example=ORDER_SCHEMA),
    Key(
        "url",
        Url(),
        "Where this tool is asked; without it the assistant's webhook.",
        example="https://example.com/orders",
    ),
    Key("async", Flag(), "Do not wait for the answer.", False),
    Key(
        "message", Text(), "Said while the tool runs (or instead of a result, if async).", example="I am looking it up."
    ),
    Key("async_response", Text(), "Older name of message for async tools.", example="Noted."),
    Key(
        "server",
        SERVER,
        "Older place of url, and the signing secret.",
    ),
    Key(
        "function",
        FUNCTION,
        "OpenAI's shape of name, description and parameters.",
    ),
    Key("destinations", ListOf(DESTINATION, most=50), "transfer_call: where to."),
    Key("mcp_server_id", Text(1, 64), "mcp: which server.", example="orders"),
    Key("allowed_tools", ListOf(Text(1, 128), most=25), "mcp: tools the model may use.", example=["search"]),
    Key("required", Flag(), "mcp: refuse the call when the server can't be reached.", True),
)

TURN_DETECTION = Table(
    Key("threshold", Real(0, 1, clamp=True), "How sure the provider must be of speech.", 0.5),
    Key("prefix_padding_ms", Real(0, 2000, clamp=True), "Audio kept before speech.", 300),
    Key("silence_duration_ms", Real(100, 2000, clamp=True), "Silence that ends a turn.", 200),
    Key("idle_timeout_ms", Real(0, 30000, clamp=True), "Silence after which the model speaks; 0: never.", 0),
    open=True,
)

LLM_CONFIG = Table(
    Key("provider", Text(1, 64, aliases=ALIASES), "Whose language model.", example="openai"),
    Key("model", Text(1, 200), "The provider's model; without it the provider's default.", example="gpt-5.4"),
    Key("temperature", Real(0, 2), "How freely the model answers.", 0.7),
    Key("messages", ListOf(MESSAGE, most=500), "Instructions, and a conversation to start from."),
    Key("tools", ListOf(TOOL, most=128), "What the assistant may do."),
    Key("max_completion_tokens", Whole(1, 32768), "Longest answer in tokens.", example=300),
    Key("max_output_tokens", Whole(1, 32768), "Realtime models: longest answer in tokens.", example=300),
    Key("reasoning_effort", Text(1, 32), "How long the model may think, where it can.", example="none"),
    Key("voice", Text(1, 200), "Realtime models: the voice.", example="marin"),
    Key("speed", Real(0.7, 1.5), "Realtime models: speed of the voice.", example=1.0),
    Key("vertexai", Flag(), "google_realtime: through Vertex AI."),
    Key("location", Text(1, 64), "google_realtime: region of Vertex AI.", example="europe-west4"),
    Key(
        "delegation",
        Opaque(),
        "openai_live: model and instructions for delegated work.",
        example={"model": "gpt-5.4", "instructions": "Look things up."},
    ),
    Key("turn_detection", TURN_DETECTION, "Realtime models: their own turn taking; values outside are clamped."),
    SWITCH_AFTER,
    Key("hedge", HEDGE, "A second request, to the first fallback or the same model, when the first word is late."),
    FALLBACKS,
    open=True,
)

TTS_CONFIG = Table(
    Key("provider", Text(1, 64, aliases={"11labs": "elevenlabs"}), "Whose voice.", example="elevenlabs"),
    Key("voice_id", Text(1, 200), "The voice.", example="21m00Tcm4TlvDq8ikWAM"),
    Key("model", Text(1, 200), "The provider's model; without it the provider's default.", example="eleven_flash_v2_5"),
    Key("language", Text(2, 35), "Language of the voice where it speaks several.", example="en"),
    Key(
        "text_normalization",
        Choice(("auto", "full", "addresses", "off")),
        "What is put into words for the voice: auto leaves numbers to voices that read them themselves, addresses does"
        " so for all.",
        "auto",
    ),
    Key("stability", Real(0, 1), "ElevenLabs: evenness.", 0.5),
    Key("similarity_boost", Real(0, 1), "ElevenLabs: closeness to the original.", 0.75),
    Key("use_speaker_boost", Flag(), "ElevenLabs: more presence."),
    Key("speed", Real(0.5, 2), "Speed of speech.", 1.0),
    Key("style", Real(0, 1), "ElevenLabs: exaggeration.", example=0.3),
    Key("speaking_rate", Real(0.25, 2), "Google: speed of speech.", 1.0),
    SWITCH_AFTER,
    FALLBACKS,
    open=True,
)

ANALYSIS_PLAN = Table(
    Key(
        "structured_data_plan",
        Table(
            Key("enabled", Flag(), "Extract data after the call.", False),
            Key(
                "schema",
                Opaque(),
                "JSON Schema of what to extract.",
                example={"type": "object", "properties": {"sentiment": {"type": "integer"}}},
            ),
            Key(
                "messages",
                ListOf(MESSAGE, most=50),
                "Instructions; {{schema}}, {{transcript}} and {{ended_reason}} are filled in.",
            ),
            Key("template_id", Text(1, 64), "An analysis template instead.", example="b5f0c1de"),
        ),
        "What to extract from a finished call.",
    ),
    Key("min_messages_threshold", Whole(0, 1000), "Calls with fewer messages are not analysed.", 2),
)

RECORDING_CONSENT = Table(
    Key("enabled", Flag(), "Ask before the call is processed.", False),
    Key(
        "message",
        Text(0, 1000),
        "The question; the caller presses 1 to agree.",
        example="This call is recorded. Press 1 to agree.",
    ),
)
