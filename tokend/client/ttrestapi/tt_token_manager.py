"""`TTTokenManager`: the class of the package TTRestAPI, which here asks the daemon and neither logs in nor writes."""

import logging
import uuid
from typing import Any

from tokend.client.errors import DeniedError
from tokend.client.tokens import TokenClient
from tokend.client.ttrestapi.tt_utils import format_bearer_token

_log = logging.getLogger("tokend.client")
# TT's names of the environments, as they stand in the paths of its API.
_SEGMENTS = {"uat": "ext_uat_cert", "live": "ext_prod_live", "sim": "ext_prod_sim"}
# The reason that `tokend refresh` gives: a wish for a newer token, not the report of a 401.
WISH = "command line"
# Arguments that were named in the log. Once each per process: a program may make many of these objects.
_named: set[str] = set()


class TTTokenManager:
    """Tokens of one TT application, as the package's own class gives them.

    The package's arguments are accepted and ignored: credentials, names, environment and file are in the daemon's
    configuration. The log says so once, without their values. Only ``environment`` still decides `env_path_segment`.
    ``name`` is the token's name in that configuration, ``client`` the tokend to ask. Methods raise a `TokendError`,
    whose message gives the reason.
    """

    def __init__(
        self,
        api_key: str | None = None,
        api_secret: str | None = None,
        app_name: str | None = None,
        company_name: str | None = None,
        environment: str = "UAT",
        *_: Any,
        name: str = "tt",
        client: TokenClient | None = None,
        **options: Any,
    ) -> None:
        """Raises ValueError for an environment that TT does not have."""
        if environment.lower() not in _SEGMENTS:
            raise ValueError(f"environment is UAT, LIVE or SIM, not {environment!r}")
        self._name = name
        self._client = client or TokenClient()
        self.env_path_segment = _SEGMENTS[environment.lower()]
        given = {"api_key": api_key, "api_secret": api_secret, "app_name": app_name, "company_name": company_name}
        _name_ignored([key for key, value in given.items() if value is not None] + list(options), name)

    def get_token(self, force_refresh: bool = False) -> str:
        """Return a valid token; with ``force_refresh`` a newer one than the present."""
        lease = self._client.get(self._name)
        if force_refresh:
            try:
                lease = self._client.refresh(self._name, reason=WISH)
            except DeniedError:
                # Only admins may refresh unconditionally. Every reader may if the generation is still this one.
                lease = self._client.refresh(self._name, if_generation=lease.generation, reason=WISH)
        return lease.access_token

    def generate_request_id(self) -> str:
        """Return a new request id, ``app-company--guid``, with the names of the daemon's configuration."""
        return self._client.request_id(self._name)

    create_request_id = generate_request_id

    def generate_guid(self) -> str:
        """Return a new GUID."""
        return str(uuid.uuid4())

    def get_auth_header(self) -> dict[str, str]:
        """Return the header ``Authorization`` of a request."""
        return {"Authorization": format_bearer_token(self.get_token())}

    def get_request_params(self) -> dict[str, str]:
        """Return the query parameters of a request: a new ``requestId``."""
        return {"requestId": self.generate_request_id()}


def _name_ignored(keys: list[str], name: str) -> None:
    new = [key for key in keys if key not in _named]
    if new:
        _named.update(new)
        _log.warning(
            "TTTokenManager: %s ignored: tokend's configuration decides, [providers.%s]; delete it from this program",
            ", ".join(new),
            name,
        )
