"""What a request is answered when it can't be served (contract §18, the shape that client libraries read)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.core.errors import Refused, SovereignError

_STATUS_OF_REFUSAL: Mapping[str, int] = {
    "not_found": 404,
    "call_not_active": 400,
    "destination_not_allowed": 403,
    "do_not_call": 403,
    "bad_file": 400,
    "not_a_number": 400,
    "dialling_limit_reached": 429,
    "too_many_calls": 503,
    "pbx_unavailable": 503,
    "realtime_unavailable": 503,
    "shutting_down": 503,
    "store_slow": 503,
}
"""Refusals of the daemon that are not plain conflicts (409)."""


@dataclass(eq=False)
class ApiError(SovereignError):
    """An answer of 400 and above. `error` is the short text, `code` for programs, `details` one line a fault."""

    status: int
    code: str
    message: str
    details: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> dict[str, Any]:
        """As it is sent."""
        shown: dict[str, Any] = {"error": phrase_of(self.status), "code": self.code, "message": self.message}
        if self.details:
            shown["details"] = list(self.details)
        return shown | dict(self.extra)


_PHRASES: Mapping[int, str] = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}
"""What Python 3.13 words in another way: clients must not see which one the daemon runs on."""


def phrase_of(status: int) -> str:
    """The short text of a status."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


ERROR_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "Short text."},
        "code": {"type": "string", "description": "For programs."},
        "message": {"type": "string", "description": "For people: what was wrong, and the remedy."},
        "details": {"type": "array", "items": {"type": "string"}, "description": "One line a fault, with its key."},
        "retry_after": {"type": "integer", "description": "Seconds to wait (429)."},
    },
    "required": ["error", "code", "message"],
}


def not_found(what: str, object_id: str) -> ApiError:
    """There is no such object."""
    return ApiError(404, "not_found", f"There is no {what} {object_id[:80]!r}.")


def conflict(code: str, message: str) -> ApiError:
    """What is asked for contradicts what is."""
    return ApiError(409, code, message)


def not_here(message: str) -> ApiError:
    """The hosted platform has this operation, a PBX of one's own can't have it."""
    return ApiError(501, "not_on_premises", message)


def invalid(problems: Sequence[Problem], code: str = "") -> ApiError:
    """The request's body or query is wrong; every fault at once. `code`: of faults that have one of their own."""
    missing = any(problem.message.endswith("is missing") for problem in problems)
    details = [f"{problem} ({problem.remedy})" if problem.remedy else str(problem) for problem in problems]
    first = details[0] if details else "The request is invalid."
    return ApiError(400, code or ("missing_field" if missing else "invalid_request"), first, details)


def refused(refusal: Refused) -> ApiError:
    """A refusal of the daemon as the client is told of it."""
    return ApiError(_STATUS_OF_REFUSAL.get(refusal.code, 409), refusal.code, refusal.message)
