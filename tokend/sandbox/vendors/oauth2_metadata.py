"""Documents by which a client finds the OAuth 2 server (RFC 8414, OpenID discovery, RFC 9728)."""

from typing import Any

from tokend.sandbox.messages import Request
from tokend.sandbox.options import CLIENT_AUTH, Options

ISSUER = "/oauth2"
API = f"{ISSUER}/api"
SCOPES = ("openid", "offline_access", "read", "write")
GRANT_TYPES = {
    "client_credentials": "client_credentials",
    "refresh_token": "refresh_token",
    "authorization_code": "authorization_code",
    "urn:ietf:params:oauth:grant-type:device_code": "device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "jwt_bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange": "token_exchange",
}
OF_SERVER = (f"/.well-known/oauth-authorization-server{ISSUER}", f"{ISSUER}/.well-known/oauth-authorization-server")
OF_OPENID = (f"{ISSUER}/.well-known/openid-configuration", f"/.well-known/openid-configuration{ISSUER}")
OF_RESOURCE = f"/.well-known/oauth-protected-resource{API}"


def origin(request: Request) -> str:
    """Return scheme, host and port by which the client reaches the sandbox."""
    return f"http://{request.headers.get('host', '')}"


def metadata(request: Request, options: Options) -> dict[str, Any]:
    """Return the server's metadata; OpenID discovery has the same."""
    issuer = origin(request) + ISSUER
    methods = list(CLIENT_AUTH) if options.oauth2_client_auth == "any" else [options.oauth2_client_auth]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "revocation_endpoint": f"{issuer}/revoke",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "require_pushed_authorization_requests": options.oauth2_require_par,
        "jwks_uri": f"{issuer}/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": ["HS256", "RS256", "PS256", "ES256", "EdDSA"],
        "revocation_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": list(SCOPES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["HS256"],
    }


def resource_metadata(request: Request) -> dict[str, Any]:
    """Return the metadata of the protected resource."""
    return {
        "resource": origin(request) + API,
        "authorization_servers": [origin(request) + ISSUER],
        "scopes_supported": ["read", "write"],
        "bearer_methods_supported": ["header"],
    }
