"""What `bench --conversation` makes of a caller's course; its scripted recogniser tells words as they are said."""

import asyncio
import json
import math
from itertools import groupby

import aiohttp
import numpy as np
from click.testing import CliRunner

from sovereign_pbx.cli import cli
from sovereign_pbx.commands.bench.conversation import COLUMNS, Row, as_json, markdown
from sovereign_pbx.commands.bench.course import COURSE, LISTEN_S, PAUSE_S, Met, script, seconds, work_out
from sovereign_pbx.testing.heard import Sound
from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram
from sovereign_pbx.testing.providers.deepgram import Utterance as Said
from sovereign_pbx.testing.providers.openai import Answer, ScriptedOpenAI
from sovereign_pbx.testing.utterance import Utterance
from tests.waiting import until


def said(start: float, end: float) -> Utterance:
    utterance = Utterance(b"")
    utterance.started_at, utterance.ended_at = start, end
    return utterance


def met(kind: str, *utterances: Utterance, sounds: tuple[Sound, ...]) -> Met:
    found = Met()
    work_out([(kind, utterances)], sounds, found)  # type: ignore[list-item]  # one of the course's kinds
    return found


def test_questions_and_words_are_timed_apart() -> None:
    assert [round(ms) for ms in met("question", said(1, 2), sounds=(Sound(2.5, 5),)).question_ms] == [500]
    assert [round(ms) for ms in met("word", said(1, 2), sounds=(Sound(2.6, 5),)).word_ms] == [600]


def test_an_answer_that_does_not_come_is_unanswered() -> None:
    assert met("question", said(1, 2), sounds=(Sound(9, 10),)).unanswered == 1


def test_sound_that_begins_in_a_pause_was_talked_into_it() -> None:
    halves = (said(1, 2), said(2.7, 4))
    assert met("pause", *halves, sounds=(Sound(2.6, 2.9), Sound(4.5, 6))).talked_into == 1
    quiet = met("pause", *halves, sounds=(Sound(4.5, 6),))
    assert (quiet.pauses, quiet.talked_into, quiet.unanswered) == (1, 0, 0)


def test_an_assistant_that_goes_on_after_an_oh_was_not_stopped() -> None:
    oh = said(10, 10.3)
    assert met("oh", oh, sounds=(Sound(8, 10.4), Sound(11.0, 20))).stopped_by_oh == 0
    assert met("oh", oh, sounds=(Sound(8, 10.4), Sound(11.0, 11.3))).stopped_by_oh == 1
    assert met("oh", oh, sounds=(Sound(8, 9.9), Sound(10.2, 10 + LISTEN_S))).ohs == 0


def test_callers_add_up() -> None:
    both = Met(question_ms=[1.0], pauses=2)
    both.add(Met(question_ms=[2.0], word_ms=[3.0], pauses=1, lost=1))
    assert both == Met(question_ms=[1.0, 2.0], word_ms=[3.0], pauses=3, lost=1)


def test_the_script_says_every_sound_of_the_course_with_its_length() -> None:
    names = [name for _, sounds in COURSE for name in sounds]
    lines = script()["deepgram"]
    assert [line["seconds"] for line in lines] == [seconds(name) for name in names]
    assert PAUSE_S == 0.7
    assert json.dumps(script())


def test_the_table_has_a_row_for_each_measurement() -> None:
    row = Row(10, True, 150, Met(question_ms=[500.0, 600.0], word_ms=[400.0]), 0.5, 3.0, 0.2)
    lines = markdown([row]).splitlines()
    assert len(lines) == 3
    assert all(line.count("|") == len(COLUMNS) + 1 for line in lines)
    assert as_json(row)["question_p50_ms"] == 500.0


def test_a_running_daemon_is_not_measured_by_it() -> None:
    result = CliRunner().invoke(cli, ["bench", "--conversation", "--agi", "127.0.0.1:1", "--audio", "127.0.0.1:2"])
    assert result.exit_code == 2
    assert "daemon of its own" in result.output


def test_interims_grow_word_by_word_each_so_long_after_its_word() -> None:
    async def scene() -> None:
        line = [Said(("One two three four.",), seconds=0.4)]
        async with ScriptedDeepgram(line, interim_lag_ms=100) as vendor, aiohttp.ClientSession() as session:
            url = f"{vendor.url}/v1/listen?model=nova-3&encoding=linear16&sample_rate=8000&interim_results=true"
            heard: list[tuple[float, str, bool]] = []
            async with session.ws_connect(url, headers={"Authorization": "Token test-key"}) as socket:

                async def listen() -> None:
                    async for message in socket:
                        result = json.loads(message.data)
                        if result["type"] == "Results":
                            text = result["channel"]["alternatives"][0]["transcript"]
                            heard.append((result["start"] + result["duration"], text, result["is_final"]))

                listening = asyncio.create_task(listen())
                tone = (8000 * np.sin(np.arange(3200) * 0.3)).astype("<i2").tobytes() + bytes(3200)
                for at in range(0, len(tone), 320):
                    await socket.send_bytes(tone[at : at + 320])
                    await asyncio.sleep(0.02)
                await until(lambda: heard and heard[-1][2])
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            interims = [(round(at, 2), text) for at, text, final in heard if not final]
            told = [next(group) for _, group in groupby(interims, key=lambda each: each[1])]
            assert [text for _, text in told] == ["One", "One two", "One two three", "One two three four."]
            assert all(math.isclose(at, 0.2 + 0.1 * place, abs_tol=0.045) for place, (at, _) in enumerate(told))

    asyncio.run(scene())


def test_the_scripted_model_answers_certain_words_at_any_turn() -> None:
    vendor = ScriptedOpenAI(["First.", Answer("Special.", when="magic"), "Second."])

    def answer(*words: str) -> str:
        return vendor._answer({"messages": [{"role": "user", "content": word} for word in words]}).text

    assert [answer("a"), answer("a", "b"), answer("a", "some magic"), answer("a", "b", "c")] == [
        "First.",
        "Second.",
        "Special.",
        "First.",
    ]
