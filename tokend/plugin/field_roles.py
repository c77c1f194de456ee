"""Roles of settings fields: what a field says of itself, in its annotation, to the parts that compare settings.

    username: Annotated[SecretField, Role.ACCOUNT]

A field without a role enters the request. A subclass that declares a field again keeps its role, unless it gives
another one.
"""

from enum import Enum

from pydantic import BaseModel


class Role(Enum):
    """What a change of the field's value means. Each field has one role."""

    # The default: the value enters the request or the signature. A token fetched with another value is replaced.
    REQUEST = "request"
    # Also says whose token it is: a token fetched with another value is withdrawn.
    ACCOUNT = "account"
    # Also says which upstream is asked: part of every account.
    UPSTREAM = "upstream"
    # How the upstream is reached: no fetch, but an attempt that failed may succeed now.
    CONNECTION = "connection"
    # How a token is kept, shown or understood: no fetch.
    HANDLING = "handling"


class Absence(Enum):
    """Whether the secret that a field names may be missing at its place."""

    # It may be missing without that being an error, and it may stand in for other secrets of the table.
    ALLOWED = "allowed"


_IN_THE_REQUEST = frozenset({Role.REQUEST, Role.ACCOUNT, Role.UPSTREAM})


def role_of(model: type[BaseModel], name: str) -> Role:
    """The role of one field: from the nearest class that gives it one."""
    for owner in model.__mro__:
        field = owner.model_fields.get(name) if issubclass(owner, BaseModel) else None
        for mark in () if field is None else field.metadata:
            if isinstance(mark, Role):
                return mark
    return Role.REQUEST


def fields_in_role(model: type[BaseModel], *roles: Role) -> frozenset[str]:
    """The names of the fields that have one of ``roles``."""
    return frozenset(name for name in model.model_fields if role_of(model, name) in roles)


def request_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of the fields that enter the request or the signature."""
    return fields_in_role(model, *_IN_THE_REQUEST)


def account_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of the fields that say whose token it is. If no field is marked, all that enter the request do."""
    if fields_in_role(model, Role.ACCOUNT):
        return fields_in_role(model, Role.ACCOUNT, Role.UPSTREAM)
    return request_fields(model) - {"kind"}


def fields_that_may_be_absent(model: type[BaseModel]) -> frozenset[str]:
    """The names of the secrets that may be missing at their place."""
    return frozenset(name for name, field in model.model_fields.items() if Absence.ALLOWED in field.metadata)
