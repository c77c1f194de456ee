"""Types of the kind's fields: URLs of endpoints, scopes, parameters."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from tokend.plugin.settings_base import Strings
from tokend.values.url import is_confidential, validate_base_url

# RFC 3986, 3.4.
_QUERY = re.compile(r"[A-Za-z0-9._~:/?@!$&'()*+,;=%-]*", re.ASCII)
# RFC 6749, appendix A.1: VSCHAR.
_VISIBLE = re.compile(r"[\x20-\x7e]+", re.ASCII)


def endpoint(value: str) -> str:
    """Return an endpoint's URL as it is written. RFC 6749, 3.1 and 3.2 allow a query. Raises ValueError."""
    place, _, query = value.partition("?")
    validate_base_url(place)
    if not _QUERY.fullmatch(query):
        raise ValueError("a URL has no fragment here, and its query is percent-encoded")
    return value


def issuer(value: str) -> str:
    """Return an issuer as it is written: it is compared byte for byte. Raises ValueError."""
    validate_base_url(value)
    return value


def is_endpoint(value: object) -> bool:
    """Return whether a value of a server's metadata is a URL that secrets may be sent to."""
    if not isinstance(value, str) or not is_confidential(value):
        return False
    try:
        endpoint(value)
    except ValueError:
        return False
    return True


def _visible(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError("write visible ASCII characters")
    return value


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _scopes(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


_TEXT_OR_LIST = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})

EndpointUrl = Annotated[str, AfterValidator(endpoint)]
Issuer = Annotated[str, AfterValidator(issuer)]
ResourceUrl = Annotated[str, AfterValidator(endpoint)]
Visible = Annotated[str, AfterValidator(_visible)]
Several = Annotated[Strings, BeforeValidator(_several), _TEXT_OR_LIST]
Resources = Annotated[tuple[ResourceUrl, ...], Field(strict=False), BeforeValidator(_several), _TEXT_OR_LIST]
Scopes = Annotated[tuple[Visible, ...], Field(strict=False), BeforeValidator(_scopes), _TEXT_OR_LIST]
Parameters = dict[str, Annotated[str, BeforeValidator(_text)]]
"""Further parameters of a request. A number and a boolean are the text that stands there."""
