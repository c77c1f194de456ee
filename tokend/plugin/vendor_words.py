"""The vendor's own words in a reply without a token, for the operator and for the caller of an `issue`.

They never go to the log. The words are untrusted, and may echo what tokend sent. A kind that gives no secrets to mask
shows no words.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from tokend.plugin.echoed_fields import MASK, echoed_forms
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.strict_json import try_object
from tokend.values.errors import AttemptError
from tokend.values.secret import Secret

LONGEST_CHARACTERS = 300
# Only the first part of a text is looked at: a reply may have 256 KiB.
LONGEST_READ = 4096
# A shorter value, such as an amount or a currency, would be masked in the middle of words.
SHORTEST_VALUE = 4
# A long secret may be cut. So many of its first characters are the secret.
BEGINNING = 64
# Members in which vendors and standards (RFC 6749, RFC 9457) have a sentence, the most specific first.
_MEMBERS = ("message", "errorMessage", "status_message", "error_description", "detail", "title", "error")

E = TypeVar("E", bound=AttemptError)


def with_words(error: E, reply: UpstreamReply, secrets: Iterable[Secret] | None) -> E:
    """Give an error the words of its reply: at most 300 characters, secrets masked, no control characters.

    ``secrets`` are those that the request was made of; None: the error gets no words.
    """
    if secrets is not None:
        error.said = cleaned(_found(reply), secrets)
    return error


def without_values(error: E, parameters: Mapping[str, str]) -> E:
    """Return a copy of an error that may be stored and shown to others: the caller's values are masked in its words."""
    kept = copy.copy(error)
    if error.said is not None:
        values = [value for value in parameters.values() if len(value) >= SHORTEST_VALUE]
        halved = max((_length_of_beginning(value, error.said) for value in values), default=0)
        words = error.said[: len(error.said) - halved]
        kept.said = cleaned(words, map(Secret, values))
    return kept


def _length_of_beginning(value: str, text: str) -> int:
    """Return the length of the beginning of ``value`` that the cut has left at the end of ``text``."""
    if len(text) < LONGEST_CHARACTERS:
        return 0
    lengths = range(min(len(value), len(text)) - 1, SHORTEST_VALUE - 1, -1)
    return next((length for length in lengths if text.endswith(value[:length])), 0)


def cleaned(text: str, secrets: Iterable[Secret]) -> str | None:
    """Return a vendor's text without control characters and secrets, cut to `LONGEST_CHARACTERS`; None for no text."""
    # Before masking: a control character inside a secret would hide the secret from the mask.
    line = _one_line(text)
    forms = {_one_line(form) for secret in secrets for form in (_text(secret), *echoed_forms(secret))}
    for form in sorted(filter(None, forms), key=len, reverse=True):
        line = line.replace(form, MASK)
        if len(form) > BEGINNING and (start := line.find(form[:BEGINNING])) >= 0:
            line = line[:start] + MASK  # the vendor, or the limit of what is read, has cut it
    return line[:LONGEST_CHARACTERS].strip() or None


def _text(secret: Secret) -> str:
    return secret.reveal_bytes().decode("utf-8", "ignore")


def _one_line(text: str) -> str:
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _found(reply: UpstreamReply) -> str:
    """Return the sentences of a JSON object, or a body of plain text; "" for anything else, such as a page of HTML."""
    answer = try_object(reply.body)
    if answer is not None:
        data = answer.get("data")
        places: list[Mapping[str, Any]] = [answer, *([data] if isinstance(data, dict) else [])]
        texts = [place[name] for place in places for name in _MEMBERS if isinstance(place.get(name), str)]
        return ": ".join(dict.fromkeys(text[:LONGEST_READ].strip() for text in texts if text.strip()))
    media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in ("text/plain", ""):
        return ""
    try:
        text = reply.body[:LONGEST_READ].decode()
    except UnicodeDecodeError:
        return ""
    return "" if text.lstrip().startswith(("<", "{", "[")) else text
