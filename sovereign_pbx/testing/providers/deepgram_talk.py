"""What Nova's and Flux's sides of a scripted connection share: hearing, timing, the idle rule, bad text frames."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from sovereign_pbx.testing.providers.ear import Ear
from sovereign_pbx.testing.providers.server import Talk

if TYPE_CHECKING:
    from sovereign_pbx.testing.providers.deepgram import Received, ScriptedDeepgram, Utterance

WORDS_PER_S = 3.0


class DeepgramTalk:
    """Hears one connection. Subclasses say what is answered when."""

    texts: frozenset[str] = frozenset()

    def __init__(self, server: "ScriptedDeepgram", talk: Talk, seen: "Received") -> None:
        query = dict(seen.query)
        self.server = server
        self.talk = talk
        self.seen = seen
        self.query = query
        self.ear = Ear(query["encoding"], int(query["sample_rate"]))
        self.number = 0
        self.began_s: float | None = None  # of the utterance being heard
        self.loud_s = 0.0
        self.spoke_s = 0.0  # audio time of the last interim
        self._loop = asyncio.get_running_loop()
        self._loud_at = 0.0
        self._final: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()

    @property
    def utterance(self) -> "Utterance":
        return self.server.utterance(self.number)

    def hear(self, message: str | bytes) -> None:
        """A frame from the client."""
        if isinstance(message, str):
            self._hear_text(message)
            return
        if not message:
            self.talk.hang_up(1008, "DATA-0000 empty audio")
            return
        self.seen.audio_bytes += len(message)
        self.seen.message_bytes.add(len(message))
        if self.server.keep_audio:
            self.seen.audio += message
        self._heard_at = self._loop.time()
        for loud in self.ear.slices(message):
            self._follow(loud)

    def _follow(self, loud: bool) -> None:
        if loud:
            if self.began_s is None:
                self.began_s = self.ear.position_s - 0.02
                self.began()
            self.loud_s = self.ear.position_s
            self._loud_at = self._loop.time()
            self._cancel_final()
        elif self.began_s is not None and self._final is None:
            self._final = self._loop.call_at(self._loud_at + self.server.final_ms / 1000, self._end)
        self.passed()

    def _end(self) -> None:
        self._final = None
        self.ended(asked=False)

    def over(self) -> None:
        """The utterance has been answered."""
        self._cancel_final()
        self.began_s = None
        self.number += 1

    def began(self) -> None:
        """Speech began."""

    def passed(self) -> None:
        """20 ms of audio passed."""

    def ended(self, asked: bool) -> None:
        """Answer the utterance: silence has lasted, or the client `asked`."""

    def command(self, kind: str, message: dict[str, Any]) -> None:
        """A valid text frame."""

    def words_so_far(self) -> str:
        """The part of the transcript that could have been understood by now."""
        words = self.utterance.text.split()
        spoken_s = 0.0 if self.began_s is None else self.ear.position_s - self.began_s
        if self.utterance.seconds is None:
            return " ".join(words[: 1 + int(spoken_s * WORDS_PER_S)])
        ended = (spoken_s - (self.server.interim_lag_ms or 0.0) / 1000) / self.utterance.seconds
        return " ".join(words[: max(0, int(ended * len(words) + 1e-6))])

    def timed(self, text: str, start: float, end: float) -> list[dict[str, Any]]:
        """The words of `text`, spread evenly."""
        words = text.split()
        step = (end - start) / max(len(words), 1)
        return [
            {
                "word": word.strip(".,!?").lower(),
                "punctuated_word": word,
                "start": round(start + step * index, 3),
                "end": round(start + step * (index + 1), 3),
                "confidence": 0.99,
            }
            for index, word in enumerate(words)
        ]

    def complain(self, why: str) -> None:
        """The vendor's answer to a text frame it does not know."""
        self.talk.say({"type": "Error", "variant": "SchemaError", "code": "DATA-0000", "description": why})
        self.talk.hang_up(1008, "DATA-0000")

    async def watch_idle(self) -> None:
        """Ten seconds without audio or keep-alive end the connection."""
        while True:
            left_s = self._heard_at + self.server.net_0001_s - self._loop.time()
            if left_s <= 0:
                self.talk.hang_up(1011, "NET-0001")
                return
            await asyncio.sleep(left_s)

    def stop(self) -> None:
        """Forget the timers."""
        self._cancel_final()

    def touch(self) -> None:
        """A keep-alive counts as audio."""
        self._heard_at = self._loop.time()

    def _hear_text(self, text: str) -> None:
        try:
            message = json.loads(text)
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            self.complain("text frames are JSON objects with a type")
            return
        self.seen.texts.append(message)
        if kind not in self.texts:
            self.complain(f"unknown type {kind}")
            return
        self.command(kind, message)

    def _cancel_final(self) -> None:
        if self._final is not None:
            self._final.cancel()
            self._final = None
