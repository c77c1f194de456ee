"""Settings of an answer with a token: where it has what, and when the token ends."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from tokend.plugin.declared.places import PlaceField
from tokend.plugin.declared.time_zones import DailyField, ZoneField
from tokend.plugin.settings_base import Settings, parse_duration

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
Unit = Literal["ns", "us", "ms", "s", "m", "h", "d"]
UNIT_SECONDS: dict[Unit, float] = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
ZeroMeans: TypeAlias = Literal["expired", "never"]


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name is letters, digits and _, a letter first")
    return value


Members = dict[Annotated[str, AfterValidator(_name)], PlaceField]
"""The type of a settings field with places by the names of members."""


def _lifetime(value: Any) -> Any:
    if value == "none" or isinstance(value, timedelta):
        return value
    try:
        return parse_duration(value)
    except (TypeError, ValueError):
        raise ValueError('a lifetime is a duration, "24h", or "none" for a token without an end') from None


Lifetime = Annotated[timedelta | Literal["none"], PlainValidator(_lifetime), WithJsonSchema({"type": "string"})]


class TokenAnswerSettings(Settings):
    """Keys of the table ``answer`` that several kinds have. A place that is not given is where the kind says.

    ``unit`` is that of ``expires_in`` and ``refresh_expires_in``; ``timezone`` that of times of ``expires_at`` that
    name none.
    """

    token_type: PlaceField | None = None
    expires_in: PlaceField | None = None
    unit: Unit = "s"
    expires_at: PlaceField | None = None
    timezone: ZoneField | None = None
    expires_daily: DailyField | None = None
    # The life of a token of which the answer names no end; "none": it has no end then.
    lifetime: Lifetime | None = None
    refresh_token: PlaceField | None = None
    refresh_expires_in: PlaceField | None = None
    subject: PlaceField | None = None
    extra: Members = Field(default_factory=dict)
    secret_extra: Members = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        if both := sorted(self.extra.keys() & self.secret_extra.keys()):
            raise ValueError(f"{both[0]} stands in extra and in secret_extra: a value is a secret, or it is not")
        return self

    @property
    def unit_seconds(self) -> float:
        """The seconds of a ``unit``."""
        return UNIT_SECONDS[self.unit]

    @property
    def lifetime_seconds(self) -> float | None:
        """The life of a token of which the answer names no end; None where it is not given, and for ``"none"``."""
        return self.lifetime.total_seconds() if isinstance(self.lifetime, timedelta) else None
