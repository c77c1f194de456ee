"""AWS Signature Version 4: vectors of AWS's own test suite. tests/behaviour/readers compares it with botocore."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tokend.signing.sigv4 import AwsKeys, signed_headers
from tokend.values.secret import Secret

# The example keys of AWS's documentation and of its test suite.
KEYS = AwsKeys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
MOMENT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SESSION = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth"
    "AqvS1VAjKZQB1GXeBiaOwJtpO6AeA8w8DT3f/LvvQz0ZKfVFEnM3cZxrqV2sqVJ3Jy2hIEI/8qpHTx5HDBPQ6vJFHTHR9Ik5hAnh"
)


def signature(headers: dict[str, str | Secret]) -> str:
    return str(headers["Authorization"]).rpartition("Signature=")[2]


def signed(
    keys: AwsKeys = KEYS,
    url: str = "https://example.amazonaws.com/",
    body: bytes = b"",
    moment: datetime = MOMENT,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str | Secret]:
    return signed_headers(
        keys, url=url, region="us-east-1", service="service", headers=headers or {}, body=body, moment=moment
    )


def test_the_vector_post_vanilla() -> None:
    """The whole header Authorization, to the byte."""
    assert signed()["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    )


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"My-Header1": "value1"}, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        ({"My-Header1": "VALUE1"}, "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
    ],
)
def test_the_vectors_with_a_header(headers: dict[str, str], wanted: str) -> None:
    """post-header-key-sort and post-header-value-case: names are signed in lower case, values as they are."""
    assert signature(signed(headers=headers)) == wanted


def test_the_vector_of_a_form() -> None:
    """post-x-www-form-urlencoded: the body's hash and the type are signed."""
    headers = signed(body=b"Param1=value1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert signature(headers) == "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"


def test_a_session_token_is_sent_and_signed() -> None:
    """Temporary keys do not work without it; the header holds it as a secret."""
    headers = signed(AwsKeys(KEYS.access_key_id, KEYS.secret_access_key, Secret(SESSION)))
    assert headers["X-Amz-Security-Token"] == Secret(SESSION)
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in str(headers["Authorization"])
    assert signature(headers) != signature(signed())
    assert SESSION not in repr(headers)
    assert "wJalr" not in repr(KEYS)


def test_the_host_is_signed_as_it_is_sent() -> None:
    """HTTP clients leave out the scheme's own port, and keep any other."""
    same = {
        signature(signed(url=url)) for url in ("https://example.amazonaws.com", "https://example.amazonaws.com:443/")
    }
    assert same == {signature(signed())}
    assert signature(signed(url="https://example.amazonaws.com:8443/")) not in same
    assert signature(signed(url="http://[::1]:4566/")) != signature(signed(url="http://127.0.0.1:4566/"))


def test_the_moment_is_one_point_in_time() -> None:
    """Whatever its time zone is."""
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert signed(moment=elsewhere) == signed()
    assert signed(moment=MOMENT)["X-Amz-Date"] == "20150830T123600Z"
