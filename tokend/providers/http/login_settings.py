"""The table ``login`` of kind ``http``: the address that a person opens, and what comes back with the browser."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from tokend.plugin.declared.url_template import UrlField
from tokend.plugin.settings_base import Settings

STATE, REDIRECT = "state", "redirect_uri"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a parameter's name is letters, digits and _ . -")
    if value in {STATE, REDIRECT}:
        raise ValueError(f'"{value}" is no parameter to name: tokend itself looks after it')
    return value


class LoginSettings(Settings):
    """The keys of the table.

    ``url`` may hold the secrets, ``{state}`` and ``{redirect_uri}``. ``callback`` are the parameters of the address at
    which the browser ends that become ``{login.NAME}`` for the request.
    """

    url: UrlField = Field(repr=False)
    redirect_uri: UrlField | None = None
    callback: Annotated[tuple[Annotated[str, AfterValidator(_name)], ...], Field(strict=False, min_length=1)]

    @property
    def returns_state(self) -> bool:
        """Whether the address at which the browser ends has the state: it stands in the URL or in the redirect."""
        texts = (self.url, self.redirect_uri)
        return any(STATE in one.names for one in texts if one is not None)
