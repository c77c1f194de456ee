"""Keys of a kind that reads a token in one of the formats of `token_formats`."""

from collections.abc import Mapping

from tokend.plugin.found_token import Source
from tokend.plugin.settings import HeldSettings
from tokend.plugin.settings_base import Duration
from tokend.plugin.token_formats import Format
from tokend.values.secret import Secret
from tokend.values.tokens import JSON, Token, shown_extra


class FormatSettings(HeldSettings):
    """``format``, and ``lifetime`` for tokens that say no end."""

    format: Format = "raw"
    lifetime: Duration | None = None

    @property
    def source(self) -> Source:
        """Where the tokens come from, for messages."""
        raise NotImplementedError

    def shown_extra(self, token: Token) -> "Mapping[str, JSON | Secret]":
        """Return the further secrets of the format: a key pair, a client's certificate."""
        return shown_extra(token)

    def remark_on(self, token: Token) -> str | None:
        """Return the remark on a token that says no end: no timer replaces it."""
        if token.expires_at is not None or self.max_age is not None:
            return None
        return f"{self.source.name} names no end; set lifetime"
