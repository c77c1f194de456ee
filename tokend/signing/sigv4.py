"""AWS Signature Version 4 of a POST request, as botocore makes it for every service but S3.

Source: "Create a signed AWS API request" in the IAM User Guide.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from tokend.values.secret import Secret
from tokend.values.url import host_header


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """An access key, and the session token of a temporary one. Its repr shows no secret."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


def signed_headers(
    keys: AwsKeys, *, url: str, region: str, service: str, headers: Mapping[str, str], body: bytes, moment: datetime
) -> dict[str, str | Secret]:
    """Return the headers to send with a POST of ``body`` to ``url``: ``headers``, and those of the signature.

    All of them are signed, and the header Host, which the HTTP client adds. ``moment`` is aware: AWS accepts its own
    time, give or take five minutes. ``url`` is absolute and has no query.
    """
    stamp = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent: dict[str, str | Secret] = {**headers, "X-Amz-Date": stamp}
    if keys.session_token is not None:
        sent["X-Amz-Security-Token"] = keys.session_token
    clear = {name.lower(): value.reveal() if isinstance(value, Secret) else value for name, value in sent.items()}
    clear["host"] = host_header(url)
    names = ";".join(sorted(clear))
    lines = "".join(f"{name}:{' '.join(clear[name].split())}\n" for name in sorted(clear))
    request = "\n".join(["POST", _path(url), "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.digest(_key(keys.secret_access_key, scope), to_sign.encode(), "sha256").hex()
    credential = f"Credential={keys.access_key_id}/{scope}"
    sent["Authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    return sent


def _key(secret: Secret, scope: str) -> bytes:
    key = b"AWS4" + secret.reveal_bytes()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _path(url: str) -> str:
    """Return the path, encoded once more than it is sent: only S3 signs it as it is sent."""
    return quote(urlsplit(url).path or "/", safe="/-_.~")
