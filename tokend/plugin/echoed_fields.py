"""Cleaning of a vendor's error texts about a caller's parameters, before they are passed on to the caller.

The texts are untrusted, and may echo what tokend sent.
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from tokend.values.secret import Secret

# Limit of all texts together, as JSON: enough for a few sentences.
LARGEST_BYTES = 4096
MASK = "***"


def field_errors(found: Any, *, secrets: Iterable[Secret]) -> dict[str, list[str]]:
    """Return the vendor's texts by field: control characters removed, secrets masked, at most 4 KiB as JSON.

    ``found`` is the vendor's JSON: an object with a text or a list of texts for each field. Anything else counts as no
    text. The result is empty if there is no text.
    """
    hidden = sorted({form for secret in secrets for form in echoed_forms(secret)}, key=len, reverse=True)
    errors: dict[str, list[str]] = {}
    for field, texts in found.items() if isinstance(found, dict) else ():
        name = _clean(field, hidden)
        for text in texts if isinstance(texts, list) else [texts]:
            line = _clean(text, hidden) if isinstance(text, str) else ""
            left = LARGEST_BYTES - len(json.dumps({**errors, name: [*errors.get(name, []), ""]}))
            if left <= 0:
                return errors
            line = _cut(line, left)
            if line:
                errors.setdefault(name, []).append(line)
    return errors


def echoed_forms(secret: Secret) -> list[str]:
    """Return the texts as which a vendor may echo the secret.

    They are: as it is, in hexadecimal and base64, URL-encoded, and as a text of JSON or HTML, of either case.
    """
    import html  # few daemons get an error of a vendor

    raw = secret.reveal_bytes()
    text = raw.decode("utf-8", "ignore")
    base64s = [encode(raw).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    # Python's quote leaves "/" as it is, JavaScript's encodeURIComponent "!'()*".
    in_urls = [encode(text, safe=safe) for encode in (quote, quote_plus) for safe in ("", "/", "!'()*", "/!'()*")]
    # The quotes of Python and JavaScript, of Go, and of PHP.
    escaped = html.escape(text)
    in_html = [escaped, html.escape(text, quote=False)]
    in_html += [escaped.replace("&#x27;", one) for one in ("&#39;", "&#039;", "&apos;")]
    in_html.append(escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))
    in_json = [json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)]
    forms = [
        *(_printable(text), raw.hex(), raw.hex().upper(), *base64s),
        *(*in_urls, *map(_lower_escapes, in_urls)),
        *(*in_json, *(one.replace("/", "\\/") for one in in_json)),
        *in_html,
    ]
    return list(dict.fromkeys(filter(None, forms)))


def _lower_escapes(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _clean(text: str, hidden: Iterable[str]) -> str:
    text = _printable(text)  # before masking: a control character inside a secret would hide the secret from the mask
    for form in hidden:
        text = text.replace(form, MASK)
    return text


def _cut(line: str, left: int) -> str:
    """Return the start of ``line`` that takes at most ``left`` bytes as escaped JSON."""
    while (size := len(json.dumps(line)) - 2) > left:
        line = line[: min(len(line) - 1, len(line) * left // size)]
    return line
