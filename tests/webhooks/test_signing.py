"""Headers and signature are the contract's, to the byte."""

from sovereign_pbx.webhooks import signing


def test_the_signature_is_the_hmac_of_timestamp_dot_body() -> None:
    # printf '%s' '1765627200.{"a":1}' | openssl dgst -sha256 -hmac topsecret
    expected = "sha256=507cde66b61833d0a6c545725dfa542a54d00386b0b2af06a473aaccaaefd1fb"
    assert signing.sign("topsecret", "1765627200", b'{"a":1}') == expected


def test_all_headers_are_sent_and_the_timestamp_is_whole_seconds() -> None:
    made = signing.headers("tool-calls", b"{}", "k", webhook_id="w1", unix_s=1765627200)
    assert made == {
        "Content-Type": "application/json",
        "User-Agent": "HMS-Sovereign/1.0",
        "X-Webhook-Event": "tool-calls",
        "X-Webhook-Timestamp": "1765627200",
        "X-Webhook-Id": "w1",
        "X-Webhook-Signature": signing.sign("k", "1765627200", b"{}"),
    }


def test_without_a_secret_nothing_is_signed() -> None:
    assert "X-Webhook-Signature" not in signing.headers("e", b"{}", "", webhook_id="w", unix_s=1)
