"""Headers that sign one request of an adapter, by `TokenClient.sign`, for upstreams that want each call signed."""

from collections.abc import Mapping

from tokend.client.grants import Grant, TokenSource
from tokend.client.leases import Lease


class SignatureSource(TokenSource):
    """The signatures of one name. The parameters of `first` are those of `call_to_sign`."""

    def first(self, query: str, parameters: Mapping[str, str] | None) -> Grant:  # noqa: ARG002  # it is in the parameters
        """Sign one request."""
        asked = dict(parameters or {})
        headers = self.client.sign(self.name, asked["method"], asked["path"], query=asked["query"], body=asked["body"])
        return Grant(Lease(self.name, "", token_type="signature", headers=headers))  # noqa: S106  # it is no token


def call_to_sign(method: str, target: str, body: object) -> dict[str, str]:
    """Return the parameters of a request for `SignatureSource`. ``target`` is the path as it is sent, with its query.

    Raises TypeError for a body that streams, and ValueError for one that is no UTF-8 text.
    """
    if isinstance(body, bytes):
        body = body.decode()
    if body is not None and not isinstance(body, str):
        raise TypeError("a body that streams cannot be signed: give bytes, text or json")
    path, _, query = target.partition("?")
    return {"method": method, "path": path or "/", "query": query, "body": body or ""}
