"""Settings of a remote sink in AWS: the region, the endpoint, and where the credentials are."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.field_roles import Disclosure
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings_base import AnchoredPath
from tokend.values.url import validate_base_url

_WAYS = (
    "access_key_id and secret_access_key, or credentials = { command = [..] }, or web_identity_token_file and role_arn"
)


class AwsSinkSettings(RemoteSinkSettings, ConnectionSettings):
    """The keys that every remote sink in AWS takes.

    ``service`` is the name of the service in signatures and host names, ``calls`` the prefix of the header that names
    an operation.
    """

    service: ClassVar[str]
    calls: ClassVar[str]

    region: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    # Another endpoint of the service: a VPC endpoint, or a server that plays AWS.
    endpoint_url: str | None = None
    # An access key; the session token belongs to temporary ones.
    access_key_id: Annotated[SecretField | None, Disclosure.HARMLESS] = None
    secret_access_key: SecretField | None = None
    session_token: SecretField | None = None
    # All of them as JSON, as a ``credential_process`` prints them.
    credentials: SecretField | None = None
    # A token that STS exchanges for temporary credentials of the role, as in a pod of EKS.
    web_identity_token_file: AnchoredPath | None = None
    role_arn: str | None = Field(
        default=None, max_length=2048, pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$"
    )
    role_session_name: str = Field(default="tokend", max_length=64, pattern=r"^[A-Za-z0-9_+=,.@-]{2,}$")
    sts_endpoint_url: str | None = None

    @property
    def server_url(self) -> tuple[str, str]:
        """The key ``endpoint_url``, and its value or the service's own endpoint in the region."""
        return "endpoint_url", self.endpoint_url or f"https://{self.service}.{self._domain}"

    @property
    def sts_url(self) -> str:
        """The endpoint of STS, for a web identity."""
        return self.sts_endpoint_url or f"https://sts.{self._domain}"

    @property
    def _domain(self) -> str:
        return f"{self.region}.amazonaws.com{'.cn' if self.region.startswith('cn-') else ''}"

    @field_validator("endpoint_url", "sts_endpoint_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        return None if value is None else validate_base_url(value)

    @model_validator(mode="after")
    def _one_way_to_credentials(self) -> Self:
        key = (self.access_key_id, self.secret_access_key)
        identity = (self.web_identity_token_file, self.role_arn)
        for pair, names in (
            (key, "access_key_id and secret_access_key"),
            (identity, "web_identity_token_file and role_arn"),
        ):
            if (pair[0] is None) != (pair[1] is None):
                raise ValueError(f"{names} belong together")
        if self.session_token is not None and key[0] is None:
            raise ValueError("session_token belongs to access_key_id and secret_access_key")
        ways = [way for way in (key[0], self.credentials, identity[0]) if way is not None]
        if len(ways) != 1:
            raise ValueError(f"credentials are given in {'no way' if not ways else 'two ways'}: set {_WAYS}")
        return self
