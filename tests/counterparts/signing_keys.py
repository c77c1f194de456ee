"""A key pair that client `keyed` of the authorization server signs its assertions with. It protects nothing."""

import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

_KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
ES256_PEM = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
ES256_JWK = {**json.loads(ECAlgorithm.to_jwk(_KEY.public_key())), "kid": "fake-key", "use": "sig", "alg": "ES256"}
