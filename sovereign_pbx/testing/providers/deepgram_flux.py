"""Flux's side of a scripted connection: TurnInfo events. It knows neither KeepAlive nor Finalize."""

from typing import Any

from sovereign_pbx.testing.providers.deepgram_talk import DeepgramTalk

UPDATE_S = 0.25


class FluxTalk(DeepgramTalk):
    """Answers `/v2/listen`."""

    texts = frozenset({"CloseStream", "ForceEndTurn", "Configure"})
    _sequence = 0
    _turn = 0
    _connected = False

    def began(self) -> None:
        self._info("StartOfTurn", self.words_so_far())

    def passed(self) -> None:
        position_s = self.ear.position_s
        if not self._connected:
            self._connected = True
            self.talk.say({"type": "Connected", "request_id": "scripted", "sequence_id": 0})
        if position_s - self.spoke_s >= UPDATE_S:
            self.spoke_s = position_s
            self._info("Update", self.words_so_far() if self.began_s is not None else "")

    def ended(self, asked: bool) -> None:
        text = self.utterance.text
        if "eager_eot_threshold" in self.query and not asked:
            self._info("EagerEndOfTurn", text)
        self._info("EndOfTurn", text, trigger="manual" if asked else "model")
        self._turn += 1
        self.over()

    def command(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "Configure":
            self.talk.say({"type": "ConfigureSuccess", "request_id": "scripted", "sequence_id": self._next()})
        elif kind == "ForceEndTurn" and self.began_s is not None:
            self.ended(asked=True)
        elif kind == "ForceEndTurn":
            self.talk.say({"type": "Warning", "code": "NO_ACTIVE_TURN", "description": "nothing to end"})
        else:
            self.talk.hang_up(1000, "")

    def _info(self, event: str, text: str, **more: Any) -> None:
        start_s = self.ear.position_s if self.began_s is None else self.began_s
        self.talk.say(
            {
                "type": "TurnInfo",
                "request_id": "scripted",
                "sequence_id": self._next(),
                "event": event,
                "turn_index": self._turn,
                "audio_window_start": start_s,
                "audio_window_end": self.ear.position_s,
                "transcript": text,
                "words": self.timed(text, start_s, max(self.loud_s, start_s)),
                "end_of_turn_confidence": 0.9 if event == "EndOfTurn" else 0.1,
                **more,
            }
        )

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
