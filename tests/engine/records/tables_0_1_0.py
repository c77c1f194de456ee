"""Provider tables of all five kinds, with their defaults and with every key set, as tokend 0.1.0 read them."""

from typing import Any

SECRET = {"file": "secrets/one"}
OTHER = {"env": "OTHER", "encoding": "base64"}
COMMON: dict[str, Any] = {
    "required": False,
    "timeout": "7s",
    "headers": {"X-Account": "A1"},
    "access": {"users": ["root"], "groups": [], "units": ["bot.service"]},
}
HELD: dict[str, Any] = {"refresh_before": "20%", "on_expiry": "remove"}
NETWORK: dict[str, Any] = {
    "zero_means": "never",
    "ca_file": "ca.pem",
    "client_cert": "cert.pem",
    "client_key": "key.pem",
    "proxy": "http://user:password@proxy.example:3128",
}
TABLES: dict[str, dict[str, Any]] = {
    "projectx": {"kind": "projectx", "username": "fake-user", "api_key": SECRET},
    "projectx, every key": {
        "kind": "projectx",
        "base_url": "https://firm.example/api/",
        "username": SECRET,
        "api_key": OTHER,
        "refresh": "validate",
        "initial_token": {"credential": "first"},
        **COMMON,
        **HELD,
        **NETWORK,
    },
    "projectx, given": {"kind": "projectx", "initial_token": SECRET},
    "tt": {
        "kind": "tt",
        "environment": "uat",
        "api_key": SECRET,
        "api_secret": OTHER,
        "app_name": "App",
        "company_name": "Company",
    },
    "tt, every key": {
        "kind": "tt",
        "base_url": "https://tt.example:8443",
        "environment": "live",
        "api_key": "fake-literal-key",
        "api_secret": {"command": ["pass", "tt"]},
        "app_name": "App",
        "company_name": "Company",
        **COMMON,
        **HELD,
        **NETWORK,
    },
    "jwt": {"kind": "jwt", "secret": "fake-literal-secret-of-32-bytes-"},
    "jwt, every key": {
        "kind": "jwt",
        "secret": OTHER,
        "algorithm": "HS512",
        "ttl": "1h",
        "claims": {"b": 1, "a": [True, 1.5, {"x": "ü"}]},
        "header": {"kid": "k1"},
        "nonce": True,
        "jti": True,
        "time_unit": "ms",
        "backdate": "30s",
        **COMMON,
        **HELD,
    },
    "request-jwt": {"kind": "request-jwt", "key": SECRET, "secret": OTHER},
    "request-jwt, every key": {
        "kind": "request-jwt",
        "key": SECRET,
        "secret": OTHER,
        "algorithm": "HS384",
        "ttl": "90s",
        "time_unit": "s",
        "signature_fields": ["a", "b"],
        "token_header": "X-Token",
        "token_prefix": "",
        "key_header": "X-Key",
        **COMMON,
    },
    "auth-token": {"kind": "auth-token", "client_secret": SECRET},
    "auth-token, every key": {
        "kind": "auth-token",
        "base_url": "https://login.example",
        "client_secret": OTHER,
        "expiration": "5m",
        **COMMON,
        **NETWORK,
    },
}

# What 0.1.0 made of them: account, request, secrets, and the account's name for the rate limit.
FINGERPRINTS: dict[str, tuple[str, str, str, str | None]] = {
    "projectx": (
        "6d2f3b11fe3ff3db4389dd21fbac08a3",
        "49b7437c51dc67ea02e2515422505e8f",
        "626e3058a25022af3a8b85c45928d342",
        None,
    ),
    "projectx, every key": (
        "5a5391c14789170ba1c1c4f649e41786",
        "9696740d3e9dfc5def7102a1bcaa9c9f",
        "9696740d3e9dfc5def7102a1bcaa9c9f",
        None,
    ),
    "projectx, given": (
        "688a8c4bf9386c33d4be68e39de45721",
        "9206cef0767a252b63e0b2c4f0e31c6e",
        "9206cef0767a252b63e0b2c4f0e31c6e",
        None,
    ),
    "tt": (
        "423d005f6742b931734d8938f075a18b",
        "6b682351dbfab1dd3424e0a3b4b44c4f",
        "5fbec4cc537597819c95fe8bb2e1375f",
        "7194df88c853f1077dbe4c6bf5cf6074",
    ),
    "tt, every key": (
        "fce9232a7e4481d1d32985f2e9a3e0a3",
        "fb99d8dd258b1f644b86b876ce39a3ad",
        "dd88fe87e6e608b56833665c2ef78073",
        "269a27c324c46d1558515325dff21a40",
    ),
    "jwt": (
        "8077d0f20fc672034f62770e6e3bfc87",
        "fa5b272beaf90902fedbc7f1486c4922",
        "561a99efe471a591e793f8335020957a",
        None,
    ),
    "jwt, every key": (
        "a4d26f55026edc383eeec980a0aa2108",
        "be22d6ac46cc8104adc5ba732e764800",
        "cbc2b402a8b2e2486ed72ced0731918b",
        None,
    ),
    "request-jwt": (
        "25378c3a842a89c5405e9330df1f6c3e",
        "94c951397fbdf3019ecd69cba0839715",
        "25378c3a842a89c5405e9330df1f6c3e",
        None,
    ),
    "request-jwt, every key": (
        "fd332448cf0c5edcad20ef7da04a81f9",
        "54b2cc9500e3116cd81445f81f26575f",
        "fd332448cf0c5edcad20ef7da04a81f9",
        None,
    ),
    "auth-token": (
        "8d2e20c82e483073d162e9e18ece2434",
        "971e3f4c21a31ae4adfc068382330e86",
        "8d2e20c82e483073d162e9e18ece2434",
        None,
    ),
    "auth-token, every key": (
        "34c70289c45094ae950b0c4643ac7e83",
        "753b7f797673ff232b3b3511cf78e81a",
        "34c70289c45094ae950b0c4643ac7e83",
        None,
    ),
}
