"""Credentials of sinks in AWS: each way, against a server that plays STS, and what is said where they are unusable."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest

from tests.fakes import literal
from tests.plugin.aws.test_settings import KEY, ROLE, ssm
from tests.sinks.played_server import Answer, Asked, PlayedServer
from tests.sinks.played_store import runtime_of
from tokend.plugin.aws.credentials import read_keys
from tokend.plugin.secret_source import SecretSource
from tokend.signing.sigv4 import AwsKeys
from tokend.sinks.stores.aws_ssm import AwsSsmSink
from tokend.values.errors import SinkError, SinkRejectedError
from tokend.values.secret import Secret

ASSUMED = (
    "<AssumeRoleWithWebIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleWithWebIdentityResult>"
    "<Credentials><AccessKeyId>ASIAFAKE</AccessKeyId><SecretAccessKey>planted-fake/+secret</SecretAccessKey>"
    "<SessionToken>planted-fake&#43;session==</SessionToken><Expiration>2026-11-30T12:00:00Z</Expiration></Credentials>"
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)
END = "2090-01-01T00:00:00+00:00"
PRINTED = {"Version": 1, "AccessKeyId": "ASIAFAKE", "SecretAccessKey": "planted-fake", "SessionToken": "planted-fake-s"}


def keys_of(sink: AwsSsmSink) -> AwsKeys:
    """Read them as a write does."""
    found: list[AwsKeys] = []

    async def main() -> None:
        found.append(await read_keys(runtime_of(sink), sink))

    anyio.run(main)
    return found[0]


def refusal_of(sink: AwsSsmSink, error: type[SinkError] = SinkError) -> str:
    """The sentence with which they are refused; it holds no secret."""
    with pytest.raises(error) as refused:
        keys_of(sink)
    assert "planted" not in refused.value.detail
    assert refused.value.detail.startswith("aws-ssm:eu-west-1:/app/token: ")
    return refused.value.detail


def identified(tmp_path: Path, answer: Callable[[Asked], Answer]) -> tuple[AwsSsmSink, PlayedServer]:
    """A sink with a web identity, and the server that plays STS."""
    (tmp_path / "token").write_text("planted.fake.identity\n")
    server = PlayedServer(answer)
    return ssm(web_identity_token_file=str(tmp_path / "token"), role_arn=ROLE, sts_endpoint_url=server.url), server


def test_an_access_key_is_read_from_its_sources(tmp_path: Path) -> None:
    """With a session token where there is one."""
    assert keys_of(ssm(**KEY)) == AwsKeys("AKIAFAKE", Secret("planted-fake-secret"))
    (tmp_path / "session").write_text("planted-fake-session\n")
    found = keys_of(ssm(**KEY, session_token={"file": str(tmp_path / "session")}))
    assert found.session_token == Secret("planted-fake-session")
    assert "planted" not in repr(found)


@pytest.mark.parametrize("value", [b"two words", b"planted\nline", b"\xff\xfe", "plänted".encode()])
def test_a_key_that_no_header_can_carry_is_named(value: bytes) -> None:
    """Before anything is signed."""
    source = SecretSource(literal=Secret(value))
    assert "secret_access_key is not one word" in refusal_of(ssm(**{**KEY, "secret_access_key": source}))


@pytest.mark.parametrize("more", [{}, {"Expiration": END}, {"Expiration": END.replace("+00:00", "Z")}])
def test_the_output_of_a_credential_process_is_read(tmp_path: Path, more: dict[str, str]) -> None:
    """As AWS's own tools read it: Version 1; SessionToken and Expiration may be missing."""
    (tmp_path / "keys").write_text(json.dumps(PRINTED | more))
    found = keys_of(ssm(credentials={"command": ["cat", str(tmp_path / "keys")]}))
    assert found == AwsKeys("ASIAFAKE", Secret("planted-fake"), Secret("planted-fake-s"))
    without = {name: value for name, value in PRINTED.items() if name != "SessionToken"}
    assert keys_of(ssm(credentials=literal(json.dumps(without)))).session_token is None


@pytest.mark.parametrize(
    ("printed", "said", "error"),
    [
        ("planted-fake", "no JSON of a credential_process", SinkError),
        (json.dumps({**PRINTED, "Version": 2}), "no JSON of a credential_process", SinkError),
        (json.dumps({**PRINTED, "AccessKeyId": 7}), "its AccessKeyId is missing", SinkError),
        (json.dumps({**PRINTED, "SecretAccessKey": "planted fake"}), "its SecretAccessKey is missing, or", SinkError),
        (json.dumps({**PRINTED, "SessionToken": ""}), "its SessionToken is missing, or", SinkError),
        (json.dumps({**PRINTED, "Expiration": "planted"}), "its Expiration is no time", SinkError),
        (json.dumps({**PRINTED, "Expiration": 5}), "its Expiration is no time", SinkError),
        (json.dumps({**PRINTED, "Expiration": "2020-01-01T00:00:00Z"}), "have ended", SinkRejectedError),
        (json.dumps({**PRINTED, "Expiration": "2090-01-01T00:00:00"}), "has no zone", SinkRejectedError),
    ],
)
def test_an_output_that_cannot_be_used_is_refused_and_not_quoted(
    printed: str, said: str, error: type[SinkError]
) -> None:
    """It says what is wrong with it."""
    assert said in refusal_of(ssm(credentials=literal(printed)), error)


def test_a_web_identity_becomes_a_role(tmp_path: Path) -> None:
    """One unsigned request to STS: the token in the body is the credential. It is read at each use."""
    sink, server = identified(tmp_path, lambda asked: Answer(200, ASSUMED.encode()))
    try:
        assert keys_of(sink) == AwsKeys("ASIAFAKE", Secret("planted-fake/+secret"), Secret("planted-fake+session=="))
        (tmp_path / "token").write_text("planted.fake.next")
        keys_of(sink)
    finally:
        server.close()
    first, second = server.requests
    assert (first.method, first.path, "authorization" in first.headers) == ("POST", "/", False)
    assert parse_qs(first.body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "Version": ["2011-06-15"],
        "RoleArn": [ROLE],
        "RoleSessionName": ["tokend"],
        "WebIdentityToken": ["planted.fake.identity"],
    }
    assert parse_qs(second.body.decode())["WebIdentityToken"] == ["planted.fake.next"]


def error_of_sts(code: str) -> bytes:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>planted</Message></Error>"
    return f"<ErrorResponse>{error}</ErrorResponse>".encode()


@pytest.mark.parametrize(
    ("answer", "said", "error"),
    [
        (Answer(400, error_of_sts("ExpiredTokenException")), "(ExpiredTokenException): is the", SinkRejectedError),
        (Answer(403, error_of_sts("AccessDenied")), "(AccessDenied): is the token", SinkRejectedError),
        (Answer(400, error_of_sts("InvalidIdentityToken")), "trust policy", SinkRejectedError),
        (Answer(400, error_of_sts("IDPCommunicationError")), "answered 400 (IDPCommunicationError)", SinkError),
        (Answer(400, error_of_sts("planted")), "STS: the store answered 400", SinkError),
        (Answer(503, b"planted"), "it is not available", SinkError),
        (Answer(200, b"planted"), "STS answered without a usable AccessKeyId", SinkError),
        (Answer(200, ASSUMED.replace("ASIAFAKE", "A B").encode()), "a usable AccessKeyId", SinkError),
        (Answer(200, (ASSUMED + ASSUMED).encode()), "a usable AccessKeyId", SinkError),
        (Answer(200, b"\xff\xfe<SessionToken>"), "a usable AccessKeyId", SinkError),
    ],
)  # fmt: skip
def test_an_answer_of_sts_without_keys_is_refused(
    tmp_path: Path, answer: Answer, said: str, error: type[SinkError]
) -> None:
    """By what happens next; its words are not quoted."""
    sink, server = identified(tmp_path, lambda asked: answer)
    try:
        assert said in refusal_of(sink, error)
    finally:
        server.close()


def test_a_token_file_that_is_gone_is_named(tmp_path: Path) -> None:
    """No request is sent."""
    keys: dict[str, Any] = {"web_identity_token_file": str(tmp_path / "gone"), "role_arn": ROLE}
    assert f"file {tmp_path}/gone cannot be read" in refusal_of(ssm(**keys))
