"""An end-of-call report as a letter: text, and the same as HTML. Pure.

Everything in a report was said by a caller or written by a model, so nothing of it gets into a header or into HTML
unchanged.
"""

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Final

import msgspec

from sovereign_pbx.core.errors import BadInput

_SUBJECT: Final = 150
_WHO: Final = {"user": "Caller", "assistant": "Assistant"}
_STYLE: Final = "font-family:sans-serif;font-size:14px;color:#222"


def letter(body: bytes, *, webhook_id: str, sender: str, to: str) -> EmailMessage:
    """The letter for one address. `body` is an end-of-call report as the outbox keeps it; the Message-ID is made of
    `webhook_id`, so that a letter sent twice is one. Raises BadInput for an address that is none."""
    try:
        message = msgspec.json.decode(body)["message"]
        report = _Report(message)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as exc:
        raise BadInput("the report can't be read") from exc
    made = EmailMessage(policy=SMTP)
    try:
        own, other = Address(display_name="Sovereign PBX", addr_spec=sender), Address(addr_spec=to)
        if not (own.username and own.domain and other.username and other.domain):
            raise ValueError("half an address")
        made["From"], made["To"] = own, other
    except (ValueError, IndexError, MessageError) as exc:  # whatever the parser of addresses makes of a hostile one
        raise BadInput("that is no e-mail address") from exc
    made["Subject"] = report.subject
    made["Date"] = format_datetime(report.at)
    made["Message-ID"] = f"<{_token(webhook_id)}@{_token(own.domain) or 'localhost'}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers of absence, please
    made.set_content(report.text(), cte="base64" if not report.text().isascii() else "quoted-printable")
    made.add_alternative(report.html(), subtype="html", cte="base64")
    return made


class _Report:
    """What a person wants to know of a report."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self._message = message
        self.at = datetime.fromisoformat(str(message.get("ended_at") or message["timestamp"]))
        assistant = message.get("assistant") or {}
        self._assistant = str(assistant.get("name") or "")
        self._caller = str((message.get("customer") or {}).get("number") or "unknown number")
        self._said: Sequence[Mapping[str, Any]] = message.get("messages") or ()

    @property
    def subject(self) -> str:
        seconds = int(self._message.get("duration_seconds") or 0)
        name = f" - {self._assistant}" if self._assistant else ""
        return one_line(f"Call from {self._caller}{name} ({seconds // 60} min {seconds % 60} s)")[:_SUBJECT]

    def facts(self) -> list[tuple[str, str]]:
        """Name and value, in the order they are shown."""
        told, number = self._message, self._message.get("phone_number") or {}
        line = " ".join(str(number[name]) for name in ("number", "name") if number.get(name))
        seconds = told.get("duration_seconds")
        shown = (
            ("Caller", self._caller),
            ("Number called", line),
            ("Assistant", self._assistant),
            ("Began", told.get("started_at")),
            ("Lasted", f"{seconds} s" if seconds is not None else None),
            ("Ended by", told.get("end_reason")),
            ("Error", told.get("error")),
            ("Recording", told.get("recording_url")),
        )
        return [(name, one_line(str(value))) for name, value in shown if value]

    def analysis(self) -> list[tuple[str, str]]:
        found = self._message.get("analysis") or {}
        return [(one_line(str(name)), _written(value)) for name, value in found.items()]

    def said(self) -> list[tuple[str, str]]:
        return [(_WHO.get(str(one.get("role")), "?"), str(one.get("content", ""))) for one in self._said]

    def text(self) -> str:
        parts = [str(self._message.get("summary") or ""), _lines(self.facts())]
        if self.analysis():
            parts.append("Analysis\n" + _lines(self.analysis()))
        parts.append("\n".join(f"{who}: {text}" for who, text in self.said()))
        return "\n\n".join(part for part in parts if part) + "\n"

    def html(self) -> str:
        parts = [f"<p>{_escaped(str(self._message.get('summary') or ''))}</p>", _table(self.facts(), link="Recording")]
        if self.analysis():
            parts.append(f"<h3>Analysis</h3>{_table(self.analysis())}")
        if self.said():
            said = "".join(f"<p><b>{who}:</b> {_escaped(text)}</p>" for who, text in self.said())
            parts.append(f"<h3>Transcript</h3>{said}")
        return f'<!doctype html><html><body style="{_STYLE}">{"".join(parts)}</body></html>\n'


def one_line(text: str) -> str:
    """Without line breaks and control characters, which would end a header."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _token(text: str) -> str:
    return "".join(sign for sign in text if sign.isascii() and (sign.isalnum() or sign in "-_."))


def _lines(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in rows)


def _table(rows: Sequence[tuple[str, str]], link: str = "") -> str:
    cells = "".join(
        f"<tr><td><b>{_escaped(name)}</b></td><td>{_linked(value) if name == link else _escaped(value)}</td></tr>"
        for name, value in rows
    )
    return f'<table cellpadding="4">{cells}</table>'


def _linked(url: str) -> str:
    return (
        f'<a href="{_escaped(url)}">{_escaped(url)}</a>' if url.startswith(("http://", "https://")) else _escaped(url)
    )


def _escaped(text: str) -> str:
    return html.escape(text, quote=True).replace("\n", "<br>")


def _written(value: Any) -> str:
    return one_line(value if isinstance(value, str) else msgspec.json.encode(value).decode())
