"""Settings of the kind ``kubernetes``: the Secret, and where the API server and a credential are."""

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.remote_sink import HttpSinkSettings, ValuesSettings
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import part_of
from tokend.plugin.settings_base import AnchoredPath, KeyValueError, absolute_path
from tokend.plugin.sink import SinkRuntime
from tokend.plugin.tls_settings import HeldPem
from tokend.sinks.stores.kube.kubeconfig import KubeAccess, read_kubeconfig
from tokend.sinks.stores.kube.secret import LONGEST_MANAGER, default_manager
from tokend.values.errors import SinkError
from tokend.values.secret import Secret
from tokend.values.url import validate_base_url

_KEY = r"^[-._a-zA-Z0-9]{1,253}$"
_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


class KubernetesSettings(ValuesSettings, HttpSinkSettings):
    """The keys of the sink.

    Without ``kubeconfig`` and ``server`` it is for the inside of a pod. ``pod`` is where a pod's credential is.
    """

    # The API server answers with the whole Secret: 1 MiB in Base64, and who owns what.
    read_with: ClassVar[frozenset[str]] = frozenset({"kubectl", "oc"})
    largest_body_bytes: ClassVar[int] = 4 * 1024 * 1024
    pod: ClassVar[Path] = Path("/var/run/secrets/kubernetes.io/serviceaccount")

    kind: Literal["kubernetes"] = "kubernetes"
    # None: that of the kubeconfig's context, else "default"; inside a pod the pod's own.
    namespace: str | None = Field(default=None, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    secret_name: str = Field(pattern=_NAME)
    key: Annotated[str | None, Field(pattern=_KEY)] = None
    kubeconfig: AnchoredPath | None = None
    # A context of the kubeconfig; None: its current one.
    context: str | None = None
    # The API server's URL, instead of a kubeconfig or beside it; it needs `auth` or a client's certificate.
    server: str | None = None
    # None: `default_manager`.
    field_manager: str | None = Field(default=None, max_length=LONGEST_MANAGER, pattern=r"^[ -~]+$")
    # Take fields from other managers.
    take_over: bool = False

    @model_validator(mode="before")
    @classmethod
    def _with_its_place(cls, data: Any, info: ValidationInfo) -> Any:
        """Fill in what the kubeconfig or the pod says. Blocks: configurations are read in a thread."""
        if not isinstance(data, dict):
            return data
        if data.get("kubeconfig") is not None:
            if not isinstance(data["kubeconfig"], str | Path) or not isinstance(data.get("context"), str | None):
                return data  # the keys' own checks say what is wrong
            try:
                path = absolute_path(data["kubeconfig"], info)
                access = read_kubeconfig(path, data.get("context"), without_user=data.get("auth") is not None)
            except ValueError as error:
                raise KeyValueError("kubeconfig", str(error)) from None
            found = {"server": access.server, "namespace": access.namespace or "default", "proxy": access.proxy}
        elif data.get("server") is not None:
            found = {"namespace": "default"}
        else:
            found = cls._of_the_pod()
        return {**data, **{key: value for key, value in found.items() if data.get(key) is None}}

    @classmethod
    def _of_the_pod(cls) -> dict[str, Any]:
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise ValueError("tokend runs in no pod: set kubeconfig, or server and auth")
        try:
            namespace = (cls.pod / "namespace").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            namespace = "default"
        host = f"[{host}]" if ":" in host else host
        files = {"auth": {"file": str(cls.pod / "token")}, "ca_file": str(cls.pod / "ca.crt")}
        return {"server": f"https://{host}:{port}", "namespace": namespace, **files}

    @field_validator("server")
    @classmethod
    def _usable_server(cls, value: str | None) -> str | None:
        return None if value is None else validate_base_url(value)

    @field_validator("values")
    @classmethod
    def _usable_keys(cls, value: dict[str, str]) -> dict[str, str]:
        if any(not re.fullmatch(_KEY, key) for key in value):
            raise ValueError("keys of a Secret are letters, digits, -, _ and .: at most 253 of them")
        return value

    @model_validator(mode="after")
    def _keys_given_once(self) -> Self:
        if bool(self.values) == (self.key is not None):
            raise ValueError("give either key, for one key of the Secret, or values, for several")
        return self

    @property
    def server_url(self) -> tuple[str, str]:
        """The API server's URL."""
        return "server", self.server or ""

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The keys of the Secret that this sink writes."""
        return tuple(sorted(self.values)) or (self.key or "",)

    @property
    def manager(self) -> str:
        """The name as which tokend owns the keys."""
        return self.field_manager or default_manager(self.own_keys[0])

    @property
    def target(self) -> str:
        """``k8s:NAMESPACE/NAME#KEY``."""
        return f"k8s:{self.namespace}/{self.secret_name}#{','.join(self.own_keys)}"

    def names_in_store(self) -> tuple[str, ...]:
        """Return Secret and key, as in ``kubectl get secret NAME -o jsonpath={.data.KEY}``."""
        return (self.secret_name, self.own_keys[0])

    def exclusive_targets(self) -> frozenset[str]:
        """Return the keys of the Secret, and the manager: an apply takes away what its manager no longer names."""
        secret = f"{self.server}/{self.namespace}/{self.secret_name}"
        return frozenset(part_of(secret, part) for part in (*self.own_keys, f"field_manager {self.manager}"))

    @property
    def holds_pem(self) -> bool:
        """Whether a kubeconfig may hold certificates."""
        return self.kubeconfig is not None

    def held_pem(self) -> HeldPem:
        """Read the certificates that the kubeconfig holds or names."""
        if self.kubeconfig is None:
            return HeldPem()
        held = self._access(self.kubeconfig).pem
        return replace(held, files=(self.kubeconfig, *held.files))

    async def send(self, runtime: SinkRuntime, request: UpstreamRequest) -> UpstreamReply:
        """Send one request with the credential, which is read now."""
        headers: dict[str, str | Secret] = {"Accept": "application/json", **request.headers}
        auth = self.auth
        if auth is None and self.kubeconfig is not None:
            path = self.kubeconfig
            access = await runtime.run_in_thread(partial(self._access_or_error, path))
            if access.token is not None:
                headers["Authorization"] = Secret(f"Bearer {access.token.reveal()}")
            elif access.token_file is not None:
                auth = SecretSource(file=access.token_file)
        return await runtime.exchange(replace(request, headers=headers), auth=auth)

    def _access(self, path: Path) -> KubeAccess:
        return read_kubeconfig(path, self.context, without_user=self.auth is not None)

    def _access_or_error(self, path: Path) -> KubeAccess:
        try:
            return self._access(path)
        except ValueError as error:
            raise SinkError(f"{self.target}: kubeconfig: {error}") from None
