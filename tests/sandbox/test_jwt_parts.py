"""The parts of a JWT, as the sandbox reads them."""

import jwt
import pytest

from tokend.sandbox.jwt_parts import BadTokenError, base64url, parts_of, segment

KEY = "a-key-for-tests-that-has-32-bytes!"


def test_a_token_of_pyjwt_is_split() -> None:
    """Header and claims are read, the signature is kept for the verification."""
    token = jwt.encode({"a": "é"}, KEY, algorithm="HS256", headers={"kid": "k"})
    parts = parts_of(token, "HS256")
    assert (parts.claims, parts.header["kid"], len(parts.signature)) == ({"a": "é"}, "k", 32)
    assert parts.signed.decode() == token.rpartition(".")[0]
    assert segment({"alg": "HS256"}) == base64url(b'{"alg":"HS256"}')


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c.d", "....", "e30.e30.e30", "W10.e30.e30", "é.e30.e30", "e3.e30.e30", "e30 .e30.e30"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """Other characters, other forms, no object; without a quotation."""
    with pytest.raises(BadTokenError) as raised:
        parts_of(text, "HS256")
    assert not text or text not in str(raised.value)
