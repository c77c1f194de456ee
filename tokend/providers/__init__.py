"""The kinds of tokens, one file each. A kind is a frozen model whose fields are its TOML keys and whose one method
makes one attempt; plugins do not know each other."""

from collections.abc import Mapping

from tokend.plugin.settings import ProviderSettings
from tokend.providers.auth_token import AuthToken
from tokend.providers.jwt import Jwt
from tokend.providers.projectx import ProjectX
from tokend.providers.request_jwt import RequestJwt
from tokend.providers.tt import TT

BUILTIN: Mapping[str, type[ProviderSettings]] = {
    "projectx": ProjectX,
    "tt": TT,
    "jwt": Jwt,
    "request-jwt": RequestJwt,
    "auth-token": AuthToken,
}
