"""Values that the store's tests share."""

from sovereign_pbx.core.values import TurnRecord, TurnTiming
from sovereign_pbx.store import Outgoing

AT = "2026-11-20T07:32:00.123Z"


def outgoing(webhook_id: str, call_id: str = "c1", url: str = "https://crm.example/hook") -> Outgoing:
    return Outgoing(
        webhook_id=webhook_id, call_id=call_id, event="status-update", url=url, body=b'{"message":{}}', secret="s3cret"
    )


def turn(number: int = 1) -> TurnRecord:
    return TurnRecord(
        number=number,
        said="What are your hours?",
        heard="We are open",
        started_at=1.5,
        speech_ended_at=3.25,
        reply_started_at=3.9,
        ended_at=5.0,
        interrupted=True,
        timing=TurnTiming(endpointing_ms=400, llm_ms=300.5, tts_ms=120),
        usage={"prompt_tokens": 12},
    )
