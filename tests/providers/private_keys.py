"""Private keys for tests, made once per process."""

import json
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return an RSA key of the size that vendors hand out."""
    return rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Write a key as PKCS 8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@cache
def rsa_pem() -> str:
    """Return the RSA key in PEM."""
    return pem(rsa_key())


@cache
def ec_pem() -> str:
    """Return a key of another algorithm in PEM."""
    return pem(ec.generate_private_key(ec.SECP256R1()))


def google_key() -> str:
    """Return the least that a service account's JSON key holds, without token_uri."""
    return json.dumps({"client_email": "bot@fake.iam.gserviceaccount.com", "private_key": rsa_pem()})
