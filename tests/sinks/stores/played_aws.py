"""Parameter Store and Secrets Manager, as their API references describe them, for one parameter and one secret.

Signatures are checked here by code of its own, so that a request that is signed wrongly is refused.
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.fakes import literal
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore

REGION, KEY_ID = "eu-west-1", "AKIAFAKEFAKEFAKE"
TYPE = "application/x-amz-json-1.1"


def refusal(code: str, status: int = 400, message: str = "") -> Answer:
    """An error as AWS says it, with whatever message."""
    return Answer(status, {"__type": f"com.amazonaws.service#{code}", "message": message})


def is_signed(asked: Asked, secret: str, service: str) -> bool:
    """Whether the signature of the request is right."""
    _, _, said = asked.headers.get("authorization", "").partition(" ")
    parts = dict(one.split("=", 1) for one in said.split(", ") if "=" in one)
    names = parts.get("SignedHeaders", "").split(";")
    stamp = asked.headers.get("x-amz-date", "")
    scope = f"{stamp[:8]}/{REGION}/{service}/aws4_request"
    needed = {"content-type", "host", "x-amz-date", "x-amz-target"}
    if parts.get("Credential") != f"{KEY_ID}/{scope}" or not needed <= {*names} or names != sorted(names):
        return False
    lines = "".join(f"{name}:{asked.headers.get(name, '')}\n" for name in names)
    whole = f"POST\n{asked.path}\n\n{lines}\n{';'.join(names)}\n{hashlib.sha256(asked.body).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (stamp[:8], REGION, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(whole.encode()).hexdigest()}"
    return parts.get("Signature") == hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class PlayedAws(PlayedStore):
    """A service of AWS. ``denied`` are operations that the credential may not use; ``ahead`` is its clock's lead."""

    service, calls = "", ""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.ahead_seconds = 0.0
        self.operations: list[str] = []
        super().__init__()

    def keys(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.url,
            "region": REGION,
            "access_key_id": literal(KEY_ID),
            "secret_access_key": literal(self.credential),
        }

    def answer(self, asked: Asked) -> Answer:
        calls, _, operation = asked.headers.get("x-amz-target", "").partition(".")
        self.operations.append(operation)
        if asked.method != "POST" or asked.path != "/" or calls != self.calls or asked.headers["content-type"] != TYPE:
            return refusal("UnknownOperationException")
        now = datetime.now(UTC).timestamp() + self.ahead_seconds
        signed_at = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        dated = {"Date": datetime.fromtimestamp(now, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if self.refusing:
            return refusal("UnrecognizedClientException")
        if abs(now - signed_at) > 300 or not is_signed(asked, self.credential, self.service):
            refused = refusal("InvalidSignatureException", message="Signature expired or does not match")
            return Answer(refused.status, refused.body, dated)
        if operation in self.denied:
            return refusal("AccessDeniedException")
        answer: Answer = getattr(self, operation)(asked.json)
        return Answer(answer.status, answer.body, dated)


class PlayedSsm(PlayedAws):
    """The parameter ``/app/token``."""

    service, calls = "ssm", "AmazonSSM"

    def __init__(self) -> None:
        self.parameters: dict[str, dict[str, Any]] = {"/app/other": {"Value": "somebody else's", "Version": 3}}
        super().__init__()

    def PutParameter(self, asked: Mapping[str, Any]) -> Answer:  # noqa: N802  (as the operation is named)
        name = asked["Name"]
        if name in self.parameters and asked.get("Overwrite") is not True:
            return refusal("ParameterAlreadyExists")
        if len(asked["Value"].encode()) > {"Standard": 4096, "Advanced": 8192}[asked.get("Tier", "Standard")]:
            return refusal("ValidationException")
        version = self.parameters.get(name, {}).get("Version", 0) + 1
        self.parameters[name] = {**asked, "Version": version}
        return Answer(200, {"Tier": asked.get("Tier"), "Version": version})

    def GetParameter(self, asked: Mapping[str, Any]) -> Answer:  # noqa: N802
        found = self.parameters.get(asked["Name"])
        if found is None:
            return refusal("ParameterNotFound")
        value = found["Value"] if asked.get("WithDecryption") else "AQICAHfake-ciphertext"
        return Answer(200, {"Parameter": {**found, "Value": value}})

    def DeleteParameter(self, asked: Mapping[str, Any]) -> Answer:  # noqa: N802
        return refusal("ParameterNotFound") if self.parameters.pop(asked["Name"], None) is None else Answer(200, {})

    def held(self) -> Held:
        found: Held = self.parameters.get("/app/token", {}).get("Value")
        return found

    def others(self) -> object:
        return {name: dict(found) for name, found in self.parameters.items() if name != "/app/token"}

    def overwrite(self, value: str) -> None:
        self.PutParameter({"Name": "/app/token", "Value": value, "Overwrite": True})

    def delete(self) -> None:
        self.parameters.pop("/app/token", None)

    def writes(self) -> int:
        version: int = self.parameters.get("/app/token", {}).get("Version", 0)
        return version


class PlayedSecretsManager(PlayedAws):
    """The secret ``app``: its versions by id, and their labels."""

    service, calls = "secretsmanager", "secretsmanager"

    def __init__(self) -> None:
        self.exists = True
        self.versions: dict[str, str] = {}
        self.labels: dict[str, str] = {}  # label → version
        super().__init__()

    def put(self, version: str, text: str, labels: list[str]) -> None:
        """Store a version and move labels to it; the one that AWSCURRENT leaves becomes AWSPREVIOUS."""
        self.versions[version] = text
        for label in labels:
            self.move(label, version)

    def move(self, label: str, version: str) -> None:
        """Move a label."""
        if label == "AWSCURRENT" and (before := self.labels.get(label)) not in {None, version}:
            self.labels["AWSPREVIOUS"] = str(before)
        self.labels[label] = version

    def labels_of(self, version: str) -> list[str]:
        """The labels of a version."""
        return sorted(label for label, one in self.labels.items() if one == version)

    def PutSecretValue(self, asked: Mapping[str, Any]) -> Answer:  # noqa: N802
        version, text = asked["ClientRequestToken"], asked["SecretString"]
        if not self.exists or asked["SecretId"] != "app":
            return refusal("ResourceNotFoundException")
        if not 32 <= len(version) <= 64 or not text:
            return refusal("InvalidParameterException")
        if version in self.versions:
            if self.versions[version] != text:
                return refusal("ResourceExistsException")
        else:
            self.put(version, text, asked.get("VersionStages", ["AWSCURRENT"]))
        return Answer(200, {"Name": "app", "VersionId": version, "VersionStages": self.labels_of(version)})

    def GetSecretValue(self, asked: Mapping[str, Any]) -> Answer:  # noqa: N802
        current = self.labels.get("AWSCURRENT")
        if not self.exists or current is None:
            return refusal("ResourceNotFoundException")
        return Answer(200, {"Name": "app", "VersionId": current, "SecretString": self.versions[current]})

    def DescribeSecret(self, asked: Mapping[str, Any]) -> Answer:  # noqa: N802
        if not self.exists:
            return refusal("ResourceNotFoundException")
        stages = {version: labels for version in self.versions if (labels := self.labels_of(version))}
        return Answer(200, {"Name": "app", "VersionIdsToStages": stages})

    def UpdateSecretVersionStage(self, asked: Mapping[str, Any]) -> Answer:  # noqa: N802
        if self.labels.get(asked["VersionStage"]) != asked.get("RemoveFromVersionId"):
            return refusal("InvalidParameterException")
        self.move(asked["VersionStage"], asked["MoveToVersionId"])
        return Answer(200, {"Name": "app"})

    def text(self) -> str | None:
        """The current text."""
        current = self.labels.get("AWSCURRENT")
        return None if current is None else self.versions[current]

    def held(self) -> Held:
        return None if self.text() == "{}" else self.text()

    def others(self) -> object:
        return self.exists

    def overwrite(self, value: str) -> None:
        self.put(str(uuid.uuid4()), value, ["AWSCURRENT"])

    def delete(self) -> None:
        """Somebody deleted the secret, and made it again without a value."""
        self.versions.clear()
        self.labels.clear()

    def writes(self) -> int:
        return len(self.versions)


class PlayedSecretsManagerObject(PlayedSecretsManager):
    """The same, with keys of others in the object; ours are ``A`` and ``B``."""

    def __init__(self) -> None:
        super().__init__()
        self.put(str(uuid.uuid4()), json.dumps({"theirs": ["x", 1], "user": "somebody"}), ["AWSCURRENT"])

    def _members(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text() or "{}")
        return found

    def held(self) -> Held:
        return {key: value for key, value in self._members().items() if key in {"A", "B"}} or None

    def others(self) -> object:
        return {key: value for key, value in self._members().items() if key not in {"A", "B"}}

    def overwrite(self, value: str) -> None:
        self.put(str(uuid.uuid4()), json.dumps({**self._members(), "B": value, "new": value}), ["AWSCURRENT"])

    def delete(self) -> None:
        self.put(str(uuid.uuid4()), json.dumps(self.others()), ["AWSCURRENT"])
