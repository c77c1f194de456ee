"""Kind ``tt``: Trading Technologies REST 2.0, a token per application key (docs/vendors.md, tt)."""

import re
import uuid
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, urljoin

from pydantic import field_validator

from tokend.plugin.field_roles import Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.provider import Runtime
from tokend.plugin.response_status import RATE_LIMITED, refuse, token_value
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import HeldSettings, NetworkSettings
from tokend.plugin.strict_json import parse_object, try_object
from tokend.plugin.text import header_text, text_of
from tokend.plugin.token_expiry import expiry
from tokend.plugin.vendor_words import with_words
from tokend.values.errors import RejectedError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token
from tokend.values.url import host_of, same_origin

ENVIRONMENTS = {"uat": "ext_uat_cert", "live": "ext_prod_live", "sim": "ext_prod_sim"}
# Characters that the vendor forbids in the names of a requestId; also white space and control characters.
FORBIDDEN = re.compile(r"""[\s\x00-\x1f\x7f$&+,/:;=?@"<>#%{}|\\^~\[\]`]""")


class TT(HeldSettings, NetworkSettings):
    """A held token of one TT application key."""

    minimum_lead_seconds: ClassVar[float] = 10 * 60.0
    # The vendor allows one token request per 10 s, retries included.
    request_interval_seconds: ClassVar[float] = 10.0
    interval_is_per_account: ClassVar[bool] = True
    request_id_parameter: ClassVar[str | None] = "requestId"

    kind: Literal["tt"] = "tt"
    base_url: str = "https://ttrestapi.trade.tt"
    environment: Annotated[Literal["uat", "live", "sim"], Role.ACCOUNT]
    api_key: Annotated[SecretField, Role.ACCOUNT]
    api_secret: SecretField
    app_name: str
    company_name: str

    @field_validator("environment", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        """Accept ``UAT`` as well: the vendor's package writes it so."""
        return value.lower() if isinstance(value, str) else value

    @field_validator("app_name", "company_name")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not FORBIDDEN.sub("", value):
            raise ValueError("nothing of it may stand in a requestId: use letters, digits, - _ . ! * ' ( )")
        return value

    def request_id(self) -> str:
        """Return a new id, ``app-company--uuid``. Each call needs a new one."""
        return f"{FORBIDDEN.sub('', self.app_name)}-{FORBIDDEN.sub('', self.company_name)}--{uuid.uuid4()}"

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:  # noqa: ARG002  (no scheme to extend)
        """Send one token request, and follow its documented redirect."""
        key, secret = await runtime.reveal(self.api_key), await runtime.reveal(self.api_secret)
        pair = _pair(header_text(key, "api_key"), text_of(secret, "api_secret"))
        environment, request_id = ENVIRONMENTS[self.environment], quote(self.request_id(), safe="")
        url = f"{self.base_url}/ttid/{environment}/token?requestId={request_id}"
        headers: dict[str, str | Secret] = {"x-api-key": key, "Content-Type": "application/x-www-form-urlencoded"}
        body = f"grant_type=user_app&app_key={quote(pair, safe='')}".encode()
        reply = await runtime.exchange(UpstreamRequest("POST", url, headers, body))
        if reply.status == 303:
            reply = await self._follow(runtime, url, headers, reply)
        return self._token_of(reply, key, (key, secret))

    async def _follow(
        self, runtime: Runtime, url: str, headers: dict[str, str | Secret], reply: UpstreamReply
    ) -> UpstreamReply:
        """Follow the documented 303 once: GET with the same headers, on the same origin only.

        Raises `TransientError` for another origin, which would get the key.
        """
        location = reply.headers.get("location", "")
        try:
            target = urljoin(url, location)
        except ValueError:
            target = ""
        if not location or not same_origin(url, target):
            raise TransientError(f"{host_of(url)} answered 303 to another place: not followed, it would get the key")
        return await runtime.exchange(UpstreamRequest("GET", target, headers))

    def _token_of(self, reply: UpstreamReply, key: Secret, sent: tuple[Secret, ...]) -> Token:
        host = host_of(self.base_url)
        if reply.status == RATE_LIMITED:
            refuse(reply, host, secrets=sent)
        answer = try_object(reply.body) if reply.status != 200 else parse_object(reply.body, host)
        if answer is not None and reply.status < 500 and answer.get("status") in ("Fail", "StatusFail"):
            text = f"{host} answered {reply.status} with status {answer['status']}: the key is not accepted"
            raise with_words(RejectedError(text), reply, sent)
        if reply.status != 200 or answer is None:
            refuse(reply, host, secrets=sent)
        if answer.get("status") != "Ok":
            text = f"{host} answered with a status that is neither Ok nor Fail"
            raise with_words(TransientError(text), reply, sent)
        token = token_value(answer.get("access_token"), host)
        if "seconds_until_expiry" not in answer:
            raise TransientError(f"{host} answered without seconds_until_expiry")
        return Token(
            value=token,
            token_type=_token_type(answer.get("token_type"), host),
            issued_at=reply.sent_at,
            expires_at=expiry(
                reply, token, host=host, relative=answer["seconds_until_expiry"], zero_means=self.zero_means
            ),
            headers={"Authorization": Secret(f"Bearer {token.reveal()}"), "x-api-key": key},
        )


def _pair(key: str, secret: str) -> str:
    """Return ``key:secret``. ``secret`` may be the whole pair: people paste it as the vendor shows it."""
    return secret if secret.startswith(f"{key}:") else f"{key}:{secret}"


def _token_type(value: Any, host: str) -> str:
    """Return the token type in the vendor's spelling (``bearer``), which readers of tt_token.json expect."""
    if value is None:
        return "bearer"
    return token_value(value, host).reveal()
