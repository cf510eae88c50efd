"""Logs: one line an event, values as keys, the call's id in every line of a call, secrets in none.

Lines are rendered where they are written, which takes microseconds, and handed to a thread that alone touches the disk
or the journal: a slow one holds up nothing. Its queue is bounded; what finds no room is counted, and the count logged.
"""

import io
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from sovereign_pbx.assistants.secret import MASK, looks_secret

Format = Literal["auto", "json", "console", "journald"]
Redact = Callable[[str], str]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "exception": 3, "critical": 2}  # sd-daemon(3)

_NAME = r"(?:api_?key|secret|passw(?:or)?d|token|authorization)"

# What looks like a secret wherever it stands: keys of vendors and of our API, HTTP authorization, passwords and keys in
# URLs and in quoted dumps. Values end at quotes and backslashes, so that redacted JSON stays JSON. A pattern is tried
# only if one of its words is in the line: the words cost a quarter of what the patterns do.
_PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (
        ("sk-", "sk_", "xai-", "fl_live_", "fl_test_", "hf_"),
        re.compile(r"(?i)\b(?:g?sk|xai|fl_live|fl_test|hf)[-_][a-z0-9_-]{8,}"),
        MASK,
    ),
    (
        ("bearer ", "authorization"),
        re.compile(r"(?i)\b(bearer|authorization[\"'\\]*:[\"'\\ ]*(?!bearer)\w+)\s+[^\s\"'\\,]{6,}"),
        rf"\1 {MASK}",
    ),
    # a digit among them, because "a basic question" and "a token of" are no secrets
    (
        ("basic ", "token "),
        re.compile(r"(?i)\b(basic|token)\s+(?=[^\s\"'\\,]*\d)[^\s\"'\\,]{8,}"),
        rf"\1 {MASK}",
    ),
    (("@",), re.compile(r"(://[^/\s:@\"'\\]{0,256}):[^/\s@\"'\\]{1,256}@"), rf"\1:{MASK}@"),
    (
        ("key=", "secret=", "passwd=", "password=", "token=", "authorization="),
        re.compile(rf"(?i)({_NAME}=)[^\s&\"'\\]+"),
        rf"\1{MASK}",
    ),
    (
        ('key\\"', 'key"', "key'", "secret", "passw", 'token\\"', 'token"', "token'", "authorization"),
        re.compile(rf"(?i)({_NAME}(?:\\?\"|'): ?(?:\\?\"|'))[^\"'\\]+"),
        rf"\1{MASK}",
    ),
)


def redact_text(text: str) -> str:
    """`text` with everything that looks like a secret masked."""
    lowered = text.lower()
    for words, pattern, replacement in _PATTERNS:
        if any(word in lowered for word in words):
            text = pattern.sub(replacement, text)
    return text


def redact_keys(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> EventDict:
    """Processor: values under keys such as `api_key` or `authorization` are masked, however deep they lie."""
    return {key: _masked(key, value, 0) for key, value in event_dict.items()}


def _masked(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, str | bytes) and value and looks_secret(key):
        return MASK
    if depth > 8:
        return "…"
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), item, depth + 1) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, item, depth + 1) for item in value]
    return value


class LineWriter:
    """Writes lines in a thread of its own. `capacity` bounds the lines that wait (policy: the newest is dropped)."""

    def __init__(self, stream: TextIO, capacity: int = 10_000) -> None:
        self._stream = stream
        self._capacity = capacity
        self._changed = threading.Condition()  # protects all below
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._dropped_before = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that found no room, ever."""
        return self._dropped_before + self._dropped

    def write(self, line: str) -> None:
        """Queue one line (without its newline). Never blocks, never raises."""
        with self._changed:
            full = len(self._lines) >= self._capacity or self._closing
            if full and threading.current_thread() is not self._thread:  # its own report always finds room
                self._dropped += 1
                return
            self._lines.append(line)
            self._changed.notify()

    def close(self, patience_s: float = 2.0) -> None:
        """Write what is queued and end the thread; a stream that hangs is left behind after `patience_s`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closing)
                lines, self._lines = list(self._lines), deque()
                dropped, self._dropped = self._dropped, 0
                self._dropped_before += dropped
                last = self._closing
            self._put(lines)
            if dropped:
                # Through the front door, so that it looks as every other line does.
                structlog.get_logger(__name__).warning("log_lines_dropped", lines=dropped)
            if last and not lines and not dropped:
                return
            if not last:
                # A burst becomes one write. Waking this thread for each line costs the loop more than the line itself.
                time.sleep(0.005)

    def _put(self, lines: list[str]) -> None:
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
        except (OSError, ValueError):
            # Nowhere is left to say so: a full disk or a closed pipe must not end the daemon.
            with self._changed:
                self._dropped_before += len(lines)


class _Logger:
    """What structlog writes to: knows its module's name, and one method for each level."""

    def __init__(self, put: Callable[[str], None], name: str = "") -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = self.fatal = put
        self.msg = self.log = put


class _Captured(logging.Handler):
    """Brings the standard library's logging (aiohttp, asyncio, SDKs) into the same stream."""

    def __init__(self, processors: list[Processor], put: Callable[[str], None]) -> None:
        super().__init__()
        self._processors = processors
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        method = record.levelname.lower()
        event: Any = {"event": record.getMessage(), "exc_info": record.exc_info}
        try:
            for processor in self._processors:
                event = processor(_Logger(self._put, record.name), method, event)
            self._put(event)
        except Exception:
            self.handleError(record)


def setup(
    level: str = "info",
    format: Format = "auto",
    *,
    stream: TextIO | None = None,
    redact: Redact = lambda text: text,
    capacity: int = 10_000,
) -> LineWriter:
    """Send everybody's logs to `stream` (standard error). Close the writer at the very end.

    `redact` masks secrets known by value; what looks like one is masked anyway.
    """
    target = stream or sys.stderr
    writer = LineWriter(target, capacity)
    chosen = _chosen(format, target)
    processors = _processors(chosen, target, redact)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *names: _Logger(writer.write, *names),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Captured(processors, writer.write)]
    root.setLevel(_level_of_libraries(level))
    logging.captureWarnings(True)
    return writer


def set_level(level: str) -> None:
    """From now on less important lines than these are left out. After `setup`."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]))
    logging.getLogger().setLevel(_level_of_libraries(level))


def _level_of_libraries(level: str) -> int:
    """They tell their own story at INFO: a line for each request. It is wanted only by whoever debugs."""
    return logging.DEBUG if level == "debug" else max(logging.WARNING, _LEVELS[level])


def _chosen(format: Format, stream: TextIO) -> Format:
    if format != "auto":
        return format
    if _is_journal(stream):
        return "journald"
    return "console" if stream.isatty() else "json"


def _is_journal(stream: TextIO) -> bool:
    """systemd names device and inode of the journal's socket in JOURNAL_STREAM (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, io.UnsupportedOperation):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _processors(format: Format, stream: TextIO, redact: Redact) -> list[Processor]:
    renderer: Processor = _to_json
    if format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), timestamp_key="at", exception_formatter=_plain_exception
        )

    def finish(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> str:
        line = renderer(logger, method, event_dict)
        assert isinstance(line, str)
        line = redact(redact_text(line)).encode("utf-8", "replace").decode()
        return f"<{_PRIORITIES.get(method, 6)}>{line}" if format == "journald" else line

    chain: list[Processor] = [structlog.contextvars.merge_contextvars, _add_origin, redact_keys]
    if format != "console":
        chain.append(structlog.processors.format_exc_info)
    return [*chain, finish]


def _add_origin(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> EventDict:
    """First in the line, because that is where people look."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    level = "error" if method == "exception" else method
    return {"at": at, "level": level, "event": event_dict.pop("event", ""), "logger": logger.name, **event_dict}


def _to_json(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(event_dict, enc_hook=str).decode()
    except (TypeError, ValueError, RecursionError):  # lone surrogates, keys that are no text, a loop
        return msgspec.json.encode({key: ascii(value) for key, value in event_dict.items()}).decode()


def _plain_exception(sio: TextIO, exc_info: Any) -> None:
    """Without the values of local variables, among which secrets would be."""
    sio.write("\n" + "".join(traceback.format_exception(*exc_info)))
