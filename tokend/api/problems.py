"""Problem documents for the errors of the engine and of the configuration."""

import math
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from tokend.httpd.problem import problem_document
from tokend.httpd.response import Response
from tokend.values.errors import ConfigError, InvalidParametersError, ReaderError
from tokend.values.tokens import utc


def refused(error: ReaderError, *, now: datetime) -> Response:
    """Answer a request that cannot be granted. ``now`` (aware UTC) turns ``retry_at`` into Retry-After seconds."""
    headers: tuple[tuple[str, str], ...] = ()
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = (("Allow", ""),)
    extra: dict[str, Any] = {}
    if error.retry_at is not None:
        # Rounded up: a client that comes back at the second that we named must not be too early.
        extra["retry_at"] = utc(datetime.fromtimestamp(math.ceil(error.retry_at), UTC))
        headers += (("Retry-After", str(max(1, math.ceil(error.retry_at - now.timestamp())))),)
    return problem_document(error.status, error.code, str(error), extra, headers)


def invalid_parameters(error: InvalidParametersError) -> Response:
    """Answer an `issue` with wrong parameters, field by field."""
    return problem_document(400, "bad_request", str(error), {"errors": error.errors})


def invalid_config(error: ConfigError) -> Response:
    """Answer a reload of a wrong configuration: each error with its place, as far as it has one."""
    errors = [
        {key: getattr(one, key, None) for key in ("file", "line", "column")} | {"message": _message(one)}
        for one in getattr(error, "errors", ())
    ]
    if not errors:
        errors = [{"file": None, "line": None, "column": None, "message": error.detail}]
    errors = [{**one, "file": None if one["file"] is None else str(one["file"])} for one in errors]
    return problem_document(422, "config_invalid", error.detail, {"errors": errors})


def _message(error: object) -> str:
    return str(getattr(error, "message", error))
