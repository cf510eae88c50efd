"""Nova's side of a scripted connection: Results, SpeechStarted, UtteranceEnd, Metadata."""

from typing import Any

from sovereign_pbx.testing.providers.deepgram_talk import DeepgramTalk

INTERIM_S = 0.3
EMPTY_FINAL_S = 3.0  # in silence Nova settles what it heard every few seconds, with an empty final


class NovaTalk(DeepgramTalk):
    """Answers `/v1/listen`."""

    texts = frozenset({"KeepAlive", "Finalize", "CloseStream", "Configure"})
    _settled_s = 0.0
    _end_told = True
    _told = ""

    def began(self) -> None:
        if self.query.get("vad_events") == "true":
            self.talk.say({"type": "SpeechStarted", "channel": [0], "timestamp": self.ear.position_s})

    def passed(self) -> None:
        position_s = self.ear.position_s
        if self.began_s is not None:
            if self.query.get("interim_results") == "true":
                self._tell_more(position_s - max(self.spoke_s, self.began_s))
            return
        if not self._end_told and "utterance_end_ms" in self.query:
            if position_s - self.loud_s >= int(self.query["utterance_end_ms"]) / 1000:
                self._end_told = True
                self.talk.say({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": self.loud_s})
        elif position_s - self._settled_s >= EMPTY_FINAL_S:
            self._results("", final=True)

    def _tell_more(self, since_s: float) -> None:
        words = self.words_so_far()
        due = since_s > INTERIM_S if self.server.interim_lag_ms is None else words not in ("", self._told)
        if due:
            self.spoke_s, self._told = self.ear.position_s, words
            self._results(words, final=False)

    def ended(self, asked: bool) -> None:
        self._told = ""
        utterance = self.utterance
        *first, last = utterance.segments
        for segment in first:
            self._results(segment, final=True)
        self._results(last, final=True, speech_final=utterance.speech_final and not asked, from_finalize=asked)
        self._end_told = False
        self.over()

    def command(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "KeepAlive":
            self.touch()
        elif kind == "Finalize":
            if self.began_s is not None:
                self.ended(asked=True)
            else:
                self._results("", final=True, from_finalize=True)
        elif kind == "Configure":
            self.talk.say({"type": "ConfigureSuccess", "request_id": "scripted"})
        else:
            self._close()

    def _close(self) -> None:
        if self.began_s is not None:
            self.ended(asked=True)
        self.talk.say({"type": "Metadata", "request_id": "scripted", "duration": self.ear.position_s, "channels": 1})
        self.talk.hang_up(1000, "")

    def _results(self, text: str, *, final: bool, speech_final: bool = False, from_finalize: bool = False) -> None:
        start_s = self._settled_s
        words = self.timed(text, self.began_s or start_s, self.loud_s) if text else []
        self.talk.say(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": start_s,
                "duration": self.ear.position_s - start_s,
                "is_final": final,
                "speech_final": speech_final,
                "from_finalize": from_finalize,
                "channel": {"alternatives": [{"transcript": text, "confidence": 0.99, "words": words}]},
                "metadata": {"request_id": "scripted"},
            }
        )
        if final:
            self._settled_s = self.ear.position_s
