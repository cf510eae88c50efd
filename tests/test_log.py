"""Every line names its call, no line holds a secret, and no disk holds up the loop."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx import log
from sovereign_pbx.log import Format, LineWriter, redact_text

SECRET = "Zx9-hidden-Zx9"


@pytest.fixture(autouse=True)
def settings_are_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def written(use: Callable[[], None], format: Format = "json", level: str = "info", **options: Any) -> str:
    stream = io.StringIO()
    writer = log.setup(level, format, stream=stream, **options)
    use()
    writer.close()
    return stream.getvalue()


def lines(use: Callable[[], None], **options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(use, **options).splitlines()]


def test_a_line_has_time_level_event_and_logger_first() -> None:
    def use() -> None:
        structlog.get_logger("a.b").info("turn_done", number=3)

    line = lines(use)[0]
    assert list(line)[:4] == ["at", "level", "event", "logger"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert (line["level"], line["event"], line["logger"], line["number"]) == ("info", "turn_done", "a.b", 3)


def test_the_calls_id_is_in_every_line_of_its_tasks_and_in_no_other() -> None:
    async def call(call_id: str) -> None:
        structlog.contextvars.bind_contextvars(call_id=call_id)
        await asyncio.sleep(0)
        structlog.get_logger("a").info("mine", expected=call_id)
        logging.getLogger("library").warning("%s", call_id)

    async def run() -> None:
        await asyncio.gather(*(asyncio.create_task(call(f"c{n}")) for n in range(5)))
        structlog.get_logger("a").info("nobodys")

    found = lines(lambda: asyncio.run(run()))
    assert len(found) == 11
    for line in found:
        assert line.get("call_id") == (line.get("expected") or (line["event"] if line["event"] != "nobodys" else None))


def test_lines_below_the_level_are_not_written() -> None:
    def use() -> None:
        for method in ("debug", "info", "warning", "error"):
            getattr(structlog.get_logger("a"), method)(method)

    assert [line["event"] for line in lines(use, level="warning")] == ["warning", "error"]


def test_an_exception_is_written_with_its_traceback_and_without_local_values() -> None:
    def use() -> None:
        local = SECRET
        try:
            raise ValueError(len(local))
        except ValueError:
            structlog.get_logger("a").exception("broken")

    for format in ("json", "console"):
        text = written(use, format=format)
        assert "ValueError: 14" in text and "Traceback" in text
        assert SECRET not in text
    assert lines(use)[0]["level"] == "error"


def test_the_standard_librarys_logging_and_warnings_come_along() -> None:
    def use() -> None:
        logging.getLogger("aiohttp.server").error("from %s", "aiohttp")
        logging.getLogger("httpx").info("a line for each request is not wanted")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)

    found = lines(use)
    assert [(line["logger"], line["level"]) for line in found] == [
        ("aiohttp.server", "error"),
        ("py.warnings", "warning"),
    ]
    assert found[0]["event"] == "from aiohttp"


def test_the_journal_gets_a_priority_before_each_line() -> None:
    def use() -> None:
        logger = structlog.get_logger("a")
        logger.info("one")
        logger.warning("two")
        logger.critical("three\nin two lines")

    found = written(use, format="journald").splitlines()
    assert [line[:3] for line in found] == ["<6>", "<4>", "<2>"]
    assert json.loads(found[2][3:])["event"] == "three\nin two lines"


def test_auto_means_json_into_a_file() -> None:
    assert json.loads(written(lambda: structlog.get_logger("a").info("x"), format="auto"))["event"] == "x"


def test_auto_means_the_journals_format_where_systemd_says_so() -> None:
    program = (
        "import structlog; from sovereign_pbx import log; w = log.setup(); structlog.get_logger().info('x'); w.close()"
    )
    reading, writing = os.pipe()
    status = os.fstat(writing)
    environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    subprocess.run([sys.executable, "-c", program], stderr=writing, env=environment, check=True)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read().startswith('<6>{"at"')


HIDDEN: list[dict[str, Any]] = [
    {"api_key": SECRET},
    {"settings": {"Authorization": SECRET, "inner": [{"password": SECRET}]}},
    {"webhook_secret": SECRET.encode()},
    {"tokens": {"access_token": SECRET}},
    {"error": f"401 for Bearer {SECRET}"},
    {"error": f"header Authorization: Token {SECRET} refused"},
    {"error": f"GET wss://user:{SECRET}@host/path failed"},
    {"error": f"GET https://host/path?x=1&api_key={SECRET}&y=2 failed"},
    {"error": f'the server said {{"api_key": "{SECRET}"}}'},
    {"error": f"headers={{'X-Api-Key': 'a', 'api_key': '{SECRET}'}}"},
    {"error": "bad key sk-Zx9hiddenZx9hidden"},
    {"error": "bad key xai-Zx9hiddenZx9hidden and fl_live_Zx9hiddenZx9hidden"},
]


@pytest.mark.parametrize("values", HIDDEN)
@pytest.mark.parametrize("format", ["json", "console", "journald"])
def test_a_secret_is_masked_wherever_it_stands(values: dict[str, Any], format: Format) -> None:
    text = written(lambda: structlog.get_logger("a").info("x", **values), format=format)
    assert "hidden" not in text
    assert "***" in text


def test_a_secret_in_an_exceptions_text_is_masked() -> None:
    def use() -> None:
        try:
            raise RuntimeError(f"https://host/?token={SECRET}")
        except RuntimeError:
            structlog.get_logger("a").exception("broken")

    assert SECRET not in written(use)


def test_a_secret_known_by_its_value_is_masked() -> None:
    def use() -> None:
        structlog.get_logger("a").info(f"plain {SECRET} text")

    assert lines(use, redact=lambda text: text.replace(SECRET, "***"))[0]["event"] == "plain *** text"


def test_what_is_no_secret_is_left_alone() -> None:
    values = {"prompt_tokens": 5, "said": "my token of appreciation, a basic question", "url": "https://host:443/a@b"}
    line = lines(lambda: structlog.get_logger("a").info("x", **values))[0]
    assert {key: line[key] for key in values} == values


@given(st.dictionaries(st.text(st.characters(codec=None)), st.text(st.characters(codec=None))), st.text())
def test_redacting_json_leaves_json(values: dict[str, str], secret: str) -> None:
    values["e"] = f"api_key={secret} 'token': '{secret}' Bearer {secret} http://u:{secret}@h/"
    text = json.dumps(values)
    assert list(json.loads(redact_text(text)).values()) is not None
    assert list(json.loads(redact_text(json.dumps(text)))) != []


def test_values_that_json_cannot_hold_are_written_as_text() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop

    def use() -> None:
        logger = structlog.get_logger("a")
        logger.info("surrogate", text="\ud800")
        logger.info("object", thing=object(), kinds={1: {2, 3}})
        logger.info("loop", thing=loop)

    assert [line["event"].strip("'") for line in lines(use)] == ["surrogate", "object", "loop"]


class Stuck(io.StringIO):
    """A disk that hangs until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.free.wait(10)
        return super().write(text)


def test_a_stuck_disk_delays_nobody_and_what_was_dropped_is_counted() -> None:
    stream = Stuck()
    writer = log.setup("info", "json", stream=stream, capacity=10)
    logger = structlog.get_logger("a")
    began = time.monotonic()
    for number in range(1000):
        logger.info("line", number=number)
    assert time.monotonic() - began < 2.0
    stream.free.set()
    writer.close()
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = sum(line["lines"] for line in found if line["event"] == "log_lines_dropped")
    kept = sum(1 for line in found if line["event"] == "line")
    assert writer.dropped == told == 1000 - kept
    assert kept >= 10


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    writer = LineWriter(Broken())
    writer.write("one")
    writer.close()
    assert writer.dropped == 1


def test_closing_does_not_wait_for_a_stream_that_hangs() -> None:
    stream = Stuck()
    writer = LineWriter(stream)
    writer.write("one")
    began = time.monotonic()
    writer.close(patience_s=0.05)
    assert time.monotonic() - began < 1.0
    stream.free.set()


def test_nothing_is_lost_at_the_end_of_a_burst() -> None:
    def use() -> None:
        for number in range(3000):
            structlog.get_logger("a").info("line", number=number)

    assert [line["number"] for line in lines(use)] == list(range(3000))
