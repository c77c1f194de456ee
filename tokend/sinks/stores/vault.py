"""Kind ``vault``: keys of a secret of the KV engine of Vault or OpenBao, version 2 or 1."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tokend.plugin.remote_sink import HttpSinkSettings, ValuesSettings
from tokend.plugin.secret_source import named_vault
from tokend.plugin.settings import part_of
from tokend.plugin.settings_base import KeyValueError
from tokend.plugin.sink import Content, Mark, SinkRuntime, Values
from tokend.plugin.vault_names import vault_names
from tokend.sinks.stores.vault_kv.calls import VaultCalls
from tokend.sinks.stores.vault_kv.version_1 import TTL, Version1
from tokend.sinks.stores.vault_kv.version_2 import Version2
from tokend.values.secret import Secret
from tokend.values.url import validate_base_url

DEFAULT_FIELD = "token"
# What a table [vaults.NAME] brings, instead of own keys.
OF_THE_VAULT = (
    "address", "auth", "namespace", "kv_version", "ca_file", "client_cert", "client_key", "tls_strict", "proxy",
)  # fmt: skip
LAST_WRITER_WINS = "last writer wins: KV version 1 has no compare-and-set"


class VaultSink(ValuesSettings, HttpSinkSettings):
    """One key of a secret, or several by ``values``. A secret that is missing is made; the engine must be there."""

    compares: ClassVar[bool] = True
    auth_header: ClassVar[str] = "X-Vault-Token"
    auth_prefix: ClassVar[str] = ""
    read_with: ClassVar[frozenset[str]] = frozenset({"vault", "bao"})

    kind: Literal["vault"] = "vault"
    # The name of a table [vaults.NAME], whose server and credential it is. None: the keys below say it.
    vault: str | None = None
    address: str
    mount: str = "secret"
    path: str
    # The key in the secret; None: `DEFAULT_FIELD`.
    field: str | None = Field(default=None, min_length=1, max_length=128)
    kv_version: Literal[1, 2] = 2
    namespace: str | None = None
    # None: our keys are patched. "whole": the secret is read and replaced.
    update: Literal["whole"] | None = None
    # The secret holds nothing but our keys: a removal destroys its older versions, too.
    exclusive: bool = False

    @model_validator(mode="before")
    @classmethod
    def _with_the_vault(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, dict) or values.get("vault") is None:
            return values
        try:
            named = named_vault(values["vault"], info)
        except ValueError as error:
            raise KeyValueError("vault", str(error)) from None
        if own := [key for key in OF_THE_VAULT if key in values]:
            raise KeyValueError(own[0], f"vault names a table that says {' and '.join(own)}: remove it here")
        if named.settings is None:
            if (info.context or {}).get("vaults") is None:
                raise KeyValueError("vault", "there is no table [vaults.NAME] here: write address and auth")
            # Its table has errors, which are reported there.
            return {**values, "vault": named.name, "address": "https://vault.invalid"}
        brought = {key: one for key in OF_THE_VAULT if (one := getattr(named.settings, key)) is not None}
        return {**values, "vault": named.name, **brought}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema: ``vault`` may stand instead of ``address``."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        schema["required"] = [key for key in schema["required"] if key != "address"]
        schema["oneOf"] = [{"required": ["address"]}, {"required": ["vault"]}]
        return reference

    @property
    def writes_end(self) -> bool:  # type: ignore[override]  # KV version 2 has no end
        """Whether ``ttl`` is written: what is left of the token."""
        return self.kv_version == 1

    @field_validator("address")
    @classmethod
    def _usable_address(cls, value: str) -> str:
        return validate_base_url(value)

    @field_validator("mount", "path", "namespace")
    @classmethod
    def _names(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else vault_names(value, in_header=info.field_name == "namespace")

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if self.values and self.field is not None:
            raise ValueError("give either field, for one key, or values, for several")
        if self.kv_version == 1 and self.update is None:
            raise ValueError('KV version 1 has no patch: set update = "whole", then the secret is read and replaced')
        if self.kv_version == 1 and TTL in self.own_keys:
            raise ValueError(f"KV version 1 keeps the life of the values in the key {TTL}: choose another key")
        return self

    @property
    def server_url(self) -> tuple[str, str]:
        """The server's URL."""
        return "address", self.address

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The keys of the secret that this sink writes."""
        return tuple(sorted(self.values)) or (self.field or DEFAULT_FIELD,)

    @property
    def target(self) -> str:
        """``vault:MOUNT/PATH#KEY``."""
        return f"vault:{self.mount}/{self.path}#{','.join(self.own_keys)}"

    def exclusive_targets(self) -> frozenset[str]:
        """Return the keys of the secret; all of it if it is ours alone, or replaced without compare-and-set."""
        secret = f"{self.address}/{self.namespace or ''}/{self.mount}/{self.path}"
        if self.exclusive or self.kv_version == 1:
            return frozenset({secret})
        return frozenset(part_of(secret, key) for key in self.own_keys)

    def names_in_store(self) -> tuple[str, ...]:
        """Return mount, path and key, as in ``vault kv get -field=KEY MOUNT/PATH``."""
        return (self.mount, self.path, self.own_keys[0])

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Write our keys, whatever the mark says: the secret's metadata is newer."""
        given = content.values
        by_key = {self.own_keys[0]: given} if isinstance(given, Secret) else given
        values = {key: value.reveal() for key, value in by_key.items()}
        if self.kv_version == 1:
            ends = content.expires_at
            left = None if ends is None else runtime.clock.instant().until(ends)
            await self._version_1(runtime).put(values, left)
            return replace(runtime.mark(given), remark=LAST_WRITER_WINS)
        made = await self._version_2(runtime).put(values, content.generation)
        return replace(runtime.mark(given, version=str(made.version)), remark=made.remark)

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Take our keys out of the secret."""
        if self.kv_version == 1:
            await self._version_1(runtime).remove()
            return runtime.mark(None)
        made = await self._version_2(runtime).remove()
        return replace(runtime.mark(None, version=str(made.version) if made.version else None), remark=made.remark)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the secret, if the policy allows it."""
        if self.kv_version == 1:
            members = await self._version_1(runtime).read()
            return None if members is None else runtime.mark(self._ours(members))
        found = await self._version_2(runtime).read()
        if found is None:
            return None
        values = self._ours(found.members)
        if values is None and found.is_left:
            # Unknown, so that the removal is made once more and comes to its end.
            return None
        return runtime.mark(values, version=str(found.version) if found.version else None)

    def _ours(self, members: Mapping[str, Any]) -> Values | None:
        """Return the values of our keys, None if there is none. A value that is no text equals no text of ours."""
        found = {key: members[key] for key in self.own_keys if key in members}
        values = {key: Secret(one if isinstance(one, str) else json.dumps([one])) for key, one in found.items()}
        if not values:
            return None
        return values if self.values else values[self.own_keys[0]]

    def _version_1(self, runtime: SinkRuntime) -> Version1:
        return Version1(self._calls(runtime), self.own_keys, self.exclusive)

    def _version_2(self, runtime: SinkRuntime) -> Version2:
        return Version2(self._calls(runtime), self.own_keys, self.update is not None, self.exclusive)

    def _calls(self, runtime: SinkRuntime) -> VaultCalls:
        return VaultCalls(runtime, self.target, self.address, self.mount, self.path, self.namespace, self.auth)
