"""Digest authentication, as the server and as the client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import digest
from sovereign_pbx.wire.digest import Challenge, Credentials, Verifier
from sovereign_pbx.wire.malformed import Malformed

NOW = 1000.0


def judged(verifier: Verifier, value: str, *, password: str = "secret", now: float = NOW) -> str:
    return verifier.judge([value], method="INVITE", username="100", password=password, now=now)


def proof(
    verifier: Verifier, *, which: int = 0, count: int = 1, nonce: str = "", qop: tuple[str, ...] = ("auth",)
) -> str:
    asked = Challenge.parse(verifier.challenges(NOW)[which])
    challenge = Challenge(asked.realm, nonce or asked.nonce, asked.algorithm, qop)
    return str(
        digest.answer(challenge, method="INVITE", uri="sip:800@h", username="100", password="secret", count=count)
    )


# RFC 7616 §3.9.1 gives both answers for one request.
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_answers_are_those_of_the_rfc(algorithm: digest.Algorithm, response: str) -> None:
    challenge = Challenge(
        "http-auth@example.org",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        algorithm,
        opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    )
    given = digest.answer(
        challenge,
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle of Life",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert given.response == response
    assert Credentials.parse(str(given)) == given


def test_without_qop_the_answer_is_that_of_rfc_2069() -> None:
    challenge = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "MD5", ())
    given = digest.answer(challenge, method="GET", uri="/dir/index.html", username="Mufasa", password="CircleOfLife")
    assert given.response == "1949323746fe6a43ef61f9606e7febea"  # RFC 2617's erratum 749 for RFC 2069
    assert "nc=" not in str(given)


@pytest.mark.parametrize("which", [0, 1])
def test_who_knows_the_password_is_let_in_once_for_each_count(which: int) -> None:
    verifier = Verifier("pbx")
    value = proof(verifier, which=which)
    assert judged(verifier, value) == "right"
    assert judged(verifier, value) == "stale"


def test_sha_256_is_offered_before_md5_and_taken_before_it() -> None:
    values = Verifier("pbx").challenges(NOW)
    assert [Challenge.parse(value).algorithm for value in values] == ["SHA-256", "MD5"]
    assert digest.strongest(reversed(values)).algorithm == "SHA-256"
    assert digest.strongest(['Digest realm="a", nonce="b", algorithm=SHA-512-256', values[1]]).algorithm == "MD5"


def test_counts_may_come_out_of_order_and_never_twice() -> None:
    verifier = Verifier("pbx")
    nonce = Challenge.parse(verifier.challenges(NOW)[0]).nonce
    order = [1, 3, 2, 3, 70, 2, 69, 69, 71]
    verdicts = [judged(verifier, proof(verifier, count=count, nonce=nonce)) for count in order]
    assert verdicts == ["right", "right", "right", "stale", "right", "stale", "right", "stale", "right"]


def test_a_nonce_without_counts_serves_once() -> None:
    verifier = Verifier("pbx")
    value = proof(verifier, qop=())
    assert [judged(verifier, value), judged(verifier, value)] == ["right", "stale"]


def test_a_nonce_grows_old() -> None:
    verifier = Verifier("pbx", lifetime_s=60)
    value = proof(verifier)
    assert judged(verifier, value, now=NOW + 61) == "stale"
    assert judged(verifier, value, now=NOW + 59) == "right"
    assert Challenge.parse(verifier.challenges(NOW, stale=True)[0]).stale


def test_a_nonce_of_somebody_else_is_stale_even_with_the_right_password() -> None:
    verifier = Verifier("pbx")
    nonce = Challenge.parse(verifier.challenges(NOW)[0]).nonce
    for foreign in ("00" * 30, "x", nonce.upper(), nonce + "00", f"{nonce[:2]} {nonce[2:]}", nonce[:-2] + "00"):
        assert judged(verifier, proof(verifier, nonce=foreign)) == "stale"


@pytest.mark.parametrize(("change", "verdict"), [(("100", "101"), "wrong"), (('realm="pbx"', 'realm="x"'), "missing")])
def test_another_user_is_wrong_and_another_realm_is_not_ours(change: tuple[str, str], verdict: str) -> None:
    verifier = Verifier("pbx")
    assert judged(verifier, proof(verifier).replace(*change)) == verdict


def test_the_right_password_under_another_name_is_wrong() -> None:
    verifier = Verifier("pbx")
    asked = Challenge.parse(verifier.challenges(NOW)[0])
    given = digest.answer(asked, method="INVITE", uri="sip:800@h", username="101", password="secret")
    assert judged(verifier, str(given)) == "wrong"


def test_a_wrong_password_is_wrong_and_leaves_no_trace() -> None:
    verifier = Verifier("pbx")
    value = proof(verifier)
    assert judged(verifier, value, password="other") == "wrong"
    assert judged(verifier, value) == "right"


def test_what_was_forgotten_can_not_be_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "REMEMBERED_NONCES", 2)
    verifier = Verifier("pbx")
    values = [proof(verifier) for _ in range(4)]
    assert [judged(verifier, value) for value in values[:3]] == ["right"] * 3
    assert [judged(verifier, value) for value in values] == ["stale"] * 4  # all are of one time


@pytest.mark.parametrize(
    "value",
    [
        "Basic abc",
        'Digest realm="a"',
        'Digest realm="a", nonce="b", qop="auth-int"',
        'Digest realm="a", nonce="b", algorithm=MD5-sess',
        'Digest realm="a", nonce="b", nonce="c"',
        'Digest realm="a, nonce=b',
        'Digest realm="a" x, nonce="b"',
        "Digest " + ",".join(f"a{n}=b" for n in range(40)),
        "",
    ],
)
def test_a_challenge_that_can_not_be_answered_says_so(value: str) -> None:
    with pytest.raises(Malformed):
        digest.strongest([value])


@pytest.mark.parametrize("nc", ["1", "00000000", "0000000g", "+0000001", "000000001"])
def test_a_count_that_is_none_is_no_proof(nc: str) -> None:
    verifier = Verifier("pbx")
    assert judged(verifier, proof(verifier).replace("nc=00000001", f"nc={nc}")) == "missing"


def test_auth_int_is_no_proof() -> None:
    verifier = Verifier("pbx")
    assert judged(verifier, proof(verifier).replace("qop=auth", "qop=auth-int")) == "missing"


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    assert judged(Verifier("pbx"), text) in ("missing", "wrong")
    assert judged(Verifier("pbx"), "Digest " + text) in ("missing", "wrong")


def test_nothing_that_ends_a_line_leaves_in_credentials() -> None:
    challenge = Challenge.parse('Digest realm="a", nonce="b"')
    with pytest.raises(ValueError, match="line breaks"):
        str(digest.answer(challenge, method="INVITE", uri="sip:a@h", username="a\r\nb", password="c"))
