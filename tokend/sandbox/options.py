"""Options of the sandbox: defaults for `start`, and for the command line also kinds and help texts.

A field's name is the option's: ``tt_interval`` is ``--tt-interval``. Durations are float seconds here and
``[1-9][0-9]*(ms|s|m|h|d)`` on the command line.
"""

import re
from _socket import AF_INET, AF_INET6, inet_pton
from dataclasses import dataclass, field
from typing import Any

_DURATION = re.compile(r"([1-9][0-9]{0,9})(ms|s|m|h|d)", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
# Ten years: more than the life of any token, and every expiry stays before 2106, when unsigned 32-bit seconds end.
_LONGEST_SECONDS = 3660 * 86400

CLIENT_AUTH = ("client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none")
VALIDATE_ANSWERS = ("new", "null", "same", "expired", "invalid-session", "session-not-found", "unknown-error")


def parse_duration(text: str) -> float:
    """Read a duration as seconds. Raises ValueError, whose message shows the form."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a whole number with a unit: 500ms, 30s, 15m, 12h, 1d")
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds > _LONGEST_SECONDS:
        raise ValueError("a duration is at most ten years")
    return seconds


def _option(default: Any, kind: object, text: str) -> Any:
    """Declare an option. ``kind`` is duration, text, integer, number, flag, path, a tuple of choices or a range."""
    return field(default=default, metadata={"kind": kind, "help": text})


@dataclass(frozen=True, repr=False, kw_only=True)
class Options:
    """Settings of the sandbox. Raises ValueError for settings that contradict each other. The repr shows nothing."""

    host: str = _option("127.0.0.1", "text", "Loopback address to listen on; any other is refused.")
    port: int = _option(0, range(65536), "Port; 0 takes a free one.")
    database: str = _option(":memory:", "path", "SQLite file for Xerve's users, wallets and tokens.")
    clock_skew: float = _option(0.0, "number", "Seconds by which the sandbox's clock and its Date header are ahead.")
    latency: float = _option(0.0, "duration", "Wait before each answer.")
    fail_rate: float = _option(0.0, "number", "Share of vendor requests answered with 503, from 0 to 1.")
    seed: int | None = _option(None, "integer", "Seed for --fail-rate, to repeat a run.")
    ttl: float | None = _option(
        None, "duration", "Life of every token the sandbox issues (oauth2, projectx, tt, vault, github, google, xerve)."
    )

    projectx_username: str = _option("sandbox-user", "text", "Accepted userName.")
    projectx_api_key: str = _option("sandbox-projectx-key", "text", "Accepted apiKey.")
    projectx_ttl: float | None = _option(None, "duration", "Life of its tokens; 24h unless --ttl is given.")
    projectx_error_code: int | None = _option(None, range(11), "Answer each login with this LoginErrorCode.")
    projectx_validate: str = _option("new", VALIDATE_ANSWERS, "What validate answers to a valid bearer.")
    projectx_expires_in_field: bool = _option(False, "flag", "Answer in the form with expiresIn (whole minutes).")
    no_projectx_exp: bool = _option(False, "flag", "Issue JWTs without an exp claim.")
    projectx_limit: int = _option(200, "integer", "Requests allowed in 60 s, logins included; 0 is no limit.")

    partner_client_id: str = _option("sandbox-client", "text", "Accepted clientId.")
    partner_secret: str = _option("sandbox-partner-secret", "text", "Secret its callers sign with.")
    partner_ttl: float | None = _option(None, "duration", "Longest life (exp - iat) accepted; without it, any.")
    partner_status: int | None = _option(None, range(400, 600), "Answer each request with this HTTP status.")

    tt_api_key: str = _option("sandbox-tt-key", "text", "Accepted application key.")
    tt_api_secret: str = _option("sandbox-tt-secret", "text", "Accepted application secret.")
    tt_ttl: float | None = _option(None, "duration", "Life of its tokens; 12h unless --ttl is given.")
    tt_interval: float = _option(
        10.0, "duration", "Shortest time between two token POSTs; an earlier one is answered 429."
    )
    tt_status: str | None = _option(None, ("Fail", "StatusFail"), "Answer each token POST with this status.")
    tt_status_code: int = _option(401, range(200, 600), "HTTP status that goes with Fail and StatusFail.")
    tt_redirect: bool = _option(False, "flag", "Answer the token POST with the documented 303.")
    tt_seconds_as_string: bool = _option(False, "flag", "Send seconds_until_expiry as a string.")

    wallet_key: str = _option("sandbox-wallet-key", "text", "Accepted Auth Key.")
    wallet_secret: str = _option("sandbox-wallet-secret", "text", "Enc Key its callers sign with.")
    wallet_ttl: float = _option(60.0, "duration", "Longest life (exp - iat) accepted.")
    wallet_status: int | None = _option(None, range(400, 600), "Answer each request with this HTTP status.")

    vault_role_id: str = _option("sandbox-role-id", "text", "Accepted role_id of an AppRole login.")
    vault_secret_id: str = _option("sandbox-secret-id", "text", "Accepted secret_id of an AppRole login.")
    vault_role: str = _option("sandbox", "text", "Accepted role of a jwt or kubernetes login.")
    vault_jwt: str = _option("sandbox-vault-jwt", "text", "Accepted jwt of a jwt or kubernetes login.")
    vault_ttl: float | None = _option(None, "duration", "Life of its tokens; 1h unless --ttl is given.")
    vault_max_ttl: float | None = _option(None, "duration", "Age beyond which a token is not renewed; 4h by default.")
    vault_batch: bool = _option(False, "flag", "Issue batch tokens, which are not renewable.")

    github_client_id: str = _option("sandbox-app", "text", "Accepted client id of an App.")
    github_installation: str = _option("1", "text", "Number of the App's installation.")
    github_owner: str = _option("sandbox-org", "text", "Account that the App is installed at.")
    github_ttl: float | None = _option(None, "duration", "Life of its tokens; 1h unless --ttl is given.")

    google_client_email: str = _option(
        "sandbox@sandbox-project.iam.gserviceaccount.com", "text", "Address of its service account."
    )
    google_subject: str = _option("person@example.com", "text", "The person for whom the account may act.")
    google_ttl: float | None = _option(None, "duration", "Life of its tokens; 1h unless --ttl is given.")

    oauth2_client_id: str = _option("sandbox-oauth2-client", "text", "Id of the client with a secret.")
    oauth2_client_secret: str = _option("sandbox-oauth2-secret", "text", "Its secret.")
    oauth2_public_key: str | None = _option(None, "path", "PEM file with its public key, for private_key_jwt.")
    oauth2_public_client_id: str = _option("sandbox-oauth2-app", "text", "Id of the client without a secret.")
    oauth2_client_auth: str = _option("any", ("any", *CLIENT_AUTH), "The one client authentication accepted.")
    oauth2_refresh_token: str = _option("sandbox-refresh-token", "text", "Refresh token that is valid at the start.")
    oauth2_subject_token: str = _option("sandbox-subject-token", "text", "Subject token of token exchange.")
    oauth2_subject: str = _option("sandbox-person", "text", "Account that the pages suggest.")
    oauth2_ttl: float | None = _option(None, "duration", "Life of its access tokens; 1h unless --ttl is given.")
    oauth2_expires_in: str = _option("number", ("number", "string", "none"), "Form of expires_in.")
    oauth2_jwt: bool = _option(False, "flag", "Issue access tokens that are JWTs.")
    oauth2_rotation: str = _option("strict", ("none", "strict", "grace"), "What a refresh does to its refresh token.")
    oauth2_grace: float = _option(60.0, "duration", "Time in which grace answers the previous refresh token again.")
    oauth2_refresh_ttl: float | None = _option(None, "duration", "Life of its refresh tokens; without it, no end.")
    oauth2_refresh_ttl_from: str = _option("refresh", ("refresh", "login"), "What begins that life.")
    oauth2_device_interval: float = _option(5.0, "duration", "Least time between two polls for a device.")
    oauth2_device_ttl: float = _option(600.0, "duration", "Life of device codes.")
    oauth2_encoding: str = _option("form", ("form", "json", "query"), "How its requests are encoded.")
    oauth2_errors_as_200: bool = _option(False, "flag", "Answer errors with status 200.")
    oauth2_require_par: bool = _option(False, "flag", "Accept pushed authorization requests only.")

    xerve_client_secret: str = _option("sandbox-xerve-secret", "text", "Secret its callers sign with.")
    xerve_ttl: float | None = _option(None, "duration", "Life of its tokens, instead of the requested minutes.")
    xerve_status: int | None = _option(None, (400, 401, 500), "Answer each request with this documented error.")

    railway_project_token: str = _option("sandbox-railway-token", "text", "Accepted project token.")
    railway_account_token: str = _option("sandbox-railway-account", "text", "Accepted account token.")
    railway_project: str = _option("sandbox-project", "text", "Id of its project.")
    railway_environment: str = _option("sandbox-environment", "text", "Id of its environment.")

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise ValueError(f"host {self.host!r} is not a loopback address: use 127.0.0.1 or ::1")
        if self.projectx_limit < 0:
            raise ValueError(f"projectx limit {self.projectx_limit} is below 0; 0 is no limit")
        if not 0 <= self.fail_rate <= 1:
            raise ValueError(f"fail rate {self.fail_rate} is not between 0 and 1")
        if not abs(self.clock_skew) <= _LONGEST_SECONDS * 5:  # 50 years: 1976 to 2076, without OverflowError
            raise ValueError("clock skew is at most fifty years")
        if not re.fullmatch(r"[1-9][0-9]{0,18}", self.github_installation, re.ASCII):
            raise ValueError("the installation at GitHub is a number")
        life = self.projectx_ttl or self.ttl or 0
        if self.no_projectx_exp and self.projectx_expires_in_field and life % 60:
            raise ValueError("expiresIn counts whole minutes: without exp, the ProjectX life must be whole minutes")


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is a name or an address of this machine for every resolver.

    The same as `tokend.values.url.is_loopback`, held to one table by a test: the sandbox stands alone.
    """
    if host.lower() == "localhost":
        return True
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        packed = inet_pton(AF_INET6 if ":" in bare else AF_INET, bare)
    except (OSError, ValueError):
        return False
    if len(packed) == 4:
        return packed[0] == 127 and bare is host
    return packed == bytes(15) + b"\x01" or packed.startswith(bytes(10) + b"\xff\xff\x7f")
