"""Deepgram Flux, live: `wss://…/v2/listen` (https://developers.deepgram.com/docs/flux), a recogniser with turns.

EagerEndOfTurn and TurnResumed are understood, and treated as interims: the turn machine decides what to speculate on.
Flux has no KeepAlive: when no audio comes (a frame arrives every 20 ms on any call, so this is a line on the way to
its end) silence is sent. Audio goes out in 80 ms chunks, as the vendor strongly recommends.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import Socket, Sockets, one_line
from sovereign_pbx.speech.stt import Heard, SttStream, UtteranceOver
from sovereign_pbx.speech.stt.deepgram import (
    BASE_URL,
    HeardWord,
    Kind,
    common_settings,
    fatal,
    merged_keyterms,
    words_of,
)
from sovereign_pbx.speech.stt.live import NOTHING, LiveStream, Patience, Reading


class _TurnInfo(msgspec.Struct):
    event: str
    transcript: str = ""
    words: list[HeardWord] = []
    audio_window_end: float = 0.0


_kind = msgspec.json.Decoder(Kind)
_turn = msgspec.json.Decoder(_TurnInfo)


class FluxDialect:
    """One call's way of talking to `v2/listen`."""

    chunk_ms = 80
    farewell = '{"type":"CloseStream"}'

    def __init__(self, sockets: Sockets, query: Sequence[tuple[str, str]]) -> None:
        self._sockets = sockets
        self._query = query
        self._in_turn = False

    async def connect(self, within_s: float | None = None) -> Socket:
        self._in_turn = False
        return await self._sockets.connect("/v2/listen", self._query, within_s=within_s)

    def finalize(self) -> str | None:
        return '{"type":"ForceEndTurn"}' if self._in_turn else None

    def keep_alive(self) -> None:
        return None

    def read(self, message: str | bytes) -> Reading:
        try:
            kind = _kind.decode(message).type
            if kind == "TurnInfo":
                return self._heard(_turn.decode(message))
        except msgspec.MsgspecError as exc:
            raise ProviderError("deepgram", "stt", "garbled", one_line(exc)) from exc
        if kind == "Error":
            raise fatal("deepgram", message)
        return NOTHING  # Connected, Warning, Configure's answers, and what newer servers may add

    def _heard(self, turn: _TurnInfo) -> Reading:
        words = words_of(turn.words)
        if turn.event == "EndOfTurn":
            self._in_turn = False
            events = (Heard(turn.transcript, True, words), UtteranceOver(judged=True))
            return Reading(events, alive=True, settled_s=turn.audio_window_end)
        if not turn.transcript:
            return Reading(alive=True)
        self._in_turn = True
        return Reading((Heard(turn.transcript, False, words),), alive=True)


class DeepgramFlux:
    """Opens Flux streams."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = BASE_URL,
        model: str = "flux-general-en",
        language: str = "",
        keyterms: Sequence[str] = (),
        eot_threshold: float | None = None,
        eager_eot_threshold: float | None = None,
        eot_timeout_ms: int | None = None,
        patience: Patience | None = None,
        connect_s: float = 2.0,
        send_s: float = 1.0,
    ) -> None:
        self.name = f"deepgram/{model}"
        self._model = model
        self._language = language
        self._keyterms = tuple(keyterms)
        thresholds = {
            "eot_threshold": eot_threshold,
            "eager_eot_threshold": eager_eot_threshold,
            "eot_timeout_ms": eot_timeout_ms,
        }
        self._query = [(name, f"{value:g}") for name, value in thresholds.items() if value is not None]
        self._patience = patience or Patience()
        headers = {"Authorization": f"Token {api_key}"}
        self._sockets = Sockets("deepgram", "stt", base_url, headers, connect_s=connect_s, send_s=send_s)

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "DeepgramFlux":
        """From an assistant's `stt_config` and `[providers.deepgram]`."""
        settings = Settings(block, "stt_config")
        return cls(
            model=settings.text("model", "flux-general-en"),
            language=settings.text("language"),
            keyterms=settings.texts("keyterms"),
            eot_threshold=settings.number("eot_threshold", None, 0.5, 1.0),
            eager_eot_threshold=settings.number("eager_eot_threshold", None, 0.3, 0.9),
            eot_timeout_ms=settings.whole("eot_timeout_ms", None, 500, 60000),
            **common_settings(settings, provider),
        )

    async def open(self, *, rate: int, language: str, keyterms: Sequence[str] = ()) -> SttStream:
        """Connect within the deadline (2 s) or raise ProviderError."""
        query = [("model", self._model), ("encoding", "linear16"), ("sample_rate", str(rate)), *self._query]
        hint = self._language or language
        if self._model.endswith("-multi") and hint and hint != "multi":
            query.append(("language_hint", hint.split("-")[0]))
        query += [("keyterm", term) for term in merged_keyterms(self._keyterms, keyterms)]
        dialect = FluxDialect(self._sockets, query)
        return LiveStream(dialect, await dialect.connect(), rate, self._patience)

    async def aclose(self) -> None:
        await self._sockets.aclose()
