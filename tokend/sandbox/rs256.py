"""RS256 without a library (RFC 8017, RFC 7518), and the one key pair of the sandbox. Slow, and not in constant time.

The key is public: `private_key_pem` gives it to everybody who wants to try a kind that signs with a private key.
"""

import base64
import hashlib
import textwrap
from collections.abc import Mapping
from typing import Any

from tokend.sandbox.jwt_parts import BadTokenError, Parts, base64url, parts_of, segment

# Fixed, so that a copy of the key works after a restart. It protects nothing.
_P = int(
    "f2be43a1ea0774ce53c58101a727be512d224be6bdc82e36dd63e54b560db8c4"
    "88841af840e0dc5058f81ec63fb1c4a481d859784bb7399fc5618a065b086cea"
    "9205ad50872403f0436f8ee11b70072f331c4b240b9aeaef7bdfc53a2e3ed7b7"
    "531735c834d2ede598c80bcad274b872f8c89e3a979aba52ad0a592f75c32d45",
    16,
)
_Q = int(
    "b989b1ec16a6955d6b81fcdbd60a682ad197cf2d7ea479c163f725144ec1d96f"
    "2fa090cdaae0d88851197126c20e3438f74367594178f2e50418b9037a8c9396"
    "a001c47bfcb4722bd74b400e35a877c20cca2b348013af17ccd3d0fb55d2fa85"
    "c132bc9de6634c8466cf09ba5dc544f6e0b1dd71e8f44ece5feac47d930fb617",
    16,
)
_E = 65537
_N = _P * _Q
_D = pow(_E, -1, (_P - 1) * (_Q - 1))
_BYTES = 256
# DER of the algorithm's name before a SHA-256 digest (RFC 8017, 9.2).
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


def sign(claims: Mapping[str, Any], *, key_id: str) -> str:
    """Return a JWT with these claims, in their order."""
    signing_input = segment({"alg": "RS256", "typ": "JWT", "kid": key_id}) + "." + segment(claims)
    number = pow(int.from_bytes(_padded(signing_input.encode())), _D, _N)
    return signing_input + "." + base64url(number.to_bytes(_BYTES))


def verify(token: str) -> Parts:
    """Return the parts of a token that was signed with the sandbox's key. Raises `BadTokenError`."""
    parts = parts_of(token, "RS256")
    number = int.from_bytes(parts.signature)
    if len(parts.signature) != _BYTES or pow(number, _E, _N).to_bytes(_BYTES) != _padded(parts.signed):
        raise BadTokenError("wrong signature")
    return parts


def private_key_pem() -> str:
    """Return the private key in the form of PKCS 1 (RFC 8017, A.1.2), as GitHub hands keys out."""
    numbers = (0, _N, _E, _D, _P, _Q, _D % (_P - 1), _D % (_Q - 1), pow(_Q, -1, _P))
    body = b"".join(_der(2, number.to_bytes(number.bit_length() // 8 + 1)) for number in numbers)
    lines = textwrap.wrap(base64.b64encode(_der(0x30, body)).decode(), 64)
    return "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *lines, "-----END RSA PRIVATE KEY-----", ""])


def _padded(message: bytes) -> bytes:
    """Encode a message as RFC 8017, 9.2 says (EMSA-PKCS1-v1_5)."""
    digest = _SHA256 + hashlib.sha256(message).digest()
    return b"\x00\x01" + b"\xff" * (_BYTES - len(digest) - 3) + b"\x00" + digest


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    written = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(written)]) + written + content
