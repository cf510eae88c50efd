"""Reports by mail: what arrives, what is refused and how, and that a bad server costs nobody but itself."""

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.calls.report import addresses_of, mail_url
from sovereign_pbx.core.errors import BadInput, WebhookError
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow, Outgoing
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.testing.smtp import ScriptedSmtp, mail_server
from sovereign_pbx.webhooks.carrier import TurnedDown
from sovereign_pbx.webhooks.delivery import Deliverer, Patience
from sovereign_pbx.webhooks.envelope import CallFacts, end_of_call_report
from sovereign_pbx.webhooks.letter import letter
from sovereign_pbx.webhooks.mail import MailCarrier, MailServer
from sovereign_pbx.webhooks.post import open_session
from tests.waiting import until
from tests.webhooks.receiver import SECRET, Receiver, fine, listening

PEM = Path(__file__).with_name("localhost.pem")
AT = "2026-11-20T07:33:12.400Z"
ACCOUNTS = {"pbx": "geheim"}


def report(**changes: Any) -> bytes:
    usual: dict[str, Any] = {
        "duration_seconds": 84,
        "summary": "She wants an appointment.",
        "messages": [Message("assistant", "Hello."), Message("user", "Ik wil graag één afspraak.")],
        "end_reason": "user_hangup",
        "started_at": "2026-11-20T07:31:48.000Z",
        "ended_at": AT,
        "analysis": {"sentiment": 8, "topic": "appointment"},
        "recording_url": "https://pbx.example.com/api/v1/calls/c1/recording?expires=1&signature=x",
    }
    about = {"name": "Front desk", "business_name": None, "id": "desk"}
    facts = CallFacts(call_id="c1", caller="+31612345678", called="100", number_name="Main line", assistant=about)
    return end_of_call_report(facts, AT, **{**usual, **changes})


def mail(to: str = "desk@example.com", body: bytes | None = None, webhook_id: str = "w-1") -> Outgoing:
    event = "end-of-call-report"
    return Outgoing(
        webhook_id=webhook_id, call_id="c1", event=event, url=mail_url(to), body=report() if body is None else body
    )


def carrier(server: ScriptedSmtp, **more: Any) -> MailCarrier:
    usual: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "sender": "pbx@example.com", "timeout_s": 5.0}
    usual |= {"security": "none"} if server.tls is None else {"ca_file": str(PEM)}
    return MailCarrier(MailServer(**{**usual, **more}))


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def with_server(server: ScriptedSmtp, play: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), mail_server(server):
            await play()
            await until(lambda: mail_threads() == 0)  # one that connects late would outlive the loop
        assert server.wrong == []

    asyncio.run(run())


def test_a_report_arrives_as_text_and_as_html() -> None:
    server = ScriptedSmtp()

    async def play() -> None:
        await carrier(server).carry(mail())
        (got,) = server.letters
        assert (got.sender, got.to, got.encrypted) == ("pbx@example.com", ["desk@example.com"], False)
        message = got.message
        assert message["Subject"] == "Call from +31612345678 - Front desk (1 min 24 s)"
        assert message["To"] == "desk@example.com"
        assert message["From"] == "Sovereign PBX <pbx@example.com>"
        assert message["Message-ID"] == "<w-1@example.com>"
        assert message["Date"].datetime.isoformat() == "2026-11-20T07:33:12+00:00"
        text, page = (message.get_body((kind,)) for kind in ("plain", "html"))
        assert text is not None
        assert page is not None
        for part in (text.get_content(), page.get_content()):
            for told in ("She wants an appointment.", "Ik wil graag één afspraak.", "sentiment", "Main line"):
                assert told in part
        assert "recording?expires=1&amp;signature=x" in page.get_content()

    with_server(server, play)


@pytest.mark.parametrize("implicit", [False, True])
def test_it_is_encrypted_and_logged_in(implicit: bool) -> None:
    server = ScriptedSmtp(tls=server_tls(), implicit=implicit, accounts=ACCOUNTS)

    async def play() -> None:
        security = "tls" if implicit else "starttls"
        await carrier(server, security=security, username="pbx", password="geheim").carry(mail())
        (got,) = server.letters
        assert (got.encrypted, got.login) == (True, "pbx")

    with_server(server, play)


@pytest.mark.parametrize(
    ("fault", "for_good", "words"),
    [
        ("refuse_connection", False, "554"),
        ("refuse_sender", False, "550 5.1.8 who are you"),
        ("grey", False, "451"),
        ("no_relay", False, "the recipient was refused: 554 5.7.1"),
        ("no_mailbox", True, "the recipient was refused: 550 5.1.1 nobody"),
        ("refuse_data", True, "the mail was refused: 552"),
        ("drop", False, "dropped the connection"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words_and_final_only_where_nothing_could_mend_it(
    fault: Any, for_good: bool, words: str
) -> None:
    server = ScriptedSmtp(faults=[fault])

    async def play() -> None:
        with pytest.raises(WebhookError, match=words) as caught:
            await carrier(server).carry(mail())
        assert isinstance(caught.value, TurnedDown) is for_good
        assert server.letters == []
        await carrier(server).carry(mail())
        assert len(server.letters) == 1

    with_server(server, play)


def test_a_server_that_says_goodbye_badly_has_taken_it_all_the_same() -> None:
    server = ScriptedSmtp(faults=["bad_goodbye"])
    with_server(server, lambda: carrier(server).carry(mail()))
    assert len(server.letters) == 1


@pytest.mark.parametrize(("fault", "words"), [("no_starttls", "STARTTLS"), ("refuse_starttls", "454")])
def test_where_encryption_is_asked_for_nothing_goes_without(fault: Any, words: str) -> None:
    server = ScriptedSmtp(tls=server_tls(), always=fault, accounts=ACCOUNTS)

    async def play() -> None:
        with pytest.raises(WebhookError, match=words):
            await carrier(server, security="starttls", username="pbx", password="geheim").carry(mail())

    with_server(server, play)


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    server = ScriptedSmtp(tls=server_tls())

    async def play() -> None:
        with pytest.raises(WebhookError, match="TLS with the mail server failed"):
            await carrier(server, security="starttls", ca_file="").carry(mail())

    with_server(server, play)


def test_a_wrong_password_is_said_without_saying_it() -> None:
    server = ScriptedSmtp(accounts=ACCOUNTS)

    async def play() -> None:
        with pytest.raises(WebhookError, match="refused the login: 535") as caught:
            await carrier(server, username="pbx", password="falsch").carry(mail())
        assert "falsch" not in str(caught.value)

    with_server(server, play)
    assert "geheim" not in repr(MailServer(host="h", password="geheim"))


@pytest.mark.parametrize("fault", ["stall", "dribble"])
def test_one_deadline_holds_for_all_of_it_and_leaves_nothing_behind(fault: Any) -> None:
    server = ScriptedSmtp(always=fault)

    async def play() -> None:
        began = time.monotonic()
        with pytest.raises(WebhookError, match=r"not sent within 0.3 s"):
            await carrier(server, timeout_s=0.3).carry(mail())
        assert time.monotonic() - began < 2
        await until(lambda: mail_threads() == 0)

    with_server(server, play)


def mail_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("mail")


def test_a_server_that_is_not_there_is_said() -> None:
    server = ScriptedSmtp()

    async def play() -> None:
        with pytest.raises(WebhookError, match=r"no connection to the mail server: .*refused"):
            await carrier(server, port=1).carry(mail())

    with_server(server, play)


def test_whoever_finds_no_place_comes_again() -> None:
    server = ScriptedSmtp(always="stall")

    async def play() -> None:
        sender = carrier(server, timeout_s=1.0)
        sending = asyncio.gather(*(sender.carry(mail(webhook_id=f"w{n}")) for n in range(12)), return_exceptions=True)
        await until(lambda: server.open == 4)
        assert mail_threads() == 4
        assert all(isinstance(one, WebhookError) and one.kind == "timeout" for one in await sending)

    with_server(server, play)


HOSTILE = "Jan\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>"


def test_nothing_that_was_said_becomes_a_header_or_a_script() -> None:
    body = report(summary=HOSTILE, analysis={HOSTILE: HOSTILE}, recording_url="javascript:alert(1)")
    body = body.replace(b'"Front desk"', b'"Front\\r\\nBcc: all@example.com"').replace(b"+31612345678", b"1\\r\\nX: y")
    message = letter(body, webhook_id="w\r\nX-Y: z", sender="pbx@example.com", to="desk@example.com")
    names = {name for name, _ in message.items()}
    usual = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert names == usual
    page = message.get_body(("html",))
    assert page is not None
    assert "<script" not in page.get_content()
    assert 'href="javascript' not in page.get_content()


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_whatever_was_said_the_letter_can_be_written_and_read(caller: str, name: str, summary: str) -> None:
    facts = CallFacts(call_id="c", caller=caller, called="1", assistant={"name": name})
    said = [Message("user", summary)]
    body = end_of_call_report(
        facts, AT, duration_seconds=1, summary=summary, messages=said, end_reason="user_hangup", ended_at=AT
    )
    written = letter(body, webhook_id="w", sender="pbx@example.com", to="a@example.com").as_bytes()
    head = written.split(b"\r\n\r\n", 1)[0]
    assert b"Bcc" not in head.replace(b"Subject", b"") or b"Bcc" in caller.encode() + name.encode()
    assert max(map(len, written.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("to", ["a@b\r\nBcc:c@d", "a@b>", "a@b,c@d", "", "@", "a@", "plain", '"@b', "a@b c@d"])
def test_an_address_that_is_none_is_turned_down_and_nobody_is_written_to(to: str) -> None:
    with pytest.raises(BadInput):
        letter(report(), webhook_id="w", sender="pbx@example.com", to=to)
    server = ScriptedSmtp()

    async def play() -> None:
        with pytest.raises(TurnedDown):
            await carrier(server).carry(mail(to))
        assert server.letters == []

    with_server(server, play)


def test_each_address_is_written_to_once() -> None:
    given = {"notification_email": "a@x.nl", "notification_emails": ["A@x.nl", "b@x.nl", None, 5, ""]}
    assert addresses_of(given) == ["a@x.nl", "b@x.nl"]
    assert addresses_of({}) == []


@asynccontextmanager
async def delivering(folder: Path, sender: MailCarrier) -> AsyncIterator[tuple[SqliteStore, Deliverer]]:
    store = await SqliteStore.open(folder / "calls.db", synchronous="normal")
    async with open_session() as session:
        patience = Patience(attempt_s=2.0, first_s=0.05, longest_s=0.2)
        deliverer = Deliverer(store, session, carriers={"mailto": sender}, patience=patience, poll_s=0.05)
        deliverer.start()
        try:
            yield store, deliverer
        finally:
            await deliverer.close(grace_s=0.1)
            await store.close()


def test_a_letter_that_was_put_off_arrives_with_the_same_message_id(tmp_path: Path) -> None:
    server = ScriptedSmtp(faults=["grey", "drop"])

    async def play() -> None:
        async with delivering(tmp_path, carrier(server)) as (store, deliverer):
            await store.create_call(CallRow(id="c1"), [mail()])
            deliverer.poke()
            await until(lambda: server.letters, 10)
            assert server.connections == 3
            assert server.letters[0].message["Message-ID"] == "<w-1@example.com>"

    with_server(server, play)


def test_an_address_that_does_not_exist_is_a_dead_letter_at_once_and_the_next_one_gets_his(tmp_path: Path) -> None:
    server = ScriptedSmtp(faults=["no_mailbox"])

    async def play() -> None:
        async with delivering(tmp_path, carrier(server)) as (store, deliverer):
            await store.create_call(CallRow(id="c1"), [mail("gone@x.nl"), mail("b@x.nl", webhook_id="w-2")])
            deliverer.poke()
            await until(lambda: server.letters, 10)
            assert server.letters[0].to == ["b@x.nl"]
            first, _ = await store.deliveries("c1")
            assert (first.state, first.attempts) == ("dead", 1)
            assert "550 5.1.1 nobody" in (first.last_error or "")

    with_server(server, play)


def test_a_dead_mail_server_delays_nobodys_webhook(tmp_path: Path) -> None:
    server = ScriptedSmtp(always="stall")

    async def play() -> None:
        async with (
            listening(Receiver(fine)) as receiver,
            delivering(tmp_path, carrier(server, timeout_s=2.0)) as (store, deliverer),
        ):
            for number in range(40):
                letters = [mail(f"m{number}@x.nl", webhook_id=f"m{number}")]
                await store.create_call(CallRow(id=f"mail{number}"), [_of(one, f"mail{number}") for one in letters])
            deliverer.poke()
            await until(lambda: server.open, 10)
            began = time.monotonic()
            hook = Outgoing(
                webhook_id="h", call_id="c9", event="status-update", url=receiver.url, body=b"{}", secret=SECRET
            )
            await store.create_call(CallRow(id="c9"), [hook])
            deliverer.poke()
            await until(lambda: receiver.got, 10)
            assert time.monotonic() - began < 1.0

    with_server(server, play)


def _of(one: Outgoing, call_id: str) -> Outgoing:
    return Outgoing(webhook_id=one.webhook_id, call_id=call_id, event=one.event, url=one.url, body=one.body)
