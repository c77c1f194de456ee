"""Calls of AWS services that speak JSON 1.1: one signed POST, and what an error code means for the next attempt.

Source: "Common errors" and the operations' errors in the API references of Secrets Manager and Systems Manager.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from tokend.plugin.aws.credentials import element_of, read_keys
from tokend.plugin.aws.settings import AwsSinkSettings
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.response_status import FAR_SECONDS, RATE_LIMITED, retry_after
from tokend.plugin.sink import SinkRuntime
from tokend.plugin.strict_json import try_object
from tokend.signing.sigv4 import AwsKeys, signed_headers
from tokend.values.errors import SinkError, SinkRejectedError, SinkUnavailableError

# The credential is unknown, has ended, or may not do this.
REJECTED = frozenset({
    "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "ExpiredTokenException",
    "IncompleteSignature", "IncompleteSignatureException", "InvalidClientTokenId", "InvalidSignatureException",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired",
    "SignatureDoesNotMatch", "UnrecognizedClientException",
})  # fmt: skip
# Ours, or theirs: a signature is refused where the clocks differ by more than five minutes.
_OF_CLOCKS = frozenset({
    "InvalidSignatureException", "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
})  # fmt: skip
_THROTTLED = frozenset({
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ServiceUnavailable",
    "ServiceUnavailableException", "SlowDown", "Throttling", "ThrottlingException", "ThrottledException",
    "TooManyRequestsException",
})  # fmt: skip
# Each with what the operator should know, or nothing.
_KNOWN = {
    "DecryptionFailure": "the KMS key cannot be used",
    "EncryptionFailure": "the KMS key cannot be used",
    "HierarchyLevelLimitExceededException": "the name has too many levels",
    "InternalServerError": "",
    "InternalServiceError": "",
    "InternalServiceErrorException": "",
    "InvalidKeyId": "the KMS key does not exist, or is not enabled",
    "InvalidParameterException": "",
    "InvalidRequestException": "is the secret about to be deleted, or managed by another service?",
    "LimitExceededException": "the quota of versions is full: set min_interval",
    "ParameterAlreadyExists": "",
    "ParameterLimitExceeded": "the account's quota of parameters is full",
    "ParameterMaxVersionLimitExceeded": "its oldest version has a label: remove that label",
    "ParameterNotFound": "it does not exist",
    "ParameterPatternMismatchException": "",
    "PreconditionNotMetException": "",
    "ResourceExistsException": "a version with this id and another content exists",
    "ResourceNotFoundException": "it does not exist",
    "TooManyUpdates": "another update is going on",
    "UnsupportedParameterType": "",
    "ValidationException": "",
    "ValidationError": "",
}


class AwsError(SinkError):
    """The service answered with an error code of its operation. ``code`` is None for a code that is not known here."""

    def __init__(self, message: str, *, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class AccessDeniedError(SinkRejectedError):
    """The credential may not make this call."""


class AwsCalls:
    """The calls of one operation of a sink, all with the same credentials, which are read for the first call."""

    def __init__(self, runtime: SinkRuntime, sink: AwsSinkSettings) -> None:
        self._runtime = runtime
        self._sink = sink
        self._keys: AwsKeys | None = None

    async def call(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Make one call and return its answer.

        Raises `AwsError` with the code of the operation, `AccessDeniedError`, or another `SinkError` by what happens
        next.
        """
        runtime, sink = self._runtime, self._sink
        if self._keys is None:
            self._keys = await read_keys(runtime, sink)
        url, body = f"{sink.server_url[1]}/", json.dumps(members, ensure_ascii=False).encode()
        headers = signed_headers(
            self._keys,
            url=url,
            region=sink.region,
            service=sink.service,
            headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{sink.calls}.{operation}"},
            body=body,
            moment=runtime.upstream_now(),
        )
        reply = await runtime.exchange(UpstreamRequest("POST", url, headers, body))
        found = try_object(reply.body)
        if reply.status != 200 or found is None:
            self._refuse(operation, reply, found or {})
        return found

    def _refuse(self, operation: str, reply: UpstreamReply, found: Mapping[str, Any]) -> NoReturn:
        target, code = self._sink.target, _code_of(reply, found)
        said = f"{target}: {operation} failed with {reply.status}" + (f" ({code})" if code else "")
        if code in _OF_CLOCKS and abs(reply.offset) > FAR_SECONDS:
            # The runtime has learned the offset: the next signature has the time of AWS.
            raise SinkError(f"{said}: its clock differs from ours by {reply.offset:.0f} s")
        if code in {"AccessDenied", "AccessDeniedException", "NotAuthorized"}:
            permission = f"{'ssm' if self._sink.service == 'ssm' else 'secretsmanager'}:{operation}"
            raise AccessDeniedError(
                f"{said}: the credential needs the permission {permission} for it, and for its KMS key"
            )
        if code in REJECTED or (code is None and reply.status in {401, 403}):
            raise SinkRejectedError(f"{said}: the credential is not accepted")
        if code in _THROTTLED or reply.status in {RATE_LIMITED, 503}:
            raise SinkUnavailableError(f"{said}: too many requests, or not available", retry_after=retry_after(reply))
        if reply.status == 200:
            raise SinkError(f"{target}: {operation} was answered with something that is not acceptable JSON")
        if 300 <= reply.status < 400:
            raise SinkError(f"{said}: redirects are refused, they would carry secrets elsewhere")
        advice = _KNOWN.get(code or "", "")
        raise AwsError(said + (f": {advice}" if advice else ""), code=code)


def _code_of(reply: UpstreamReply, found: Mapping[str, Any]) -> str | None:
    """Return the error code if it is a known one: from the header, or ``__type``, with or without a name space.

    Servers that play AWS answer some errors with XML.
    """
    in_xml = element_of(reply.body.decode("utf-8", "replace"), "Code")
    for said in (reply.headers.get("x-amzn-errortype"), found.get("__type"), in_xml):
        if isinstance(said, str):
            code = said.partition(":")[0].rpartition("#")[2].strip()
            if code in REJECTED or code in _OF_CLOCKS or code in _THROTTLED or code in _KNOWN:
                return code
    return None
