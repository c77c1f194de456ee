"""Signatures of requests, compared with those of botocore, AWS's own library for Python."""

import json
import sys
from datetime import UTC, datetime

import pytest

from tests.behaviour.readers.programs import needs_package, run
from tokend.signing.sigv4 import AwsKeys, signed_headers
from tokend.values.secret import Secret

# It prints the moment that botocore has signed, and the signature.
PROGRAM = """
import json, sys
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
url, body, headers, token = json.loads(sys.argv[1])
request = AWSRequest("POST", url, data=body.encode(), headers=headers)
SigV4Auth(Credentials("AKIAFAKE", "planted-fake/secret+key", token), "secretsmanager", "eu-west-1").add_auth(request)
print(json.dumps([request.headers["X-Amz-Date"], request.headers["Authorization"]]))
"""
CALL = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.PutSecretValue"}


@pytest.mark.parametrize("token", [None, "planted-fake-session+token/="], ids=["key", "temporary key"])
@pytest.mark.parametrize(
    ("url", "body", "headers"),
    [
        ("https://secretsmanager.eu-west-1.amazonaws.com/", '{"SecretString": "ü"}', CALL),
        ("https://secretsmanager.eu-west-1.amazonaws.com:443", "", CALL),
        ("http://127.0.0.1:4566/", "{}", {**CALL, "X-Spaces": "  a   b  "}),
        ("http://[::1]:4566/a%20b/c~d/", "{}", {}),
    ],
)
def test_botocore_makes_the_same_signature(url: str, body: str, headers: dict[str, str], token: str | None) -> None:
    """The whole header Authorization, for the moment that botocore took."""
    needs_package("botocore")
    stamp, wanted = json.loads(run(sys.executable, "-c", PROGRAM, json.dumps([url, body, headers, token])))
    made = signed_headers(
        AwsKeys("AKIAFAKE", Secret("planted-fake/secret+key"), None if token is None else Secret(token)),
        url=url,
        region="eu-west-1",
        service="secretsmanager",
        headers=headers,
        body=body.encode(),
        moment=datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
    )
    assert made["Authorization"] == wanted
