"""Progress for scripts: one line that is rewritten on a terminal, one line a step elsewhere."""

import sys
from typing import TextIO


class ProgressLine:
    """A `Progress` that writes to `stream` (standard error unless told otherwise)."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = stream or sys.stderr
        self._shown = ""

    def __call__(self, what: str, part: float) -> None:
        live = self._stream.isatty()
        text = f"{self._title}: {what} {part:4.0%}" if live else f"{self._title}: {what}"
        if text == self._shown:
            return
        self._stream.write(f"\r{text}\x1b[K" if live else f"{text}\n")
        self._stream.flush()
        self._shown = text

    def end(self, text: str = "") -> None:
        """Clear the live line and, if given, leave `text`."""
        if self._shown and self._stream.isatty():
            self._stream.write("\r\x1b[K")
        if text:
            self._stream.write(f"{self._title}: {text}\n")
        self._shown = ""
