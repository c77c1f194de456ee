"""A parameter of the Parameter Store of AWS Systems Manager: a SecureString, overwritten with each token.

Source: API reference of Systems Manager, PutParameter, GetParameter, DeleteParameter.
"""

from typing import ClassVar, Literal

from pydantic import Field

from tokend.plugin.aws.calls import AccessDeniedError, AwsCalls, AwsError
from tokend.plugin.aws.settings import AwsSinkSettings
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.values.errors import SinkError, SinkFinalError
from tokend.values.secret import Secret

_LARGEST_BYTES = {"standard": 4096, "advanced": 8192}


class AwsSsmSink(AwsSinkSettings):
    """One parameter. The last writer wins: the service has no compare-and-set."""

    service: ClassVar[str] = "ssm"
    calls: ClassVar[str] = "AmazonSSM"
    read_with: ClassVar[frozenset[str]] = frozenset({"aws"})

    kind: Literal["aws-ssm"] = "aws-ssm"
    parameter: str = Field(max_length=1011, pattern=r"^[a-zA-Z0-9_./-]+$")
    # Larger values, for a price; a parameter that is advanced once stays so.
    tier: Literal["standard", "advanced"] = "standard"
    # The KMS key that encrypts the value; None: the account's own for parameters.
    kms_key_id: str | None = Field(default=None, max_length=256, pattern=r"^[a-zA-Z0-9:/_-]+$")

    @property
    def target(self) -> str:
        """``aws-ssm:REGION:PARAMETER``."""
        return f"aws-ssm:{self.region}:{self.parameter}"

    def names_in_store(self) -> tuple[str, ...]:
        """The name of the parameter, as in ``aws ssm get-parameter --name NAME``."""
        return (self.parameter,)

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Write the value; the parameter is made if it is missing."""
        assert isinstance(content.values, Secret)  # noqa: S101  (there is no key ``values``)
        size, limit = len(content.values.reveal_bytes()), _LARGEST_BYTES[self.tier]
        if size > limit:
            advice = ': set tier = "advanced" for 8 KiB' if self.tier == "standard" and size <= 8192 else ""
            raise SinkFinalError(f"{self.target}: the value has {size} bytes, the parameter takes {limit}{advice}")
        members = {
            "Name": self.parameter,
            "Value": content.values.reveal(),
            "Type": "SecureString",
            "Overwrite": True,
            "Tier": self.tier.title(),
        }
        if self.kms_key_id is not None:
            members["KeyId"] = self.kms_key_id
        answer = await AwsCalls(runtime, self).call("PutParameter", members)
        return runtime.mark(content.values, version=self._version(answer.get("Version")))

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Delete the parameter with all its versions: it holds nothing but our value."""
        try:
            await AwsCalls(runtime, self).call("DeleteParameter", {"Name": self.parameter})
        except AwsError as error:
            if error.code != "ParameterNotFound":
                raise
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the value, if the credential may."""
        try:
            members = {"Name": self.parameter, "WithDecryption": True}
            answer = await AwsCalls(runtime, self).call("GetParameter", members)
        except AccessDeniedError:
            return None
        except AwsError as error:
            if error.code != "ParameterNotFound":
                raise
            return runtime.mark(None)
        found = answer.get("Parameter")
        value = found.get("Value") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(value, str):
            raise SinkError(f"{self.target}: GetParameter was answered without a value")
        return runtime.mark(Secret(value), version=self._version(found.get("Version")))

    def _version(self, found: object) -> str:
        if not isinstance(found, int) or isinstance(found, bool):
            raise SinkError(f"{self.target}: the answer has no version: was the value written?")
        return str(found)
