"""Secrets Manager, Parameter Store and STS as moto plays them, with credentials that may do only what a sink needs.

moto checks signatures and policies as IAM does, if it is asked to.
"""

import json
import re
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest

from tests.counterparts.programs import Counterpart
from tests.fakes import literal
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_store import runtime_of
from tests.sinks.test_sink_contract import SECOND
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.kinds import SINKS
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SinkRejectedError

REGION = "eu-west-1"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SM, SSM = "secretsmanager", "ssm"
TEXT = {"Content-Type": "text/plain"}


@dataclass(frozen=True)
class Aws:
    """moto, emptied, without checks of its own until `enforced`."""

    url: str

    def post(self, path: str, service: str, body: bytes, **headers: str) -> bytes:
        """Send a request that nobody checks; moto finds the service in the header."""
        scope = f"AKIAFAKE/20260101/{REGION}/{service}/aws4_request"
        headers |= {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310  (loopback)
        with OPENER.open(request, timeout=20) as reply:
            return bytes(reply.read())

    def iam(self, action: str, **members: str) -> str:
        """A call of IAM."""
        form = {"Action": action, "Version": "2010-05-08", **members}
        return self.post("/", "iam", urlencode(form).encode()).decode()

    def call(self, service: str, operation: str, **members: Any) -> dict[str, Any]:
        """A call of Secrets Manager or of Parameter Store, as somebody who may do everything."""
        prefix = "AmazonSSM" if service == SSM else SM
        headers = {"X-Amz-Target": f"{prefix}.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        answer: dict[str, Any] = json.loads(self.post("/", service, json.dumps(members).encode(), **headers))
        return answer

    def user(self, *actions: str) -> dict[str, SecretSource]:
        """Make a user who may do these, and return the keys of a sink."""
        self.iam("CreateUser", UserName="tokend")
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam("PutUserPolicy", UserName="tokend", PolicyName="narrow", PolicyDocument=policy)
        answer = self.iam("CreateAccessKey", UserName="tokend")
        found = [re.search(f"<{name}>([^<]+)<", answer) for name in ("AccessKeyId", "SecretAccessKey")]
        key, secret = (one[1] for one in found if one is not None)
        return {"access_key_id": literal(key), "secret_access_key": literal(secret)}

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Check every signature and policy until the end of the block."""
        self.post("/moto-api/reset-auth", "x", b"0", **TEXT)
        try:
            yield
        finally:
            self.post("/moto-api/reset-auth", "x", b"inf", **TEXT)


@pytest.fixture
def aws(moto: Counterpart) -> Aws:
    """moto without anything in it."""
    made = Aws(moto.url)
    made.post("/moto-api/reset", "x", b"")
    return made


def run(kind: str, aws: Aws, keys: Mapping[str, Any], main: Callable[[Any, WriteRuntime], Awaitable[None]]) -> None:
    """Run ``main`` with a sink and the engine's own runtime."""
    model = SINKS.get(kind)
    assert model is not None
    sink = model.model_validate({"kind": kind, "region": REGION, "endpoint_url": aws.url, **keys})

    async def whole() -> None:
        with anyio.fail_after(60):
            await main(sink, runtime_of(sink))

    anyio.run(whole)


def test_a_secret_is_written_read_and_emptied_with_the_narrowest_credential(aws: Aws) -> None:
    """PutSecretValue, DescribeSecret and GetSecretValue; a wrong key is refused."""
    user = aws.user("secretsmanager:PutSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
    aws.call(SM, "CreateSecret", Name="app")

    async def main(sink: Any, runtime: WriteRuntime) -> None:
        content = await sink.content(runtime, lease(), {})
        assert (await sink.inspect(runtime)).digest is None
        first = await sink.put(runtime, content, None)
        assert await sink.inspect(runtime) == first
        # The answer to it was lost.
        assert (await sink.put(runtime, content, None)).version == first.version
        second = await sink.put(runtime, await sink.content(runtime, lease(SECOND), {}), first)
        assert await sink.inspect(runtime) == second
        assert (await sink.remove(runtime, second)).digest is None
        assert (await sink.inspect(runtime)).digest is None

    async def refused(sink: Any, runtime: WriteRuntime) -> None:
        with pytest.raises(SinkRejectedError):
            await sink.put(runtime, await sink.content(runtime, lease(), {}), runtime.mark(None))

    with aws.enforced():
        run("aws-secretsmanager", aws, {"secret_id": "app", **user}, main)
        wrong = {**user, "secret_access_key": literal("planted-fake-wrong")}
        run("aws-secretsmanager", aws, {"secret_id": "app", **wrong}, refused)
    assert len(aws.call(SM, "ListSecretVersionIds", SecretId="app")["Versions"]) <= 3


def test_keys_of_others_in_a_secret_stay(aws: Aws) -> None:
    """Read, staged, and made current only if nobody has written meanwhile."""
    user = aws.user(
        "secretsmanager:PutSecretValue", "secretsmanager:GetSecretValue", "secretsmanager:UpdateSecretVersionStage"
    )
    theirs = {"user": "somebody", "deep": {"a": [1, 2]}}
    aws.call(SM, "CreateSecret", Name="app", SecretString=json.dumps(theirs))

    async def main(sink: Any, runtime: WriteRuntime) -> None:
        first = await sink.put(runtime, await sink.content(runtime, lease(), {}), None)
        assert await sink.inspect(runtime) == first

    async def removing(sink: Any, runtime: WriteRuntime) -> None:
        assert (await sink.remove(runtime, None)).digest is None

    keys = {"secret_id": "app", "values": {"TOKEN": "{{ access_token }}"}, **user}
    with aws.enforced():
        run("aws-secretsmanager", aws, keys, main)
    assert json.loads(aws.call(SM, "GetSecretValue", SecretId="app", VersionStage="AWSCURRENT")["SecretString"]) == {
        **theirs,
        "TOKEN": PLANTED,
    }
    with aws.enforced():
        run("aws-secretsmanager", aws, keys, removing)
    assert (
        json.loads(aws.call(SM, "GetSecretValue", SecretId="app", VersionStage="AWSCURRENT")["SecretString"]) == theirs
    )


def test_a_parameter_is_a_secure_string_that_is_overwritten_and_deleted(aws: Aws) -> None:
    """PutParameter and DeleteParameter are enough; a credential that may not read makes `inspect` blind."""
    user = aws.user("ssm:PutParameter", "ssm:DeleteParameter")

    async def writing(sink: Any, runtime: WriteRuntime) -> None:
        assert await sink.inspect(runtime) is None
        for value in (PLANTED, SECOND):
            mark = await sink.put(runtime, await sink.content(runtime, lease(value), {}), None)
        assert mark.version == "2"

    async def removing(sink: Any, runtime: WriteRuntime) -> None:
        for _ in range(2):
            assert (await sink.remove(runtime, None)).digest is None

    with aws.enforced():
        run("aws-ssm", aws, {"parameter": "/app/token", **user}, writing)
    found = aws.call(SSM, "GetParameter", Name="/app/token", WithDecryption=True)["Parameter"]
    assert (found["Type"], found["Value"], found["Version"]) == ("SecureString", SECOND, 2)
    with aws.enforced():
        run("aws-ssm", aws, {"parameter": "/app/token", **user}, removing)


def test_a_parameter_is_read_back(aws: Aws) -> None:
    """With GetParameter allowed: the mark of what was put, without it being written again."""
    user = aws.user("ssm:PutParameter", "ssm:GetParameter")

    async def main(sink: Any, runtime: WriteRuntime) -> None:
        assert (await sink.inspect(runtime)).digest is None
        mark = await sink.put(runtime, await sink.content(runtime, lease(), {}), None)
        assert await sink.inspect(runtime) == mark

    with aws.enforced():
        run("aws-ssm", aws, {"parameter": "/app/token", **user}, main)


def test_a_web_identity_becomes_temporary_credentials(aws: Aws, tmp_path: Path) -> None:
    """STS answers with XML, and the session token is sent and signed."""
    (tmp_path / "token").write_text("planted.fake.identity")
    role = {"web_identity_token_file": tmp_path / "token", "role_arn": "arn:aws:iam::123456789012:role/tokend"}

    async def main(sink: Any, runtime: WriteRuntime) -> None:
        assert (await sink.put(runtime, await sink.content(runtime, lease(), {}), None)).version == "1"

    run("aws-ssm", aws, {"parameter": "/app/token", "sts_endpoint_url": aws.url, **role}, main)
