"""What a real FreeSWITCH 1.10.12 said on its event socket, cut out of the transcripts beside this file.

`>>>>` begins what was sent, `<<<<` what came, each ended by line breaks that the transcript added.
"""

import re
from pathlib import Path

_FOLDER = Path(__file__).parent / "esl"
_PART = re.compile(rb"^(>>>>|<<<<) ?", re.MULTILINE)
NAMES = ("inbound", "outbound")


def parts(name: str) -> list[tuple[bool, bytes]]:
    """(whether it came from FreeSWITCH, bytes) in order; without the marks of its end."""
    pieces = _PART.split((_FOLDER / f"{name}.txt").read_bytes())[1:]
    said = [(mark == b"<<<<", text.strip(b"\n")) for mark, text in zip(pieces[::2], pieces[1::2], strict=True)]
    return [(came, text) for came, text in said if text and text != b"EOF"]


def stream(name: str) -> bytes:
    """Everything that came; the transcript's own line breaks between the parts are one blank line."""
    return b"".join(text + b"\n\n" for came, text in parts(name) if came)


def commands(name: str) -> list[bytes]:
    """What was sent."""
    return [text for came, text in parts(name) if not came]
