"""Credentials of a sink in AWS: an access key, the answer of a ``credential_process``, or a role by web identity.

Nothing is kept: a write reads or asks for what it needs.
"""

import html
import re
from datetime import datetime
from typing import NoReturn
from urllib.parse import urlencode

from tokend.plugin.aws.settings import AwsSinkSettings
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import SinkRuntime
from tokend.plugin.store_status import refuse_write
from tokend.plugin.strict_json import try_object
from tokend.signing.sigv4 import AwsKeys
from tokend.values.errors import SinkError, SinkRejectedError
from tokend.values.secret import Secret

# What a header and a signature can carry.
_WORD = re.compile(r"[\x21-\x7e]{1,4096}", re.ASCII)
# STS API reference, AssumeRoleWithWebIdentity and common errors.
_REFUSALS = frozenset(
    {"AccessDenied", "ExpiredToken", "ExpiredTokenException", "IDPRejectedClaim", "InvalidIdentityToken"}
)
_KNOWN = _REFUSALS | {
    "IDPCommunicationError", "InternalFailure", "MalformedPolicyDocument", "PackedPolicyTooLarge",
    "RegionDisabledException", "ServiceUnavailable", "Throttling", "ValidationError",
}  # fmt: skip


async def read_keys(runtime: SinkRuntime, sink: AwsSinkSettings) -> AwsKeys:
    """Read the credentials now; with a web identity by one request to STS. Raises `SinkError`."""
    if sink.access_key_id is not None and sink.secret_access_key is not None:
        return await _own_keys(runtime, sink, sink.access_key_id, sink.secret_access_key)
    if sink.credentials is not None:
        return await _printed_keys(runtime, sink, sink.credentials)
    return await _role_keys(runtime, sink)


async def _own_keys(runtime: SinkRuntime, sink: AwsSinkSettings, key: SecretSource, secret: SecretSource) -> AwsKeys:
    session = sink.session_token
    return AwsKeys(
        _word(sink, "access_key_id", await runtime.reveal(key)),
        Secret(_word(sink, "secret_access_key", await runtime.reveal(secret))),
        None if session is None else Secret(_word(sink, "session_token", await runtime.reveal(session))),
    )


def _word(sink: AwsSinkSettings, name: str, value: Secret) -> str:
    try:
        text = value.reveal()
    except ValueError:
        text = ""
    if not _WORD.fullmatch(text):
        raise SinkError(f"{sink.target}: {name} is not one word of ASCII: is the right secret there?")
    return text


async def _printed_keys(runtime: SinkRuntime, sink: AwsSinkSettings, source: SecretSource) -> AwsKeys:
    """Read the JSON of a ``credential_process``: Version 1, AccessKeyId, SecretAccessKey, SessionToken, Expiration."""
    found = try_object((await runtime.reveal(source)).reveal_bytes())
    if found is None or found.get("Version") != 1:
        raise SinkError(f'{sink.target}: {source} is no JSON of a credential_process with "Version": 1')
    ends = found.get("Expiration")
    if ends is not None:
        try:
            moment = datetime.fromisoformat(ends)
        except (TypeError, ValueError):
            raise SinkError(f"{sink.target}: {source}: its Expiration is no time (RFC 3339)") from None
        if moment.tzinfo is None or moment <= runtime.upstream_now():
            raise SinkRejectedError(f"{sink.target}: {source}: its credentials have ended, or their end has no zone")
    session = found.get("SessionToken")
    return AwsKeys(
        _member(sink, source, found, "AccessKeyId"),
        Secret(_member(sink, source, found, "SecretAccessKey")),
        None if session is None else Secret(_member(sink, source, found, "SessionToken")),
    )


def _member(sink: AwsSinkSettings, source: SecretSource, found: dict[str, object], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise SinkError(f"{sink.target}: {source}: its {name} is missing, or not one word of ASCII")
    return value


async def _role_keys(runtime: SinkRuntime, sink: AwsSinkSettings) -> AwsKeys:
    """Ask STS for temporary credentials of the role. The request is not signed: the token in it is the credential."""
    token = await runtime.reveal(SecretSource(file=sink.web_identity_token_file))
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": str(sink.role_arn),
        "RoleSessionName": sink.role_session_name,
        "WebIdentityToken": _word(sink, "web_identity_token_file", token),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await runtime.exchange(UpstreamRequest("POST", f"{sink.sts_url}/", headers, urlencode(form).encode()))
    text = reply.body.decode("utf-8", "replace")
    if reply.status != 200:
        _refuse_role(sink, reply, text)
    found = {name: element_of(text, name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
    for name, value in found.items():
        if value is None or not _WORD.fullmatch(value):
            raise SinkError(f"{sink.target}: STS answered without a usable {name}")
    key, secret, session = (str(value) for value in found.values())
    return AwsKeys(key, Secret(secret), Secret(session))


def _refuse_role(sink: AwsSinkSettings, reply: UpstreamReply, text: str) -> NoReturn:
    code = element_of(text, "Code")
    if code in _REFUSALS:
        raise SinkRejectedError(
            f"{sink.target}: STS refused the web identity ({code}): is the token of web_identity_token_file fresh, and "
            "does the role's trust policy name its issuer and subject?"
        )
    refuse_write(reply, f"{sink.target}: STS", word=code if code in _KNOWN else None)


def element_of(text: str, name: str) -> str | None:
    """Return the text of an element of XML that occurs once: in answers of AWS, no two elements share a name."""
    found = re.findall(f"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found[0]).strip() if len(found) == 1 else None
