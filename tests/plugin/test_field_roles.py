"""Roles of fields: declared in the annotation, inherited by subclasses, with a safe default."""

from datetime import timedelta
from typing import Annotated

from tests.providers.live import env
from tokend.plugin.field_roles import Absence, Role, fields_that_may_be_absent, role_of
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings, NetworkSettings
from tokend.plugin.settings_base import Duration


class Silent(HeldSettings, NetworkSettings):
    """A kind without any role."""

    user: str = "a"


class Marked(Silent):
    """A kind with a field in the account's role. It declares common fields again, with other defaults."""

    user: Annotated[str, Role.ACCOUNT] = "a"
    scope: str = "all"
    spare: Annotated[SecretField | None, Absence.ALLOWED] = None
    base_url: str = "https://api.example"
    timeout: Duration = timedelta(seconds=5)


def test_what_is_not_marked_enters_the_request_and_the_account() -> None:
    """A kind without roles may withdraw one token too many, never one too few."""
    made = Silent(kind="silent", base_url="https://a.example")
    assert made.request_fields() == {"kind", "user", "base_url"}
    assert made.account_fields == {"user", "base_url"}


def test_a_marked_account_has_its_upstream_and_nothing_else() -> None:
    """A change of ``scope`` only causes a fetch."""
    made = Marked(kind="marked")
    assert made.account_fields == {"user", "base_url"}
    assert made.request_fields() == {"kind", "user", "base_url", "scope", "spare"}


def test_a_field_that_is_declared_again_keeps_its_role() -> None:
    """A new default for ``timeout`` must not make ``timeout`` a part of the request."""
    assert role_of(Marked, "timeout") is Role.CONNECTION
    assert role_of(Marked, "base_url") is Role.UPSTREAM
    assert role_of(Marked, "scope") is Role.REQUEST


def test_a_secret_that_may_be_absent_is_no_error() -> None:
    """The absence of any other secret is an error."""
    assert fields_that_may_be_absent(Marked) == {"spare"}
    made = Marked(kind="marked", spare=env("NOT_SET"))
    assert made.missing_secrets(frozenset({"spare", "other"})) == {"other"}


def test_what_has_no_upstream_is_local() -> None:
    """A local kind has no minimum interval between two attempts, and no random delay at a start."""

    class Minted(HeldSettings):
        pass

    assert Minted(kind="minted").local
    assert Minted(kind="minted").upstream is None
    assert not Marked(kind="marked").local
