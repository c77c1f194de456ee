"""A secret of AWS Secrets Manager: its whole text, or keys of the JSON object in it. Each write is a new version.

Source: API reference of Secrets Manager, PutSecretValue, GetSecretValue, DescribeSecret, UpdateSecretVersionStage.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from tokend.plugin.aws.calls import AccessDeniedError, AwsCalls, AwsError
from tokend.plugin.aws.settings import AwsSinkSettings
from tokend.plugin.remote_sink import ValuesSettings
from tokend.plugin.settings import part_of
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.strict_json import try_object
from tokend.values.errors import SinkError, SinkFinalError
from tokend.values.secret import Secret

CURRENT = "AWSCURRENT"
# The label of a version that is not current yet: see `_put_values`.
STAGED = "tokend"
# The service takes no empty value. This is what stands there after a removal.
EMPTY = "{}"
LARGEST_BYTES = 65536


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    """The current version of the secret: its id and text, both None if there is no version."""

    version: str | None = None
    text: str | None = None


class AwsSecretsManagerSink(ValuesSettings, AwsSinkSettings):
    """A secret that exists already: tokend makes none."""

    service: ClassVar[str] = "secretsmanager"
    calls: ClassVar[str] = "secretsmanager"
    # Versions younger than a day are not deleted, and a secret has at most about a hundred.
    writes_per_day: ClassVar[int | None] = 100
    read_with: ClassVar[frozenset[str]] = frozenset({"aws"})

    kind: Literal["aws-secretsmanager"] = "aws-secretsmanager"
    # The name or the ARN.
    secret_id: str = Field(max_length=2048, pattern=r"^[a-zA-Z0-9/_+=.@:-]+$")

    @property
    def target(self) -> str:
        """``aws-secretsmanager:REGION:SECRET``, and ``#KEY`` for keys of the object in it."""
        return f"{self._secret}{'#' + ','.join(sorted(self.values)) if self.values else ''}"

    @property
    def _secret(self) -> str:
        return f"aws-secretsmanager:{self.region}:{self.secret_id}"

    def exclusive_targets(self) -> frozenset[str]:
        """The keys in the object, or the whole secret."""
        return frozenset(part_of(self._secret, key) for key in self.values) or frozenset({self._secret})

    def names_in_store(self) -> tuple[str, ...]:
        """The name of the secret, as in ``aws secretsmanager get-secret-value --secret-id NAME``."""
        return (self.secret_id,)

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Make a new version, unless the current one is this write's own already."""
        calls = AwsCalls(runtime, self)
        try:
            if isinstance(content.values, Secret):
                return await self._put_value(runtime, calls, content.values, known)
            return await self._put_values(runtime, calls, content.values)
        except AwsError as error:
            raise self._advised(error) from None

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Take our keys out of the object, or replace the whole text by an empty object."""
        calls = AwsCalls(runtime, self)
        try:
            if self.values:
                mark = await self._take_out(runtime, calls)
            else:
                mark = replace(await self._put_value(runtime, calls, Secret(EMPTY), known), digest=None)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return runtime.mark(None)
            raise self._advised(error) from None
        return replace(mark, remark="the version AWSPREVIOUS may still hold the token: AWS removes old versions later")

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the current version, if the credential may."""
        try:
            found = await self._read(AwsCalls(runtime, self))
        except AccessDeniedError:
            return None
        except AwsError as error:
            raise self._advised(error) from None
        if found.text is None:
            return runtime.mark(None, version=found.version)
        if not self.values:
            return runtime.mark(None if found.text == EMPTY else Secret(found.text), version=found.version)
        members = self._object(found)
        ours = {key: Secret(value) for key in self.values if isinstance(value := members.get(key), str)}
        return runtime.mark(ours or None, version=found.version)

    async def _put_value(self, runtime: SinkRuntime, calls: AwsCalls, value: Secret, known: Mark | None) -> Mark:
        token, remark, current = _token(runtime.write_id(value)), None, None if known is None else known.version
        if known is None:
            # The answer to an earlier attempt may have been lost, and another writer may have come since.
            try:
                stages = await self._stages(calls)
            except AccessDeniedError:
                remark = "blind: DescribeSecret is not allowed, so a lost answer looks like a failure"
            else:
                current, previous = _labelled(stages, CURRENT), _labelled(stages, "AWSPREVIOUS")
                if current is not None and current in {token, _token(token, previous)}:
                    return runtime.mark(value, version=current)
                token = _token(token, current) if token in stages else token
        # A version that exists already does not become current by its id: it gets another one then.
        version = await self._put_version(calls, value.reveal(), token, CURRENT)
        if version is None:
            version = await self._put_version(calls, value.reveal(), _token(token, current), CURRENT)
        if version is None:
            raise SinkError(f"{self.target}: another writer is faster: its version has become {CURRENT} meanwhile")
        return replace(runtime.mark(value, version=version), remark=remark)

    async def _put_values(self, runtime: SinkRuntime, calls: AwsCalls, values: Mapping[str, Secret]) -> Mark:
        found = await self._read(calls)
        members = self._object(found)
        ours = {key: value.reveal() for key, value in values.items()}
        if all(members.get(key) == value for key, value in ours.items()):
            return runtime.mark(values, version=found.version)
        version = await self._replace(calls, found, members | ours, runtime.write_id(values))
        return runtime.mark(values, version=version)

    async def _take_out(self, runtime: SinkRuntime, calls: AwsCalls) -> Mark:
        found = await self._read(calls)
        members = {key: value for key, value in self._object(found).items() if key not in self.values}
        if found.text is None or members.keys() == self._object(found).keys():
            return runtime.mark(None, version=found.version)
        write = runtime.write_id({key: Secret("") for key in self.values})
        return runtime.mark(None, version=await self._replace(calls, found, members, write))

    async def _replace(self, calls: AwsCalls, found: _Found, members: Mapping[str, Any], write: str) -> str:
        """Replace the object, if the version that was read is still current: no other writer's keys are lost."""
        text, token = json.dumps(members, ensure_ascii=False, separators=(",", ":")), _token(write, found.version)
        if found.version is None:
            if (first := await self._put_version(calls, text, token, CURRENT)) is None:
                raise SinkError(f"{self.target}: another writer has written meanwhile: the secret is read again")
            return first
        await self._put_version(calls, text, token, STAGED)
        move = {"VersionStage": CURRENT, "MoveToVersionId": token, "RemoveFromVersionId": found.version}
        try:
            await calls.call("UpdateSecretVersionStage", {"SecretId": self.secret_id, **move})
        except AwsError as error:
            if error.code != "InvalidParameterException":
                raise
            raise SinkError(
                f"{self.target}: another writer has changed the secret meanwhile: it is read again"
            ) from None
        return token

    async def _put_version(self, calls: AwsCalls, text: str, token: str, label: str) -> str | None:
        """Make a version and return its id; None if it existed already, and has lost its label to a later one.

        The service ignores a repeated write.
        """
        if (size := len(text.encode())) > LARGEST_BYTES:
            raise SinkFinalError(f"{self.target}: the text has {size} bytes, a secret takes {LARGEST_BYTES}")
        members = {"SecretId": self.secret_id, "ClientRequestToken": token, "SecretString": text}
        answer = await calls.call("PutSecretValue", {**members, "VersionStages": [label]})
        labels = answer.get("VersionStages")
        if answer.get("VersionId") != token or not isinstance(labels, list):
            raise SinkError(f"{self.target}: PutSecretValue was answered without the version: was it written?")
        return token if label in labels else None

    async def _read(self, calls: AwsCalls) -> _Found:
        try:
            answer = await calls.call("GetSecretValue", {"SecretId": self.secret_id, "VersionStage": CURRENT})
        except AwsError as error:
            # A secret without any value, or no secret at all: only a write shows which.
            if error.code != "ResourceNotFoundException":
                raise
            return _Found()
        version, text = answer.get("VersionId"), answer.get("SecretString")
        if not isinstance(version, str) or not isinstance(text, str | None):
            raise SinkError(f"{self.target}: GetSecretValue was answered without a version")
        return _Found(version, text)

    async def _stages(self, calls: AwsCalls) -> dict[str, list[str]]:
        """Return the labels of each version that has any."""
        stages = (await calls.call("DescribeSecret", {"SecretId": self.secret_id})).get("VersionIdsToStages", {})
        if not isinstance(stages, dict) or not all(isinstance(labels, list) for labels in stages.values()):
            raise SinkError(f"{self.target}: DescribeSecret was answered without the versions")
        return stages

    def _object(self, found: _Found) -> dict[str, Any]:
        """Return the members of the object in the secret. Raises `SinkError` if they could not be written back."""
        if found.version is None:
            return {}
        members = None if found.text is None else try_object(found.text.encode("utf-8", "surrogatepass"))
        if members is None:
            raise SinkError(f"{self.target}: the secret holds no JSON object: write {{}} into it, or use value")
        if json.loads(found.text or "", parse_float=_Exact, parse_int=_Exact) != json.loads(
            json.dumps(members), parse_float=_Exact, parse_int=_Exact
        ):
            raise SinkError(f"{self.target}: the secret holds a number that cannot be written back as it is")
        return members

    def _advised(self, error: AwsError) -> SinkError:
        if error.code == "ResourceNotFoundException":
            return SinkError(
                f"{self.target}: the secret does not exist, or not in {self.region}. tokend makes none: "
                "aws secretsmanager create-secret --name …"
            )
        return error


class _Exact(str):
    """A number as it is written."""

    __slots__ = ()


def _token(write: str, after: str | None = None) -> str:
    """Return the id of a version: a UUID that is equal for all attempts of one write on top of one version."""
    digest = hashlib.sha256(f"{write}/{after}".encode()).hexdigest()[:32] if after is not None else write
    return str(uuid.UUID(digest))


def _labelled(stages: Mapping[str, list[str]], label: str) -> str | None:
    return next((version for version, labels in stages.items() if label in labels), None)
