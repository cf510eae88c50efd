"""The headers of a webhook, its signature among them (contract §8.2, §8.3)."""

import hashlib
import hmac

USER_AGENT = "HMS-Sovereign/1.0"


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the hex HMAC-SHA256 of `timestamp.body`, keyed with the secret's UTF-8 bytes."""
    digest = hmac.new(secret.encode("utf-8", "surrogatepass"), timestamp.encode() + b"." + body, hashlib.sha256)
    return "sha256=" + digest.hexdigest()


def headers(
    event: str, body: bytes, secret: str, *, webhook_id: str, unix_s: int, user_agent: str = USER_AGENT
) -> dict[str, str]:
    """All headers of one attempt. `X-Webhook-Id` stays the same over retries, the timestamp does not."""
    made = {
        "Content-Type": "application/json",
        "User-Agent": user_agent,
        "X-Webhook-Event": event,
        "X-Webhook-Timestamp": str(unix_s),
        "X-Webhook-Id": webhook_id,
    }
    if secret:
        made["X-Webhook-Signature"] = sign(secret, made["X-Webhook-Timestamp"], body)
    return made
