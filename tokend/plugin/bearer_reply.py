"""The usual reply of an upstream: status 200 and a JSON object with a bearer token and its lifetime."""

from collections.abc import Iterable
from typing import Any, Literal

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.response_status import refuse, token_value
from tokend.plugin.strict_json import parse_object
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.values.secret import Secret
from tokend.values.tokens import Token


def reply_object(reply: UpstreamReply, host: str, *, secrets: Iterable[Secret] | None = None) -> dict[str, Any]:
    """Return the JSON object of a reply with status 200; raise an `AttemptError` for any other reply.

    See `refuse` for ``secrets``.
    """
    if reply.status != 200:
        refuse(reply, host, secrets=secrets)
    return parse_object(reply.body, host)


def bearer_token(
    reply: UpstreamReply,
    value: Any,
    *,
    host: str,
    expires_in: Any = MISSING,
    expires_at: Any = MISSING,
    default_seconds: float | None = None,
    zero_means: Literal["expired", "never"] = "expired",
) -> Token:
    """Make a `Token` with its ``Authorization`` header.

    ``value``, ``expires_in`` (seconds) and ``expires_at`` (Unix time or ISO 8601) are the reply's members as they came,
    or `MISSING`. A JWT's own ``exp`` counts too; the token ends at the earliest of these times. See `expiry` for
    ``default_seconds`` and ``zero_means``. Raises `TransientError` if ``value`` is no token or a time is invalid.
    """
    token = token_value(value, host)
    expires = expiry(
        reply, token, host=host,
        relative=expires_in, absolute=expires_at, default_seconds=default_seconds, zero_means=zero_means,
    )  # fmt: skip
    return Token(
        value=token,
        token_type="Bearer",  # noqa: S106  (a scheme's name)
        issued_at=reply.sent_at,
        expires_at=expires,
        headers={"Authorization": Secret(f"Bearer {token.reveal()}")},
    )
