"""RFC 9457 problem documents, and the error of a request that is itself wrong. Never holds a secret."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson

from tokend.httpd.response import Response

PROBLEM_TYPE = "application/problem+json"


class RequestError(Exception):
    """The request itself is wrong. ``errors`` (field to texts) and ``headers`` go into the answer."""

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
    """Make the error for a method that the resource does not have; ``allow`` lists the methods that it has."""
    return RequestError(405, "not_supported", detail, headers=(("Allow", allow),))


def problem(error: RequestError) -> Response:
    """Answer a request that is itself wrong."""
    extra = {} if error.errors is None else {"errors": error.errors}
    return problem_document(error.status, error.code, str(error), extra, error.headers)


def internal() -> Response:
    """Answer a request that met a bug. The log has the details; the client must not have them."""
    return problem_document(500, "internal", "an unexpected error occurred; the daemon's log has the details")


def problem_document(
    status: int,
    code: str,
    detail: str,
    extra: Mapping[str, Any] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Make a problem document: one ``code``, one sentence ``detail``, and ``extra`` members."""
    # RFC 9457 section 4.2.1: with about:blank the title is the status's own phrase; `code` is the finer name.
    basis = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(status, orjson.dumps({**basis, "code": code, **(extra or {})}), PROBLEM_TYPE, headers)
