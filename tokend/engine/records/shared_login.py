"""`SharedLogin`: the content of a login file, and its JSON form. Pure.

It holds the refresh token and the access token that came with it: who shares the file needs no request for that one.
"""

import hmac
from dataclasses import dataclass, field

import orjson

from tokend.engine.records.codec import dump_token, load_token
from tokend.engine.records.codec_values import count, dump_instant, mapping, maybe, moment, text
from tokend.engine.records.login_codec import dump_logins, load_logins
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.record import Record, after_reboot
from tokend.plugin.token_check import check_token
from tokend.values.errors import StoreError, TransientError
from tokend.values.instant import Instant
from tokend.values.logins import LoginClient
from tokend.values.tokens import Token

FORMAT = "tokend login file 1"
SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class SharedLogin:
    """The logins of one ``client``. ``number`` rises with each write.

    ``token`` is the last access token, None if there is none to share; ``request`` says what it was asked for, so that
    nobody adopts a token of another scope. ``withdrawals`` as in `SeenFile`. ``salt`` is for digests that all daemons
    must agree on.
    """

    client: LoginClient
    salt: bytes = field(repr=False)
    saved_at: Instant
    number: int = 0
    logins: LoginRecord = NO_LOGINS
    withdrawals: int = 0
    token: Token | None = None
    request: str | None = None

    def digest(self, value: bytes) -> str:
        """Return a salted digest."""
        return hmac.digest(self.salt, value, "sha256").hex()


def dump_shared(shared: SharedLogin, boot_id: str) -> bytes:
    """Encode the content, with secrets in clear: for a 0600 file only."""
    return orjson.dumps(
        {
            "format": FORMAT,
            "number": shared.number,
            "kind": shared.client.kind,
            "server": shared.client.server,
            "client_id": shared.client.client_id,
            "boot_id": boot_id,
            "saved_at": dump_instant(shared.saved_at),
            "salt": shared.salt.hex(),
            "logins": dump_logins(shared.logins),
            "withdrawals": shared.withdrawals,
            "token": None if shared.token is None else dump_token(shared.token),
            "request": shared.request,
        },
        option=orjson.OPT_INDENT_2,
    )


def load_shared(content: bytes, *, boot_id: str, now: Instant) -> SharedLogin:
    """Decode what `dump_shared` encoded. Raises `StoreError` for anything else, quoting nothing.

    Of another boot the logins count, and the access token does not: only the wall clock would know its end. Nor does a
    token that no header can carry.
    """
    try:
        document = mapping(orjson.loads(content))
        if document["format"] != FORMAT:
            raise StoreError(f"its format is not {FORMAT}: another version of tokend wrote it, or another program")
        logins, saved_at = load_logins(document["logins"]), moment(document["saved_at"])
        token = _sendable(maybe(load_token, document["token"]))
        if not boot_id or document["boot_id"] != boot_id:
            logins = after_reboot(Record(login=logins), now, saved_at=saved_at).login
            saved_at, token = now.after(-min(now.boot, 3600.0)), None
        return SharedLogin(
            client=LoginClient(text(document["kind"]), text(document["server"]), text(document["client_id"])),
            salt=bytes.fromhex(text(document["salt"])),
            saved_at=saved_at,
            number=count(document["number"]),
            logins=logins,
            withdrawals=count(document["withdrawals"]),
            token=token,
            request=maybe(text, document["request"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise StoreError("it is damaged, or was not written by tokend") from None


def _sendable(token: Token | None) -> Token | None:
    if token is not None:
        try:
            check_token(token)
        except TransientError:
            return None
    return token
