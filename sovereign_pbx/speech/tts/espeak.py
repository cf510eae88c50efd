"""Text to speech in a hundred languages, Dutch among them: espeak-ng, a process for each sentence (15 ms).

Formant synthesis: intelligible with goodwill and plainly robotic. espeak-ng is GPL-3 and stays a program of its own.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.tts.listing import Account, ListedVoice
from sovereign_pbx.speech.tts.local_session import RENDER_S, LocalSession
from sovereign_pbx.speech.tts.loudness import for_phone

RATE: Final = 22050
WORDS_A_MINUTE: Final = 160
AT_ONCE: Final = 4  # processes; more calls than that wait their turn
_VOICE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,40}")
_MOST_BYTES: Final = RATE * 2 * 120
_CONTROL: Final = dict.fromkeys(range(32), " ")
_DATA_BYTES: Final = b"data"
_LISTED: Final = re.compile(r"\s*\d+\s+(\S+)\s+(\S+)\s+(\S+)\s")
_MOST_LINES: Final = 500


class Espeak:
    """A configured voice. `command` runs espeak-ng; `data_path` is the directory that holds `espeak-ng-data`."""

    name = "espeak"

    def __init__(
        self,
        *,
        voice: str = "",
        language: str = "",
        speed: float = 1.0,
        command: Sequence[str] = ("espeak-ng",),
        data_path: str = "",
        render_s: float = RENDER_S,
    ) -> None:
        self.key = f"espeak/{voice or language}/{speed:g}"
        self._voice = voice
        self._language = language
        self._speed = speed
        self._command = tuple(command)
        self._environment = {**os.environ, **({"ESPEAK_DATA_PATH": data_path} if data_path else {})}
        self._render_s = render_s
        self._room: asyncio.Semaphore | None = None

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "Espeak":
        """From an assistant's `tts_config` and `[providers.espeak]` (command, data_path)."""
        settings, machine = Settings(block, "tts_config"), Settings(provider, "[providers.espeak]")
        voice, language = settings.text("voice_id"), settings.text("language")
        for key, value in (("voice_id", voice), ("language", language)):
            if value and not _VOICE.fullmatch(value):
                raise settings.wrong(key, 'must be a voice of espeak-ng, such as "nl" or "en-gb"')
        given = provider.get("command")
        command = (
            machine.texts("command") if isinstance(given, list | tuple) else (machine.text("command", "espeak-ng"),)
        )
        if not command or shutil.which(command[0]) is None:
            raise ConfigError(
                f"[providers.espeak]: {command[0] if command else 'command'} is not on this machine",
                key="command",
                remedy="apt install espeak-ng, or set command to where it is (and data_path to its data)",
            )
        return cls(
            voice=voice,
            language=language,
            speed=settings.number("speed", 1.0, 0.5, 2.0) or 1.0,
            command=command,
            data_path=machine.text("data_path"),
            render_s=machine.seconds("render_s", RENDER_S),
        )

    async def open(self, *, rate: int, language: str) -> LocalSession:
        """Prove that the program runs and knows the voice."""
        wanted = self._voice or self._language or ("en" if language in ("multi", "auto", "") else language)
        if not _VOICE.fullmatch(wanted):
            raise ProviderError("espeak", "tts", "denied", "the language is not a voice's name")
        self._room = self._room or asyncio.Semaphore(AT_ONCE)
        room = self._room

        async def render(text: str) -> bytes:
            async with room:
                return await self._run(text, wanted, rate)

        try:
            async with asyncio.timeout(self._render_s):
                await render("")
        except TimeoutError as exc:
            raise ProviderError("espeak", "tts", "stalled", "it did not start in time") from exc
        return LocalSession("espeak", render, self._render_s)

    async def aclose(self) -> None:
        """No process outlives its sentence."""

    async def _run(self, text: str, voice: str, rate: int) -> bytes:
        pace = str(round(WORDS_A_MINUTE * self._speed))
        arguments = ("-v", voice, "-s", pace, "-b", "1", "--stdin", "--stdout")
        pcm, src = _pcm_of(await self._answer(arguments, text.translate(_CONTROL).encode()))
        return await asyncio.to_thread(for_phone, pcm, src, rate)

    async def listed(self) -> list[ListedVoice]:
        """The voices that the program names."""
        async with asyncio.timeout(self._render_s):
            text = (await self._answer(("--voices",), b"")).decode(errors="replace")
        found = (_LISTED.match(line) for line in text.splitlines()[1:_MOST_LINES])
        return [_voice(line[1], line[3]) for line in found if line]

    async def _answer(self, arguments: Sequence[str], said: bytes) -> bytes:
        """What the program writes when it is run so and told this."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
            )
        except OSError as exc:
            raise ProviderError("espeak", "tts", "denied", f"{self._command[0]}: {exc.strerror}") from exc
        try:
            answer, complaint = await process.communicate(said)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            detail = complaint.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {process.returncode}"]
            raise ProviderError("espeak", "tts", "denied", detail[0][:200])
        return answer


async def voices(account: Account) -> list[ListedVoice]:
    """Those of the program; none where it is not on this machine."""
    try:
        program = await asyncio.to_thread(Espeak.from_config, {}, account)
    except ConfigError:
        return []
    try:
        return await program.listed()
    except TimeoutError as exc:
        raise ProviderError("espeak", "tts", "stalled", "it did not name its voices in time") from exc


def _voice(language: str, name: str) -> ListedVoice:
    """One line of `--voices`: `5  nl  --/M  Dutch  gmw/nl`. Its language is what `-v` takes."""
    return ListedVoice(id=language, name=name.replace("_", " "), language=language)


def _pcm_of(wav: bytes) -> tuple[bytes, int]:
    """Samples and rate of a WAV that was written to a pipe: its length fields hold no truth."""
    if not wav:
        return b"", RATE
    at = wav.find(_DATA_BYTES, 12)
    if wav[:4] != b"RIFF" or at < 0 or len(wav) > _MOST_BYTES:
        raise ProviderError("espeak", "tts", "garbled", "the answer is not a WAV")
    return wav[at + 8 :], int.from_bytes(wav[24:28], "little")
