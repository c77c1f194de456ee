"""Hashes and HMACs of requests: the vendors' vectors."""

import pytest

from tokend.signing.request_hash import json_string_sha256, request_hmac, sorted_query
from tokend.values.secret import Secret

ORDER = b'{"clientId":"CLIENT_001","username":"testuser001","displayName":"Client One","ipAddress":"192.168.1.100","expiration":5}'  # noqa: E501  (to the byte)


@pytest.mark.parametrize(
    ("fields", "digest"),
    [
        (["BTC", "0.001", "12345"], "3fb40efb3db0642df5ea9ba01131dd17f21c2c6a8ca59f9c4c7dddb5b14877a2"),
        ([], "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"),
        ([""], "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"),
    ],
)
def test_the_wallet_hashes_a_json_string(fields: list[str], digest: str) -> None:
    """docs/vendors.md, request-jwt: the quotes are hashed too."""
    assert json_string_sha256(fields) == digest


def test_the_json_string_is_javascripts() -> None:
    """Non-ASCII stays, quotes and backslashes are escaped, controls as JavaScript writes them (checked with node)."""
    import hashlib

    text = '"ü\\u001f\\n\\"\\\\/\u2028"'
    assert json_string_sha256(['ü\x1f\n"\\/\u2028']) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("fields", "digest"),
    [
        (["ß", "1e-7", "😀\u2028"], "f8f1b4277d8bfa2985b0a55518607fef56ea44cdc392793119256079ba2215c6"),
        (['a"b\\', "\n\t\x00", "\x7f\x1f/"], "87e5859c65574ceebe12371b74f6bac60d87f5aba8643300ea63c8328db43fd9"),
        (["é", "", ""], "ee7b988079d56db988ee3e0d40c53ae0956afb6a9602ce72a18d296b74c098bd"),
    ],
    ids=["beyond ASCII", "controls", "empty fields"],
)
def test_every_character_is_hashed_as_node_does(fields: list[str], digest: str) -> None:
    """Computed with node's ``createHash("sha256").update(JSON.stringify(fields.join("#")))``."""
    assert json_string_sha256(fields) == digest


def test_the_auth_token_vector() -> None:
    """docs/vendors.md, auth-token: METHOD + PATH + TIMESTAMP + BODY without separators, compact JSON."""
    signed = request_hmac(
        Secret("your-secret-key"), method="POST", path="/api/v1/generate-auth-token", timestamp=1706802000, body=ORDER
    )
    assert signed == "335cf4f5ab98ca80b2615ee2e659312acfb45f9b322288d2b197d71b9edfa2c8"
    spaced = ORDER.replace(b'":', b'": ').replace(b',"', b', "')
    assert request_hmac(
        Secret("your-secret-key"), method="post", path="/api/v1/generate-auth-token", timestamp=1706802000, body=spaced
    ).startswith("98baa772")


def test_a_query_is_sorted_as_javascript_sorts() -> None:
    """By UTF-16 code units: a character beyond the first plane comes before U+FFFD."""
    pairs = [("b", "1"), ("a", "x=y&z"), ("B", ""), ("\ufffd", "2"), ("\U0001f600", "3")]
    assert sorted_query(pairs) == "B=&a=x=y&z&b=1&\U0001f600=3&\ufffd=2"
    assert sorted_query([]) == ""
