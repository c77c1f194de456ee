"""Errors as RFC 9457 problem documents: one code, one status, one sentence; never a secret."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson

from tokend.httpd.response import Response
from tokend.values.errors import ConfigError, InvalidParametersError, ReaderError
from tokend.values.tokens import utc

PROBLEM_TYPE = "application/problem+json"


class RequestError(Exception):
    """The request itself is wrong. ``errors`` go into the document beside the detail."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.errors, self.headers = status, code, errors, headers


def bad_request(detail: str, *, errors: Mapping[str, Sequence[str]] | None = None) -> RequestError:
    """Make the error for a request that cannot be understood."""
    return RequestError(400, "bad_request", detail, errors=errors)


def not_supported(detail: str, *, allow: str) -> RequestError:
    """Make the error for a method that this resource does not have; ``allow`` lists those it has."""
    return RequestError(405, "not_supported", detail, headers=(("Allow", allow),))


def problem(error: RequestError | ReaderError, *, now: datetime) -> Response:
    """Answer a refused request. ``now`` (aware UTC) turns ``retry_at`` into Retry-After seconds."""
    errors = getattr(error, "errors", None)
    headers: tuple[tuple[str, str], ...] = getattr(error, "headers", ())
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED and not headers:
        headers = (("Allow", ""),)
    extra: dict[str, Any] = {} if errors is None else {"errors": errors}
    retry_at = getattr(error, "retry_at", None)
    if retry_at is not None:
        # Rounded up: who comes back at the second we named must not be too early.
        extra["retry_at"] = utc(datetime.fromtimestamp(math.ceil(retry_at), UTC))
        headers += (("Retry-After", str(max(1, math.ceil(retry_at - now.timestamp())))),)
    return _document(error.status, error.code, str(error), extra, headers)


def invalid_parameters(error: InvalidParametersError) -> Response:
    """Answer an `issue` whose parameters are wrong, field by field."""
    return _document(400, "bad_request", str(error), {"errors": error.errors})


def invalid_config(error: ConfigError) -> Response:
    """Answer a reload whose configuration is wrong: each error with its place, as far as it knows it."""
    errors = [
        {key: getattr(one, key, None) for key in ("file", "line", "column")} | {"message": _message(one)}
        for one in getattr(error, "errors", ())
    ]
    if not errors:
        errors = [{"file": None, "line": None, "column": None, "message": error.detail}]
    errors = [{**one, "file": None if one["file"] is None else str(one["file"])} for one in errors]
    return _document(422, "config_invalid", error.detail, {"errors": errors})


def internal() -> Response:
    """Answer a request that met a bug; the log knows more, the client must not."""
    return _document(500, "internal", "an unexpected error occurred; the daemon's log has the details", {})


def _message(error: object) -> str:
    return str(getattr(error, "message", error))


def _document(
    status: int,
    code: str,
    detail: str,
    extra: Mapping[str, Any],
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    # RFC 9457 section 4.2.1: with about:blank the title is the status's own phrase; `code` is the finer name.
    basis = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(status, orjson.dumps({**basis, "code": code, **extra}), PROBLEM_TYPE, headers)
