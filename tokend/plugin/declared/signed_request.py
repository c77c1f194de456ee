"""Requests whose values are computed over their own parts: what is signed is what is sent, byte for byte.

    made = request.make(Names(values, given, Moment(runtime.upstream_now(), counters), request))

`request_names` has what a kind asks when its table is read: unknown names, circles, which names a request needs.
"""

from collections.abc import Mapping

from tokend.plugin.declared.built_in_names import REQUEST_PARTS, Moment
from tokend.plugin.declared.placeholders import Value, as_text
from tokend.plugin.declared.request import RequestSettings
from tokend.plugin.declared.request_names import Values, body_names, free_pairs
from tokend.plugin.declared.unfit_values import UnfitValueError
from tokend.plugin.declared.url_template import percent_encoded
from tokend.plugin.text import is_text, text_of
from tokend.values.secret import Secret
from tokend.values.url import host_header

# Of one value. The largest parts are bodies.
LARGEST_VALUE_BYTES = 256 * 1024


class Names(dict[str, Value]):
    """Names in ``{…}`` with their values, each computed when it is first asked for.

    ``given`` has the secrets, the parameters and what else the kind knows by name; None is an empty text. The look-up
    raises `SecretError` for a secret that is no text where a text stands, `UnfitValueError` for what is no Unicode
    text. Without a request they are those of ``headers`` and claims: the parts of a request are not among them.
    """

    def __init__(
        self, values: Values, given: Mapping[str, Value], moment: Moment, request: RequestSettings | None = None
    ) -> None:
        super().__init__()
        self._values = values
        self._given = given
        self._moment = moment
        self._request = request
        # Not all of them are texts: a key is bytes.
        self._found: dict[str, Value] = {}

    def __missing__(self, name: str) -> Value:
        value = self._find(name)
        if isinstance(value, Secret):
            text_of(value, f"the secret in {{{name}}}")
        elif isinstance(value, str) and not is_text(value):
            raise UnfitValueError(f"what stands for {{{name}}} is not valid Unicode text", [name])
        self[name] = value
        return value

    def raw(self, name: str) -> bytes:
        """Return the bytes of a name, as a part or a key has them."""
        value = self._find(name)
        return value.reveal_bytes() if isinstance(value, Secret) else as_text(value).encode("utf-8", "replace")

    def _find(self, name: str) -> Value:
        if name not in self._found:
            self._found[name] = self._sought(name)
        return self._found[name]

    def _sought(self, name: str) -> Value:
        if (computed := self._values.get(name)) is not None:
            text = computed.text(self.raw, self._moment.now)
            if len(text) > LARGEST_VALUE_BYTES:
                raise UnfitValueError(f"the value {name} has more than {LARGEST_VALUE_BYTES // 1024} KiB", [name])
            hidden = computed.is_hidden or any(isinstance(self._find(used), Secret) for _, used in computed.names())
            return Secret(text) if hidden else text.decode()
        if name in self._given:
            return self._given[name]
        if self._request is not None and name in REQUEST_PARTS:
            return self._part(self._request, name)
        return self._moment.value(name)

    def _part(self, request: RequestSettings, name: str) -> Value:
        if name == "method":
            return request.method
        if name == "host":
            return host_header(request.url.origin)
        if name == "path":
            return request.url.path.fill(self, percent_encoded) or "/"
        if name == "body":
            body, _ = request.body(self)
            return (
                Secret(body) if any(isinstance(self[used], Secret) for used in body_names(request)) else body.decode()
            )
        pairs = [pair.fill(self, percent_encoded) for pair in free_pairs(request, self._values)]
        query = "&".join(map(as_text, pairs))
        return Secret(query) if any(isinstance(pair, Secret) for pair in pairs) else query
