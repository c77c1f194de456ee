"""One token in the form that another program wants: ``-o`` of ``tokend get``, except `raw` and `json`."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from tokend.client.errors import TokendError

# What every reader of .env files takes alike without quotes; the reasons are those of `tokend.sinks.dotenv_format`,
# which this cannot import: it would bring pydantic into `tokend get`.
_BARE = re.compile(r"(?!=)(?:[A-Za-z0-9_./+@%,^-]|:(?![~=])|=(?!~)|(?<!^)~)+\Z", re.ASCII)
# Kubernetes asks again only after the expiry it was told: half a minute earlier there is a new token for sure.
K8S_MARGIN_SECONDS = 30


def render(answer: Mapping[str, Any], output: str) -> str:
    """Lay a token's answer out, without a newline at the end. Raises `TokendError` where the form cannot carry it."""
    name, value = str(answer["name"]), str(answer["access_token"])
    if output == "header":
        return "\n".join(f"{header}: {text}" for header, text in answer["headers"].items())
    if output == "env":
        if not _BARE.match(value):
            raise TokendError(f"{name} needs quotes, which not all .env readers read alike: use -o shell or -o raw")
        return f"{variable(name)}={value}"
    if output == "shell":
        quoted = value.replace("'", "'\\''")
        return f"export {variable(name)}='{quoted}'"
    if output == "curl":
        escape = str.maketrans({"\\": "\\\\", '"': '\\"'})
        return "\n".join(
            f'header = "{header.translate(escape)}: {text.translate(escape)}"'
            for header, text in answer["headers"].items()
        )
    if output == "git":
        return f"username=x-access-token\npassword={value}"
    if output == "k8s":
        return _k8s(answer)
    return value


def variable(name: str) -> str:
    """The environment variable of a token: ``NAME_TOKEN``; none may begin with a digit."""
    text = re.sub(r"[^A-Z0-9]", "_", name.upper()) + "_TOKEN"
    return "_" + text if text[0].isdigit() else text


def _k8s(answer: Mapping[str, Any]) -> str:
    status: dict[str, str] = {"token": answer["access_token"]}
    if answer["expires_at_unix"] is not None:
        moment = time.gmtime(answer["expires_at_unix"] - K8S_MARGIN_SECONDS)
        status["expirationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    version = "client.authentication.k8s.io/v1"
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
