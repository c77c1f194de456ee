"""Proofs of vendors' files, ``[[proof]]``: what tokend is to send, what the vendor answers, what comes of it.

docs/vendor-files.md explains each key.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tokend.config.findings import Findings
from tokend.config.vendor_file import Vendor
from tokend.config.vendor_lookup import VendorLookup
from tokend.plugin.settings_base import Settings

# Stands for a value that nobody can know before: any text that is not empty.
ANY = "*"


class ExpectedRequest(Settings):
    """The request that tokend is to send. ``url`` is the vendor's real one.

    Query, form and JSON are compared as a whole. Of the headers those that stand here are compared; "" is none.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str
    query: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    form: dict[str, str] | None = None
    json_body: Any = Field(default=None, alias="json")
    text: str | None = None


class PlayedAnswer(Settings):
    """What the vendor answers."""

    status: int = 200
    headers: dict[str, str] = Field(default_factory=dict)
    json_body: Any = Field(default=None, alias="json")
    form: dict[str, str] | None = None
    text: str | None = None


class PlayedExchange(Settings):
    """One request with its answer."""

    request: ExpectedRequest
    answer: PlayedAnswer


class Held(Settings):
    """What tokend has before: a login's refresh token, or a token that is to be renewed and its further members."""

    refresh_token: str | None = None
    token: str | None = None
    expires_in: float = 3600
    extra: dict[str, Any] = Field(default_factory=dict)


class Opened(Settings):
    """The address that a person opens in a browser: without its query, and its query as a whole."""

    url: str
    query: dict[str, str]


class Outcome(Settings):
    """What comes of it: a token, or what the answer means. What is not written here is not compared.

    But a refresh token: without it there must be none. ``opens`` is what a person opens in a browser, ``shows``
    what a person sees in a login on another device.
    """

    token: str | None = None
    expires_in: float | Literal["never"] | None = None
    expires_at: datetime | None = None
    refresh_token: str | None = None
    refresh_expires_in: float | None = None
    subject: str | None = None
    headers: dict[str, str] | None = None
    extra: dict[str, Any] | None = None
    means: Literal["rejected", "login_required", "rate_limited", "transient", "lost", "clock"] | None = None
    pause: float | None = None
    opens: Opened | None = None
    shows: dict[str, Any] | None = None


class Proof(Settings):
    """One proof. ``table`` is what the user writes, ``vendor`` what he writes in its ``vendor``.

    ``person`` is what the browser brings back: "{state}" is the state of the login.
    """

    name: str
    does: Literal["fetch", "renew", "refresh", "browser", "device", "issue"]
    now: datetime = datetime.fromisoformat("2026-11-30T12:00:00+00:00")
    table: dict[str, Any] = Field(default_factory=dict)
    vendor: dict[str, Any] = Field(default_factory=dict)
    has: Held = Field(default_factory=Held)
    person: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, str] = Field(default_factory=dict)
    exchange: tuple[PlayedExchange, ...] = Field(default=(), strict=False)
    outcome: Outcome


def vendors(*own: Path) -> list[Vendor]:
    """Return tokend's vendors, and those of further directories. Fails if one of their files has an error."""
    findings = Findings()
    lookup = VendorLookup(own, findings)
    found = [vendor for name in lookup.names() if (vendor := lookup.get(name)) is not None]
    assert not findings.errors, "\n".join(map(str, findings.errors))
    return found


def proofs(vendor: Vendor) -> list[Proof]:
    """Return the proofs of a vendor's file."""
    return [Proof.model_validate(table) for table in vendor.settings.proof]
