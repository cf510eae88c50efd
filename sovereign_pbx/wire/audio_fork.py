"""The text messages of mod_audio_fork in the form of jambonz, whose module plays what it is sent (30f2189, measured).
The sound goes in binary messages, signed 16 bits, little-endian.

In its queue a sample of 0xFFFF stands for a mark, so that a sample of -1 may be taken for one while marks are pending:
`without_marks` makes such samples 0.
"""

import json
from typing import Final, Literal

from sovereign_pbx.wire.malformed import Malformed

SUBPROTOCOLS: Final = (
    "audio.jambonz.org",
    "audio.drachtio.org",
)  # the module's own, unless its environment says another
KILL: Final = '{"type":"killAudio"}'
MAX_MARKS: Final = 30  # that may be pending; the module forgets more
MAX_MESSAGE: Final = 65536

MarkEvent = Literal["playout", "cleared"]


def mark(name: str) -> str:
    """A place in the sound; comes back as it is played, or cleared."""
    return json.dumps({"type": "mark", "data": {"name": name}}, separators=(",", ":"))


def marked(text: str) -> tuple[str, MarkEvent] | None:
    """The mark that has been played or cleared; None for every other message.

    Raises:
        Malformed: it says that it is a mark, and is none.
    """
    if len(text) > MAX_MESSAGE:
        raise Malformed(f"a message of {len(text)} characters is over the limit of {MAX_MESSAGE}")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None  # the metadata that we gave ourselves, as a rule
    if not isinstance(read, dict) or read.get("type") != "mark":
        return None
    data = read.get("data")
    if not isinstance(data, dict) or not isinstance(name := data.get("name"), str):
        raise Malformed("a mark without its name")
    if data.get("event") == "playout":
        return name, "playout"
    if data.get("event") == "cleared":
        return name, "cleared"
    raise Malformed("a mark that was neither played nor cleared")


def without_marks(pcm: bytes) -> bytes:
    """The same sound without samples of -1."""
    if b"\xff\xff" not in pcm:
        return pcm
    samples = memoryview(bytearray(pcm)).cast("h")
    for at, sample in enumerate(samples):
        if sample == -1:
            samples[at] = 0
    return samples.tobytes()
