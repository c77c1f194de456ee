"""Endpoints of a server: as they are written, or as its metadata name them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The URLs of one server, and what its metadata say of it. ``issuer`` is None where it is not known.

    ``auth_methods`` are the ways of client authentication that the server takes, None where it does not say.
    ``demands_iss``: the answer of a browser's login names the issuer (RFC 9207). ``par_url`` takes pushed
    authorization requests (RFC 9126); with ``demands_par`` it takes nothing else.
    """

    token_url: str
    issuer: str | None = None
    authorize_url: str | None = None
    device_url: str | None = None
    revoke_url: str | None = None
    par_url: str | None = None
    demands_par: bool = False
    demands_iss: bool = False
    auth_methods: tuple[str, ...] | None = None
