"""Deepgram Nova, live: `wss://…/v1/listen` (https://developers.deepgram.com/reference/speech-to-text/listen-streaming).

The telephone's own PCM goes out as linear16 at the call's rate: nothing is resampled or companded, at 128 kbit/s
for 8 kHz. (µ-law would halve that, for a conversion of every frame and a lossy step more where the line is wideband.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from sovereign_pbx.core.audio import FRAME_MS
from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import Socket, Sockets, one_line
from sovereign_pbx.speech.stt import Heard, SttEvent, SttStream, UtteranceOver
from sovereign_pbx.speech.stt.live import NOTHING, LiveStream, Patience, Reading

BASE_URL: Final = "wss://api.deepgram.com"
KEYTERMS_LIMIT: Final = 100  # the vendor's own limit is 500 tokens


class HeardWord(msgspec.Struct):
    """A word in Deepgram's answers, of both API generations."""

    word: str
    start: float = 0.0
    end: float = 0.0
    punctuated_word: str = ""


class _Alternative(msgspec.Struct):
    transcript: str = ""
    words: list[HeardWord] = []


class _Channel(msgspec.Struct):
    alternatives: list[_Alternative] = []


class _Results(msgspec.Struct):
    channel: _Channel
    start: float = 0.0
    duration: float = 0.0
    is_final: bool = False
    speech_final: bool = False
    from_finalize: bool = False


class Kind(msgspec.Struct):
    """The one field that every message has."""

    type: str


_kind = msgspec.json.Decoder(Kind)
_results = msgspec.json.Decoder(_Results)


def words_of(words: Sequence[HeardWord]) -> tuple[Word, ...]:
    return tuple(Word(word.punctuated_word or word.word, word.start, word.end) for word in words)


def fatal(provider: str, message: str | bytes) -> ProviderError:
    """An `Error` message as the error it stands for: text about us (schema, balance) is not worth a second try."""
    try:
        fields = msgspec.json.decode(message, type=dict[str, Any])
    except msgspec.MsgspecError:
        fields = {}
    detail = one_line(f"{fields.get('code', '')} {fields.get('description', '')}")
    return ProviderError(provider, "stt", "dropped", detail or "the vendor reported an error")


class NovaDialect:
    """One call's way of talking to `v1/listen`."""

    farewell = '{"type":"CloseStream"}'

    def __init__(self, provider: str, sockets: Sockets, query: Sequence[tuple[str, str]], chunk_ms: int = 20) -> None:
        self.chunk_ms = chunk_ms
        self._provider = provider
        self._sockets = sockets
        self._query = query
        self._unfinished = False  # finals since the last end of an utterance

    async def connect(self, within_s: float | None = None) -> Socket:
        self._unfinished = False
        return await self._sockets.connect("/v1/listen", self._query, within_s=within_s)

    def finalize(self) -> str:
        return '{"type":"Finalize"}'

    def keep_alive(self) -> str:
        return '{"type":"KeepAlive"}'

    def read(self, message: str | bytes) -> Reading:
        try:
            kind = _kind.decode(message).type
            if kind == "Results":
                return self._heard(_results.decode(message))
        except msgspec.MsgspecError as exc:
            raise ProviderError(self._provider, "stt", "garbled", one_line(exc)) from exc
        if kind == "UtteranceEnd":
            return Reading(self._over(), alive=True)
        if kind == "Error":
            raise fatal(self._provider, message)
        return NOTHING  # SpeechStarted (our own VAD is earlier), Metadata, and what newer servers may add

    def _heard(self, results: _Results) -> Reading:
        best = results.channel.alternatives[0] if results.channel.alternatives else _Alternative()
        events: tuple[SttEvent, ...] = ()
        # An empty final is news only as the answer to Finalize; in silence one arrives every few seconds.
        if best.transcript or results.from_finalize:
            events = (Heard(best.transcript, results.is_final, words_of(best.words)),)
        if not results.is_final:
            return Reading(events, alive=True)
        self._unfinished = self._unfinished or bool(best.transcript)
        if results.speech_final:
            events += self._over()
        return Reading(events, alive=True, settled_s=results.start + results.duration)

    def _over(self) -> tuple[SttEvent, ...]:
        """`speech_final` and the later `UtteranceEnd` tell of the same end; only the first one counts."""
        if not self._unfinished:
            return ()
        self._unfinished = False
        return (UtteranceOver(),)


class DeepgramNova:
    """Opens Nova streams."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = BASE_URL,
        model: str = "nova-3",
        language: str = "",
        keyterms: Sequence[str] = (),
        endpointing_ms: int = 300,
        utterance_end_ms: int = 1000,
        options: Mapping[str, str] | None = None,
        chunk_ms: int = 20,
        patience: Patience | None = None,
        connect_s: float = 2.0,
        send_s: float = 1.0,
    ) -> None:
        self.name = f"deepgram/{model}"
        self._chunk_ms = chunk_ms
        self._model = model
        self._language = language
        self._keyterms = tuple(keyterms)
        self._hint = "keyterm" if model.startswith("nova-3") else "keywords"  # the older ones refuse the newer name
        self._query = [
            ("interim_results", "true"),
            ("vad_events", "true"),
            ("endpointing", str(endpointing_ms)),
            ("utterance_end_ms", str(utterance_end_ms)),
            *(options or {"smart_format": "true"}).items(),
        ]
        patience = patience or Patience()
        if patience.ended_s is None:  # it makes final by itself what is followed by so much silence
            patience = replace(patience, ended_s=endpointing_ms / 1000 + patience.final_s)
        self._patience = patience
        headers = {"Authorization": f"Token {api_key}"}
        self._sockets = Sockets("deepgram", "stt", base_url, headers, connect_s=connect_s, send_s=send_s)

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "DeepgramNova":
        """From an assistant's `stt_config` and `[providers.deepgram]`."""
        settings = Settings(block, "stt_config")
        options = {"smart_format": "true" if settings.flag("smart_format", True) else "false"}
        if settings.flag("numerals", False):
            options["numerals"] = "true"
        return cls(
            model=settings.text("model", "nova-3"),
            language=settings.text("language"),
            keyterms=settings.texts("keyterms"),
            endpointing_ms=settings.whole("endpointing", None, 10, 5000)
            or settings.whole("endpointing_ms", 300, 10, 5000)
            or 300,
            # Below the cadence of the interims (about 1 s) the vendor refuses it.
            utterance_end_ms=settings.whole("utterance_end_ms", 1000, 1000, 5000) or 1000,
            options=options,
            chunk_ms=(settings.whole("chunk_ms", 20, 20, 100) or 20) // FRAME_MS * FRAME_MS,
            **common_settings(settings, provider),
        )

    async def open(self, *, rate: int, language: str, keyterms: Sequence[str] = ()) -> SttStream:
        """Connect within the deadline (2 s) or raise ProviderError."""
        query = [
            ("model", self._model),
            ("language", self._language or language),
            ("encoding", "linear16"),
            ("sample_rate", str(rate)),
            ("channels", "1"),
            *self._query,
            *((self._hint, term) for term in merged_keyterms(self._keyterms, keyterms)),
        ]
        dialect = NovaDialect("deepgram", self._sockets, query, self._chunk_ms)
        return LiveStream(dialect, await dialect.connect(), rate, self._patience)

    async def aclose(self) -> None:
        await self._sockets.aclose()


def merged_keyterms(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Both lists without repetitions, within the vendor's limit."""
    return list(dict.fromkeys(term.strip() for term in (*first, *second) if term.strip()))[:KEYTERMS_LIMIT]


def common_settings(settings: Settings, provider: Mapping[str, Any]) -> dict[str, Any]:
    """What Nova and Flux read alike."""
    account = Settings(provider, "[providers.deepgram]")
    key = account.text("api_key")
    if not key:
        raise ConfigError(
            "[providers.deepgram]: api_key is missing",
            key="api_key",
            remedy='set api_key = "${env:DEEPGRAM_API_KEY}"; a self-hosted server takes any text',
        )
    return {
        "api_key": key,
        "base_url": account.text("base_url", BASE_URL),
        "connect_s": settings.seconds("connect_s", 2.0),
        "patience": Patience(
            answer_s=settings.seconds("answer_s", Patience.answer_s),
            final_s=settings.seconds("final_s", Patience.final_s),
            outage_s=settings.seconds("outage_s", Patience.outage_s),
        ),
    }
