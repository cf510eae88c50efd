"""What a call keeps of its links' quality, and what an administrator is told."""

import asyncio
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from sovereign_pbx.calls.media_quality import MediaQuality, figures_of, in_a_line, look_at
from sovereign_pbx.calls.trace import Trace, Tracer
from sovereign_pbx.commands.call_page import CallPage
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.link import LinkQuality
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.store import CallRow
from tests.api.rest import serving_rest
from tests.calls.house import GREETING, house, play, quiet
from tests.media.scripted import Diary, ScriptedLink

FINE = LinkQuality(codec="PCMU", mos=4.36, loss_percent=0.1, jitter_ms=1.24, delay_ms=40.0, concealed_ms=20.0)
POOR = replace(
    FINE, mos=2.113, loss_percent=8.0, jitter_ms=44.0, far_loss_percent=6.0, far_jitter_ms=3.0, round_trip_ms=12.0
)


class Measured(ScriptedLink):
    def __init__(self, quality: LinkQuality | None) -> None:
        super().__init__()
        self._quality = quality

    def quality(self) -> LinkQuality | None:
        return self._quality


def used(quality: LinkQuality | None, seconds: float = 3.0, *, silent: bool = False) -> Line:
    """A line that was on the clock for so long."""
    link = Measured(quality)
    line = Line(link, Diary())
    for _ in range(round(seconds * 50)):
        if not silent:
            link.incoming.append(bytes(320))
        line.take()
        line.put()
    return line


def test_a_call_of_one_link_keeps_its_figures_and_what_nobody_knows_stays_unknown() -> None:
    kept = MediaQuality(Tracer())
    kept.line_over(used(FINE))
    assert kept.shown == {
        "link": "scripted",
        "codec": "PCMU",
        "mos": 4.36,
        "loss_percent": 0.1,
        "jitter_ms": 1.2,
        "delay_ms": 40.0,
        "concealed_ms": 20.0,
        "far_loss_percent": None,
        "far_jitter_ms": None,
        "round_trip_ms": None,
        "links": 1,
    }


def test_of_several_links_the_worst_counts_and_one_that_was_told_twice_counts_once() -> None:
    kept, poor = MediaQuality(Tracer()), used(POOR)
    for line in (used(FINE), poor, poor, used(FINE)):
        kept.line_over(line)
    assert kept.shown is not None
    assert (kept.shown["mos"], kept.shown["links"]) == (2.11, 3)


def test_a_link_of_a_moment_counts_only_where_there_is_no_other() -> None:
    kept = MediaQuality(Tracer())
    kept.line_over(used(POOR, 0.5))
    assert kept.shown is not None and kept.shown["mos"] == 2.11
    kept.line_over(used(FINE))
    assert kept.shown["mos"] == 4.36


@pytest.mark.parametrize("quality", [None, replace(FINE, mos=float("nan"))])
def test_where_no_link_knows_the_call_does_not_either(quality: LinkQuality | None) -> None:
    seen: list[Trace] = []
    tracer = Tracer()
    tracer.watch(seen.append)
    kept = MediaQuality(tracer)
    kept.line_over(used(quality))
    assert kept.shown is None and not seen


def test_a_figure_that_is_no_number_is_unknown() -> None:
    assert figures_of(replace(FINE, jitter_ms=float("inf")))["jitter_ms"] is None


def test_observers_are_told_of_each_link_and_the_log_warns_of_a_poor_one() -> None:
    seen: list[Trace] = []
    tracer = Tracer()
    tracer.watch(seen.append)
    kept = MediaQuality(tracer)
    with capture_logs() as logs:
        kept.line_over(used(FINE))
        kept.line_over(used(POOR))
        kept.line_over(used(POOR, 0.5))
    assert [trace.keys["figures"]["mos"] for trace in seen] == [4.36, 2.11, 2.11]
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert warning["event"] == "media.poor" and "lost or too late" in warning["look_at"]


@pytest.mark.parametrize(
    ("seconds", "expects", "warned"),
    [(3.0, True, True), (3.0, False, False), (0.5, True, False)],
    ids=["a talk", "words of refusal", "a moment"],
)
def test_a_line_on_which_nothing_ever_came_is_no_good_one(seconds: float, expects: bool, warned: bool) -> None:
    """The figures of a link that has got nothing are those of a perfect one."""
    seen: list[Trace] = []
    tracer = Tracer()
    tracer.watch(seen.append)
    kept = MediaQuality(tracer, expects=expects)
    silent = used(FINE, seconds, silent=True)
    with capture_logs() as logs:
        kept.line_over(silent)
        kept.line_over(silent)
    assert kept.shown is None and not seen
    assert [line["event"] for line in logs] == (["media.one_way"] if warned else [])


def test_an_administrator_is_told_where_to_look() -> None:
    assert look_at(POOR).count(";") == 2  # loss both ways, and jitter
    assert "uneven" in look_at(replace(FINE, jitter_ms=60.0)) and "jitter_max_ms" in look_at(POOR)
    assert look_at(replace(FINE, round_trip_ms=700.0)) == "the way to the PBX is long"
    assert "same telephone" in look_at(FINE)


def test_a_person_reads_it_in_one_line_without_what_is_not_known() -> None:
    assert in_a_line({"link": "rtp", **figures_of(FINE), "links": 1}) == (
        "MOS 4.36 (PCMU over rtp): 0.1 % lost, jitter 1.2 ms, kept back 40 ms, 20 ms made up"
    )
    told = in_a_line({"link": "rtp", **figures_of(POOR), "links": 2})
    assert "6 % lost at the far end" in told and told.endswith("; the worst of 2 links")


def test_calls_show_has_it_where_it_is_known() -> None:
    figures = {"link": "rtp", **figures_of(FINE), "links": 1}
    with Console(width=200, file=StringIO(), record=True) as console:
        console.print(CallPage(CallRow(id="one", media_quality=figures), [], [], [], []).render())
        console.print(CallPage(CallRow(id="two"), [], [], [], []).render())
    shown = console.export_text()
    assert shown.count("sound") == shown.count("MOS 4.36") == 1


def test_the_quality_of_a_call_stands_in_its_row_its_report_and_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AudioSocketLink, "quality", lambda link: POOR)

    async def scene() -> None:
        async with house(tmp_path) as place, place.caller() as caller:
            await caller.place()
            await quiet(caller)
            await caller.hang_up()
            (report,) = await place.reported()
            (row,) = await place.rows()
            expected = {"link": "audiosocket", **figures_of(POOR), "links": 1}
            assert row.media_quality == expected
            assert report["call"]["media_quality"] == expected
            assert report["messages"][0]["content"] == GREETING
            scraped = place.daemon.metrics.registry
            assert scraped.get_sample_value("sovereign_media_mos_count", {"link": "audiosocket"}) == 1

    play(scene())


def test_a_call_whose_link_can_not_know_has_none(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving_rest(tmp_path) as api:
            from tests.api.test_calls import at, keep

            await keep(api, "one", at(1))
            await keep(api, "two", at(2), media_quality={"link": "rtp", **figures_of(FINE), "links": 1})
            assert (await api.get("/calls/one")).body["media_quality"] is None
            assert (await api.get("/calls/two")).body["media_quality"]["codec"] == "PCMU"

    asyncio.run(scene())
