"""The history: in order, once, and nothing in it that was not heard."""

from sovereign_pbx.core.history import Entry, History
from sovereign_pbx.core.ledger import Ledger
from sovereign_pbx.core.values import Message, ToolCall

BOOK = ToolCall("t1", "book", "{}")


def said(history: History, ledger: Ledger, text: str, entry: Entry | None = None) -> int:
    """Queue `text` as speech of the assistant."""
    segment = ledger.add(text, "reply", 1)
    (entry or history.add_assistant()).segments.append(segment)
    return segment.number


def finish(ledger: Ledger, number: int, played_ms: float | None = None) -> None:
    segment = ledger.find(number)
    assert segment is not None
    if played_ms is None:
        ledger.finish(segment)
    else:
        ledger.cut(segment, played_ms)


def test_the_callers_words_are_pending_until_they_are_answered() -> None:
    history, ledger = History(), Ledger()
    history.add_user("hello")
    number = said(history, ledger, "Hi.")
    assert history.settle() == []
    finish(ledger, number)
    assert history.settle() == [Message("user", "hello"), Message("assistant", "Hi.")]


def test_words_that_were_not_answered_join_the_next() -> None:
    history, ledger = History(), Ledger()
    history.add_user("I want")
    number = said(history, ledger, "Yes?")
    finish(ledger, number, 0)
    history.settle()
    history.add_user("a cake")
    assert history.messages() == [Message("user", "I want a cake")]


def test_words_on_both_sides_of_an_unheard_answer_become_one_message() -> None:
    history, ledger = History(), Ledger()
    history.add_user("I want")
    number = said(history, ledger, "Yes?")
    history.add_user("a cake")
    finish(ledger, number, 0)
    history.settle()
    assert history.messages() == [Message("user", "I want a cake")]


def test_results_stand_behind_their_calls_whatever_is_said_meanwhile() -> None:
    history, ledger = History(), Ledger()
    history.add_user("book it")
    asker = history.add_assistant(streaming=True)
    first = history.add_tool(asker, BOOK)
    number = said(history, ledger, "One moment.")
    second = history.add_tool(asker, ToolCall("t2", "stock", "{}"))
    asker.streaming = False
    finish(ledger, number)
    assert [message.role for message in history.settle()] == ["user", "assistant"]
    second.text, second.pending = "three", False
    first.text, first.pending = "booked", False
    assert [(message.role, message.content) for message in history.settle()] == [
        ("tool", "booked"),
        ("tool", "three"),
        ("assistant", "One moment."),
    ]


def test_nothing_is_remembered_twice() -> None:
    history = History()
    history.add_system("x")
    assert history.settle() == [Message("system", "x")]
    assert history.settle() == []
    assert history.remembered == [Message("system", "x")]


def test_the_model_never_sees_the_assistant_speak_twice_in_a_row() -> None:
    history, ledger = History(), Ledger()
    for text in ("Hello.", "Are you there?"):
        finish(ledger, said(history, ledger, text))
    history.settle()
    assert history.messages() == [Message("assistant", "Hello. Are you there?")]
    assert len(history.remembered) == 2


def test_the_end_of_the_call_settles_everything() -> None:
    history, ledger = History(), Ledger()
    history.add_user("hello")
    entry = history.add_assistant(streaming=True)
    finish(ledger, said(history, ledger, "Hi there.", entry), 0)
    history.fix_all()
    assert history.settle() == [Message("user", "hello")]


def test_an_answer_that_was_cut_says_so() -> None:
    history, ledger = History(), Ledger()
    number = said(history, ledger, "Hi there.")
    history.mark_cut()
    finish(ledger, number, 300)
    (message,) = history.settle()
    assert message == Message("assistant", "Hi", interrupted=True)
