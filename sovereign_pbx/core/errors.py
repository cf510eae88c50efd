"""What can go wrong, one tree, grouped by what the caller of the code would do about it.

SovereignError
├── ConfigError           the administrator mends a file; carries file, line, column, key, remedy
├── BadInput              a peer sent what its protocol does not allow; carries what was wrong
├── LinkEnded             the media or control link is gone
│   ├── LinkFinished      the peer ended it in order (end of stream, hang-up)
│   ├── LinkClosed        we ended it
│   ├── LinkBroken        it died (reset, half-open, stalled)
│   └── LinkFull          the peer stopped reading and was dropped
├── ProviderError         a speech or language provider failed; carries provider, stage, kind
├── WebhookError          a customer's webhook failed; carries url, kind
└── Refused               we won't: a rule, a limit or the state of things forbids it; carries code, message
"""

from dataclasses import dataclass
from typing import Literal


class SovereignError(Exception):
    """Root of every error the daemon raises on purpose."""


@dataclass(eq=False)
class ConfigError(SovereignError):
    """Something in a configuration file is wrong; `str()` names file, line, key and remedy."""

    message: str
    file: str = ""
    line: int | None = None
    column: int | None = None
    key: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part not in ("", None))
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}\n    {self.remedy}" if self.remedy else text


class BadInput(SovereignError):
    """A peer broke its protocol. The message says how, never quoting secrets."""


class LinkEnded(SovereignError):
    """A media or control link is gone; the subclass says how."""


class LinkFinished(LinkEnded):
    """The peer ended the link in order."""


class LinkClosed(LinkEnded):
    """We ended the link."""


class LinkBroken(LinkEnded):
    """The link died: reset, half-open, stalled."""


class LinkFull(LinkEnded):
    """The peer stopped reading; it was dropped rather than waited for."""


Stage = Literal["stt", "llm", "tts", "realtime"]
ProviderFault = Literal[
    "refused",  # no connection, or the handshake was turned down for a passing reason (5xx, 429)
    "denied",  # permanent: key, model or voice is wrong (400, 401, 402, 403, 404, 422)
    "stalled",  # no answer within the deadline
    "dropped",  # the connection ended in the middle
    "garbled",  # the answer could not be understood
]


@dataclass(eq=False)
class ProviderError(SovereignError):
    """A provider failed at its stage. `denied` is permanent, everything else may pass."""

    provider: str
    stage: Stage
    kind: ProviderFault
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.stage} provider {self.provider} {self.kind}" + (f": {self.detail}" if self.detail else "")


WebhookFault = Literal["refused", "timeout", "status", "too_large", "not_json", "wrong_shape", "redirect"]


@dataclass(eq=False)
class WebhookError(SovereignError):
    """A customer's webhook did not give a usable answer."""

    url: str
    kind: WebhookFault
    detail: str = ""

    def __str__(self) -> str:
        return f"webhook {self.url} {self.kind}" + (f": {self.detail}" if self.detail else "")


@dataclass(eq=False)
class Refused(SovereignError):
    """An order that is not carried out. `code` is for programs (`destination_not_allowed`), `message` for people."""

    code: str
    message: str

    def __str__(self) -> str:
        return self.message
