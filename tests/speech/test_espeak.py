"""espeak-ng as a program of its own: a scripted one for its faults, the real one where the machine has it."""

import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.tts.espeak import Espeak

SCRIPT = """
import io, math, os, struct, sys, time, wave
text = sys.stdin.read()
assert sys.argv[1:] == ["-v", "nl", "-s", "160", "-b", "1", "--stdin", "--stdout"], sys.argv
if "slow" in text:
    open(os.environ["ESPEAK_DATA_PATH"] + "/pid", "w").write(str(os.getpid()))
    time.sleep(60)
if "fail" in text:
    sys.exit("Error: the voice is broken")
if "junk" in text:
    sys.stdout.write("no sound")
elif text.strip():
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1); file.setsampwidth(2); file.setframerate(22050)
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(n / 8))) for n in range(22050)))
    data = bytearray(out.getvalue())
    data[4:8] = data[40:44] = b"\\xff\\xff\\xff\\x7f"  # a pipe: the lengths are not known
    sys.stdout.buffer.write(data)
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Espeak:
    (tmp_path / "espeak.py").write_text(SCRIPT, encoding="utf-8")
    provider = {"command": [sys.executable, str(tmp_path / "espeak.py")], "data_path": str(tmp_path)}
    return Espeak.from_config({"language": "nl"}, provider)


async def said(voice: Espeak, text: str) -> bytes:
    session = await voice.open(rate=8000, language="nl")
    return b"".join([chunk.pcm async for chunk in session.speak(text)])


def test_a_sentence_comes_back_as_audio_at_the_links_rate(scripted: Espeak) -> None:
    assert len(asyncio.run(said(scripted, "Goedemorgen."))) == pytest.approx(16000, abs=400)


@pytest.mark.parametrize(("text", "why"), [("fail", "voice is broken"), ("junk", "not a WAV")])
def test_a_failing_program_is_a_provider_error_that_says_why(scripted: Espeak, text: str, why: str) -> None:
    with pytest.raises(ProviderError, match=why):
        asyncio.run(said(scripted, text))


def test_a_cancelled_sentence_kills_its_process(scripted: Espeak, tmp_path: Path) -> None:
    async def run() -> int:
        session = await scripted.open(rate=8000, language="nl")
        speaking = asyncio.ensure_future(anext(aiter(session.speak("slow"))))
        deadline = time.monotonic() + 10
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        return int((tmp_path / "pid").read_text())

    assert not Path(f"/proc/{asyncio.run(run())}").exists()


def test_a_program_that_hangs_is_stalled_within_the_deadline(scripted: Espeak) -> None:
    async def run() -> None:
        session = await scripted.open(rate=8000, language="nl")
        session._render_s = 0.2
        with pytest.raises(ProviderError, match="stalled"):
            await anext(aiter(session.speak("slow")))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("block", "provider", "key"),
    [
        ({"language": "nl; rm -rf"}, {"command": sys.executable}, "language"),
        ({"voice_id": "--path=/etc"}, {"command": sys.executable}, "voice_id"),
        ({}, {"command": "no-such-espeak"}, "apt install espeak-ng"),
        ({}, {"command": []}, "command"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(block: dict[str, Any], provider: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Espeak.from_config(block, provider)


def test_a_call_in_a_language_that_is_no_voice_name_is_refused() -> None:
    voice = Espeak(command=(sys.executable,))
    with pytest.raises(ProviderError, match="denied"):
        asyncio.run(voice.open(rate=8000, language="-x"))


@pytest.mark.speech
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not on PATH")
def test_the_real_program_speaks_dutch() -> None:
    assert len(asyncio.run(said(Espeak.from_config({"language": "nl"}, {}), "Goedemorgen."))) > 8000
