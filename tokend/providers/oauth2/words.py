"""Words of the configuration that come from OAuth's registries: grants, client authentication, algorithms, errors."""

from typing import Literal

Grant = Literal[
    "client_credentials", "refresh_token", "jwt_bearer", "token_exchange", "authorization_code", "device_code"
]
LOGIN_GRANTS = frozenset({"refresh_token", "authorization_code", "device_code"})
# Grants with a person, who can begin a login in a browser or on another device.
PERSONAL_GRANTS = frozenset({"authorization_code", "device_code"})
ClientAuth = Literal[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]
BY_SECRET = frozenset({"client_secret_basic", "client_secret_post", "client_secret_jwt"})
BY_CERTIFICATE = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
SigningAlgorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
# Names of grants as they are sent.
GRANT_TYPES = {
    "client_credentials": "client_credentials",
    "refresh_token": "refresh_token",
    "authorization_code": "authorization_code",
    "device_code": "urn:ietf:params:oauth:grant-type:device_code",
    "jwt_bearer": "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "token_exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
}
JWT_BEARER_CLIENT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# The server refuses the login. GitHub has a word of its own.
LOGIN_CODES = frozenset(
    {"invalid_grant", "interaction_required", "login_required", "consent_required", "bad_refresh_token"}
)
# The server refuses the client, and no login is lost.
CLIENT_CODES = frozenset(
    {
        "invalid_client",
        "unauthorized_client",
        "invalid_scope",
        "unsupported_grant_type",
        "invalid_target",
        "incorrect_client_credentials",  # GitHub
    }
)
# A complete answer that decides nothing.
UNDECIDED_CODES = frozenset({"temporarily_unavailable", "server_error", "invalid_request"})
# The answers to a device's poll and to a browser's login that end it.
ENDING_CODES = frozenset({"access_denied", "expired_token", "bad_verification_code", "incorrect_device_code"})
SLOW_DOWN = "slow_down"
PENDING = "authorization_pending"
# Codes that messages may name: all others are the server's text.
KNOWN_CODES = LOGIN_CODES | CLIENT_CODES | UNDECIDED_CODES | ENDING_CODES | {SLOW_DOWN, PENDING}
