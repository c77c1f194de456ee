"""Roles of settings fields: the effect of a changed value. A field declares its role in its annotation.

    username: Annotated[SecretField, Role.ACCOUNT]

A field without a role has the role `Role.REQUEST`. A subclass that declares a field again inherits its role, unless it
gives another one.
"""

from enum import Enum
from functools import cache

from pydantic import BaseModel


class Role(Enum):
    """The effect of a change of the field's value. Each field has one role."""

    # The default. The value enters the request or the signature: a token fetched with another value is replaced.
    REQUEST = "request"
    # The value enters the request and identifies the account: a token fetched with another value is withdrawn.
    ACCOUNT = "account"
    # The value enters the request and names the upstream, which is part of every account.
    UPSTREAM = "upstream"
    # The value decides how the upstream is reached. A change causes no fetch, but may end a failure.
    CONNECTION = "connection"
    # The value decides how a token is kept, shown or interpreted. A change causes no fetch.
    HANDLING = "handling"


class Absence(Enum):
    """Permission for a field's secret to be absent at its place."""

    # The secret's absence is no error. If the secret is there, other secrets of the table may be absent.
    ALLOWED = "allowed"


class Disclosure(Enum):
    """Statement about who may know the value of a field that is written like a secret."""

    # The value is no secret, as a user name: it may stand in a file that others can read.
    HARMLESS = "harmless"


_IN_THE_REQUEST = frozenset({Role.REQUEST, Role.ACCOUNT, Role.UPSTREAM})


def role_of(model: type[BaseModel], name: str) -> Role:
    """Return the role of one field: the role given by the nearest class in the order of inheritance."""
    for owner in model.__mro__:
        field = owner.model_fields.get(name) if issubclass(owner, BaseModel) else None
        for mark in () if field is None else field.metadata:
            if isinstance(mark, Role):
                return mark
    return Role.REQUEST


def fields_in_role(model: type[BaseModel], *roles: Role) -> frozenset[str]:
    """Return the names of the fields that have one of ``roles``."""
    return frozenset(name for name in model.model_fields if role_of(model, name) in roles)


def request_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields that enter the request or the signature."""
    return fields_in_role(model, *_IN_THE_REQUEST)


def account_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields that identify the account.

    If no field has the role `Role.ACCOUNT`, these are all fields that enter the request, except ``kind``.
    """
    if fields_in_role(model, Role.ACCOUNT):
        return fields_in_role(model, Role.ACCOUNT, Role.UPSTREAM)
    return request_fields(model) - {"kind"}


def fields_that_may_be_absent(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the secrets that may be absent at their place."""
    return frozenset(name for name, field in model.model_fields.items() if Absence.ALLOWED in field.metadata)


@cache
def fields_without_secret(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields that are written like secrets and hold none."""
    return frozenset(name for name, field in model.model_fields.items() if Disclosure.HARMLESS in field.metadata)
