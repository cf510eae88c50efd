"""The dialplan as text: rendered for an administrator's addresses, and the copy in the repository."""

from pathlib import Path

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.asterisk.dialplan import render

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_copy_in_the_repository_is_the_default() -> None:
    copy = REPOSITORY / "dialplan/asterisk/extensions_sovereign.conf"
    assert copy.read_text("utf-8") == render()


def test_addresses_context_and_fallback_are_filled_in() -> None:
    text = render(
        agi="pbx-ai:4000", audiosocket="[::1]:9000", context="bot", fallback="ext-queues,600,1", dial_timeout_s=45
    )
    assert "AGI(agi://pbx-ai:4000/inbound," in text
    assert "AudioSocket(${ARG1},[::1]:9000)" in text
    assert "Dial(AudioSocket/[::1]:9000/${ARG1}/" in text
    assert "[bot-inbound]" in text
    assert "?ext-queues,600,1)" in text
    assert "Set(SOVEREIGN_RING=45)" in text
    assert "@bot-dial,${SOVEREIGN_RING}," in text
    assert "U(bot-through^${SOVEREIGN_CALL}^${SOVEREIGN_BRIEF})" in text
    assert "\n[bot-through]\n" in text
    assert "[sovereign" not in text


def test_the_call_is_not_answered_before_the_decision() -> None:
    lines = [line for line in render().splitlines() if not line.startswith(";")]
    answer = next(number for number, line in enumerate(lines) if "Answer()" in line)
    decision = next(number for number, line in enumerate(lines) if "/inbound," in line)
    assert decision < answer
    assert sum("Answer()" in line for line in lines) == 1


def test_what_an_earlier_step_said_is_cleared_before_the_next_one_is_asked_for() -> None:
    text = render()
    asked = text.index("AGI(agi://127.0.0.1:4573/next,")
    cleared = text[text.index("n(next)") : asked]
    for name in ("NEXT", "TRUNK", "RING", "MUSIC", "CALLERID", "DIVERTED", "BRIEF", "MEDIA"):
        assert f"Set(SOVEREIGN_{name}=)" in cleared


@pytest.mark.parametrize("path", ["through", "brief", "briefed"])
def test_whom_a_caller_is_put_through_to_may_hang_up_at_any_time(path: str) -> None:
    text = render()
    place = text.index(f"/{path},${{ARG1}})")
    assert "Set(AGIEXITONHANGUP=yes)" in text[text.rindex("exten =>", 0, place) : place]


@pytest.mark.parametrize(
    "values",
    [
        {"agi": "host"},
        {"agi": "host:1)\nexten => x,1,System(rm)"},
        {"audiosocket": "a b:1"},
        {"context": "a]b"},
        {"fallback": "ext-queues"},
        {"fallback": "a,1,1)&System(x"},
        {"dial_timeout_s": 0},
    ],
)
def test_what_does_not_belong_into_a_dialplan_is_refused(values: dict[str, str | int]) -> None:
    with pytest.raises(ConfigError) as caught:
        render(**values)  # type: ignore[arg-type]  # each case has the type of its own parameter
    assert caught.value.key == next(iter(values))
