"""Private keys in the forms that vendors hand out."""

import base64
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.signing.test_jwt import CLAIMS, verified
from tokend.signing import keys
from tokend.signing.jwt import sign
from tokend.signing.keys import private_key
from tokend.values.errors import SecretError
from tokend.values.secret import Secret

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()


# A fake key on secp160r1, a curve that cryptography does not have.
UNKNOWN_CURVE = b"""-----BEGIN EC PRIVATE KEY-----
MFECAQEEFQAG3LV/kCpQJvnxyzL4ArctcUX6WKAHBgUrgQQACKEsAyoABOQViwCi
hoVvKJ96xsrJkjNnpfwqXYnScDXpE0E8O566H5ue6swEln8=
-----END EC PRIVATE KEY-----
"""
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def key_for(algorithm: str) -> PrivateKey:
    """A fresh private key that fits."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return ED25519 if algorithm == "EdDSA" else RSA


def pem(key: PrivateKey) -> bytes:
    """PKCS 8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def der(key: PrivateKey) -> bytes:
    """PKCS 8 in DER."""
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
def test_private_keys_come_in_many_forms(algorithm: str) -> None:
    """PEM, PEM with literal newlines, DER, base64 of DER in both alphabets: one key."""
    key = key_for(algorithm)
    encoded = base64.b64encode(der(key))
    for form in (
        pem(key),
        pem(key).replace(b"\n", b"\r\n"),
        pem(key).strip().replace(b"\n", b"\\n"),
        b"\n  " + pem(key),
        der(key),
        encoded,
        encoded.rstrip(b"="),
        base64.urlsafe_b64encode(der(key)),
    ):
        token = sign(CLAIMS, Secret(form), algorithm=algorithm)
        assert verified(token, key.public_key(), algorithm) == CLAIMS


def test_an_ed25519_seed_comes_in_many_forms() -> None:
    """Alone or with its public key (Coinbase), raw, base64, or hex: Ed25519 is deterministic, so all sign alike."""
    seed, public = ED25519.private_bytes_raw(), ED25519.public_key().public_bytes_raw()
    forms = [seed, seed + public]
    forms += [base64.b64encode(form) for form in forms] + [form.hex().encode() for form in forms]
    tokens = {sign(CLAIMS, Secret(form), algorithm="EdDSA") for form in forms}
    assert tokens == {sign(CLAIMS, Secret(pem(ED25519)), algorithm="EdDSA")}


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", pem(ED25519)),
        ("RS256", pem(key_for("ES256"))),
        ("ES256", pem(RSA)),
        ("ES256", pem(key_for("ES384"))),
        ("ES512", pem(key_for("ES256"))),
        ("ES256", pem(ED25519)),
        ("EdDSA", pem(RSA)),
        ("EdDSA", b"x" * 64),
        ("EdDSA", b"planted-and-too-short"),
        ("RS256", b"planted-text"),
        ("RS256", b""),
        ("ES256", UNKNOWN_CURVE),
        ("RS256", UNKNOWN_CURVE),
        ("RS256", b"-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n"),
        (
            "RS256",
            RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        ),
        (
            "RS256",
            RSA.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"obviously-fake"),
            ),
        ),
    ],
    ids=lambda value: str(value)[:28],
)
def test_a_key_that_does_not_fit_is_named_and_not_quoted(algorithm: str, key: bytes) -> None:
    """A configuration error, not a bug, and never a signature that no server accepts."""
    with pytest.raises(SecretError) as caught:
        sign(CLAIMS, Secret(key), algorithm=algorithm)
    assert algorithm in str(caught.value)
    assert "planted" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_rsa_key_is_proved_sound_once() -> None:
    """OpenSSL takes 35 ms for it: 27 signatures a second instead of many hundreds."""
    secret = Secret(pem(RSA))
    private_key(secret, "RS256")
    begun = time.process_time()
    for _ in range(100):
        private_key(secret, "RS256")
    assert time.process_time() - begun < 0.35
    assert private_key(secret, "RS256") is not private_key(secret, "RS256")


def test_a_key_that_is_not_sound_is_refused_each_time() -> None:
    """Its proof fails, and nothing is remembered of it."""
    numbers = RSA.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d ^ 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    for _ in range(2):
        with pytest.raises(SecretError):
            private_key(Secret(pem(wrong)), "RS256")


def test_a_key_that_is_only_looked_at_is_not_proved() -> None:
    """And does not count as proved later."""
    numbers = RSA.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d ^ 4, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    assert private_key(Secret(pem(wrong)), "RS256", prove=False).key_size == 2048
    with pytest.raises(SecretError):
        private_key(Secret(pem(wrong)), "RS256")


def test_what_is_remembered_of_keys_is_bounded() -> None:
    """And says nothing of them: salted digests."""
    keys._sound.clear()
    keys._sound.update(str(number).encode() for number in range(keys.DIGESTS_KEPT))
    private_key(Secret(pem(RSA)), "RS256")
    assert len(keys._sound) == 1
