"""Digits the caller presses, gathered into one message. No digit ever leaves here by way of a note."""

from typing import Final

FINISH: Final = "#"
_KNOWN = frozenset("0123456789*#ABCD")
LONGEST: Final = 64  # a stuck key or a fax must not grow the message without end


class Digits:
    """One entry, until `#` or a pause (`Plan.digits_idle`) completes it."""

    __slots__ = ("_pressed",)

    def __init__(self) -> None:
        self._pressed = ""

    def __len__(self) -> int:
        return len(self._pressed)

    def press(self, digit: str) -> bool | None:
        """Take a digit. True: the entry is complete. None: not a digit."""
        digit = digit.upper()
        if len(digit) != 1 or digit not in _KNOWN:
            return None
        if digit == FINISH and self._pressed:
            return True
        self._pressed += digit
        return digit == FINISH or len(self._pressed) >= LONGEST

    def take(self) -> str:
        """The entry as a message for the model; "" when nothing was pressed."""
        pressed, self._pressed = self._pressed, ""
        return f"DTMF: {pressed}" if pressed else ""
