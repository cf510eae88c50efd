"""What the assistant's last words asked for, as far as it tells when the caller will have finished.

Patterns, not understanding: they need to be right often, and where they find nothing the turn policy does without.
What the caller has not heard asks for nothing, so the text to look at is the one that was heard.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["anything", "open", "yes_no", "number", "date", "spelling", "email"]


@dataclass(frozen=True, slots=True)
class Expected:
    """`least` and `usual`: digits (and letters, where the number has them) that may be enough, and that are."""

    kind: Kind = "anything"
    least: int = 0
    usual: int = 0


ANYTHING: Final = Expected()
