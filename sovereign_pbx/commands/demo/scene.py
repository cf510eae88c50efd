"""The demo's play: a dental practice, its assistant, and a caller who asks, interrupts, looks up and leaves."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

GREETING: Final = "Good morning, Nova Dental, you are speaking with Nova. How can I help you?"
NUMBER: Final = "100"
CALLER: Final = "+31612345678"

FACTS: Final = (
    "Opening hours: Monday to Friday from nine to five, on Saturday from ten to two, closed on Sunday. "
    "Address: twelve Station Street, next to the public library, five minutes on foot from the central station; "
    "there is a free car park behind the building and a bus stop in front of the door. "
    "A check-up costs forty-five euros. Whitening costs two hundred euros."
)

PROMPT: Final = (
    "You are Nova, the receptionist of the dental practice Nova Dental, on the telephone. "
    "Answer in one or two short spoken sentences, using only these facts. " + FACTS + " "
    "When the caller asks about his own appointment, call the tool find_appointment with his patient number. "
    "When the caller says goodbye, say goodbye."
)

TOOL: Final[dict[str, Any]] = {
    "name": "find_appointment",
    "description": "Finds the appointment of a patient by the patient number.",
    "parameters": {
        "type": "object",
        "properties": {"patient_number": {"type": "string", "description": "digits only, such as 4711"}},
        "required": ["patient_number"],
    },
    "message": "One moment, I am looking that up.",
}

TOOL_RESULT: Final = "The appointment is on Thursday at half past two with doctor Jansen."


@dataclass(frozen=True, slots=True)
class Line:
    """Something the caller says. `interrupts`: when so many seconds of the answer before it have been said.

    `expected` must be found in what he hears afterwards, transcribed back.
    """

    text: str
    expected: str = ""
    about: str = ""
    interrupts: float | None = None
    hangs_up: bool = field(default=False)

    def answered_by(self, heard: str) -> bool:
        """Does the transcribed answer hold what was expected?"""
        return re.search(self.expected, heard, re.IGNORECASE) is not None


LINES: Final = (
    Line("What time do you open on Monday?", r"\b(nine|9)\b", "opening hours"),
    Line("And where can I find you?", r"station", "address"),
    Line(
        "Wait a moment, how much does a check-up cost?",
        r"(forty.?five|45)",
        "price, after interrupting",
        interrupts=2.0,
    ),
    Line(
        "Can you look up my appointment? My patient number is four seven one one.", r"thursday", "looked up by a tool"
    ),
    Line("Thank you very much. Goodbye.", r"\b(bye|goodbye|welcome|day)\b", "farewell", hangs_up=True),
)

RECEPTIONIST_FACTS: Final[list[dict[str, Any]]] = [
    {
        "ask": ["What time do you open?", "When are you open on Monday?", "What are your opening hours?"],
        "say": "We are open Monday to Friday from nine to five, and on Saturday from ten to two.",
    },
    {
        "ask": ["Where can I find you?", "What is your address?", "Where are you located?"],
        "say": "You find us at twelve Station Street, next to the public library, five minutes on foot from the "
        "central station. There is a free car park behind the building, and a bus stop in front of the door.",
    },
    {
        "ask": ["How much does a check-up cost?", "What is the price of a check-up?"],
        "say": "A check-up costs forty-five euros.",
    },
    {
        "ask": ["Can you look up my appointment?", "When is my appointment?", "My patient number is"],
        "tool": TOOL["name"],
        "arguments": {"patient_number": "4711"},
        "say": "{result}",
    },
]


def assistant(webhook_url: str, secret: str, *, small: bool) -> dict[str, Any]:
    """The assistant's table in the demo's configuration."""
    llm: dict[str, Any] = {"tools": [TOOL, {"type": "end_call"}]}
    if small:
        llm |= {"provider": "receptionist", "facts": RECEPTIONIST_FACTS}
    else:
        llm |= {"provider": "local", "temperature": 0.0, "messages": [{"role": "system", "content": PROMPT}]}
    return {
        "name": "Nova",
        "business_name": "Nova Dental",
        "first_message": "Good morning.",  # the webhook chooses a better one before the call is answered
        "stt_config": {"provider": "whisper", "model": "tiny.en", "language": "en"},
        "llm_config": llm,
        "tts_config": {"provider": "hibari", "language": "en"},
        "speech_config": {"turn_taking": {"endpointing_min_delay": 0.4}},
        "webhook_url": webhook_url,
        "webhook_secret": secret,
        "webhook_events": ["assistant-request", "tool-calls", "status-update", "end-of-call-report"],
    }
