"""Output formats of one token for other programs: ``-o`` of ``tokend get``, except `raw` and `json`."""

import json
import re
import time

from tokend.client.errors import TokendError

TYPE_CHECKING = False  # `typing` costs a tenth of the whole command; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Values that all readers of .env files read alike, unquoted; the reasons are in `tokend.sinks.files.dotenv_format`.
# An import of that module would bring pydantic into `tokend get`.
_BARE = re.compile(r"(?!=)(?:[A-Za-z0-9_./+@%,^-]|:(?![~=])|=(?!~)|(?<!^)~)+\Z", re.ASCII)
# Words that all readers of .netrc read alike: no blanks, no quotes, no backslash, and no # at the beginning.
_NETRC_WORD = re.compile(r"(?!#)[!-~]+\Z", re.ASCII)
_NETRC_QUOTING = frozenset("\"'\\")
_NETRC_PLACE = re.compile(r"(?:([^@]+)@)?([A-Za-z0-9.-]+)\Z", re.ASCII)
# RFC 7515, 3.1: three parts in base64url.
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*\Z", re.ASCII)
# Kubernetes and Bazel ask again only after the expiry that they were given. 30 s earlier, a new token exists for sure.
MARGIN_SECONDS = 30
# RFC 9110, 5.1: the name of a header is a token.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z", re.ASCII)
# Formats of lines: a control character in a value would begin another line.
LINES = frozenset(("curl", "header", "env", "shell", "git", "netrc"))
# Positions of year, month, day, hour, minute and second in RFC 3339.
_PLACES = ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))
# User name beside a token: GitHub's documentation names it, GitLab accepts any.
USERNAME = "x-access-token"


def render(answer: "Mapping[str, Any]", output: str, *, host: "str | None" = None, key: "str | None" = None) -> str:
    """Format a token's answer, without a newline at the end. Raises `TokendError` if the format cannot hold the token.

    Formats of lines refuse control characters in any field. ``host`` is for `netrc` alone: ``[LOGIN@]HOST``. ``key`` is
    the variable of `env` and `shell` [default: that of the name].
    """
    _check(answer, output)
    if output == "netrc":
        text = _netrc(answer, host or "")
    elif output in ("env", "shell"):
        text = (_env if output == "env" else _shell)(answer, key or variable(str(answer["name"])))
    else:
        text = _FORMS[output](answer) if output in _FORMS else str(answer["access_token"])
    if output in LINES:
        _check_controls(answer, output)
    return text


def _check(answer: "Mapping[str, Any]", output: str) -> None:
    """Raise `TokendError` if this is no answer of tokend: the server may be another program."""
    # A signature is headers alone.
    headers, end = answer.get("headers"), answer.get("expires_at_unix", None if output in ("header", "curl") else "")
    texts = [answer.get("name"), answer.get("access_token"), answer.get("issued_at", "")]
    texts += headers.values() if isinstance(headers, dict) else [None]
    if not all(isinstance(text, str) for text in texts) or not (end is None or type(end) is int):
        raise TokendError("the answer is no token of tokend: is it tokend that listens there?")


def _check_controls(answer: "Mapping[str, Any]", output: str) -> None:
    """Raise `TokendError` for a control character: it would begin a line, an option or a field of its own."""
    headers = answer["headers"]
    fields = {name: answer.get(name) for name in ("name", "access_token", "token_type", "issued_at")}
    for field, text in [*fields.items(), *(("a header", text) for text in headers.values())]:
        if isinstance(text, str) and any(map(_is_control, text)):
            raise TokendError(f"{field} has a control character, which -o {output} cannot carry: use -o json")
    if not all(map(_HEADER_NAME.match, headers)):
        raise TokendError(f"a header's name has characters that no header has: use -o json instead of -o {output}")


def _is_control(character: str) -> bool:
    """Return whether a character controls a terminal, ends a line, or is half of a character (a surrogate)."""
    return (
        character < " "
        or "\x7f" <= character <= "\x9f"
        or character in "\u2028\u2029"
        or "\ud800" <= character <= "\udfff"
    )


def variable(name: str) -> str:
    """Return the environment variable of a token: ``NAME_TOKEN``, with a leading ``_`` instead of a leading digit."""
    text = re.sub(r"[^A-Z0-9]", "_", name.upper()) + "_TOKEN"
    return "_" + text if text[0].isdigit() else text


def asked_again_at(answer: "Mapping[str, Any]") -> str | None:
    """Return the RFC 3339 moment until which a program may cache the token; None for a token without end.

    `MARGIN_SECONDS` before the end. A token that lives no longer than that is cached for half of its life: otherwise
    the program would ask at each use.
    """
    end = answer["expires_at_unix"]
    if end is None:
        return None
    life = end - _unix(answer["issued_at"]) if answer.get("issued_at") else None
    margin = life // 2 if life is not None and life <= MARGIN_SECONDS else MARGIN_SECONDS
    return _rfc3339(end - margin)


def _header(answer: "Mapping[str, Any]") -> str:
    return "\n".join(f"{header}: {text}" for header, text in answer["headers"].items())


def _curl(answer: "Mapping[str, Any]") -> str:
    escape = str.maketrans({"\\": "\\\\", '"': '\\"'})
    return "\n".join(
        f'header = "{header.translate(escape)}: {text.translate(escape)}"' for header, text in answer["headers"].items()
    )


def _headers_json(answer: "Mapping[str, Any]") -> str:
    return json.dumps({"version": 1, "name": answer["name"], "headers": answer["headers"]})


def _env(answer: "Mapping[str, Any]", key: str) -> str:
    name, value = str(answer["name"]), str(answer["access_token"])
    if not _BARE.match(value):
        raise TokendError(f"{name} needs quotes, which not all .env readers read alike: use -o shell or -o raw")
    return f"{key}={value}"


def _shell(answer: "Mapping[str, Any]", key: str) -> str:
    quoted = str(answer["access_token"]).replace("'", "'\\''")
    return f"export {key}='{quoted}'"


def _git(answer: "Mapping[str, Any]") -> str:
    return git_credential(answer, USERNAME)


def git_credential(answer: "Mapping[str, Any]", username: str) -> str:
    """Format the answer of a git credential helper (gitcredentials(7)): lines of key=value."""
    if any(character in answer["access_token"] + username for character in "\n\r\0"):
        raise TokendError(f"{answer['name']} has a line break, which git's protocol cannot carry: use -o raw")
    _check(answer, "git")
    _check_controls(answer, "git")
    lines = [f"username={username}", f"password={answer['access_token']}"]
    if answer["expires_at_unix"] is not None:
        lines.append(f"password_expiry_utc={answer['expires_at_unix']}")
    return "\n".join(lines)


def _netrc(answer: "Mapping[str, Any]", place: str) -> str:
    found = _NETRC_PLACE.match(place)
    if found is None:
        raise TokendError(f"--host is [LOGIN@]HOST, without a port (netrc knows none): {place!r} is not")
    login, value = found[1] or USERNAME, str(answer["access_token"])
    for what, word in (("the login", login), (str(answer["name"]), value)):
        if not _NETRC_WORD.match(word) or _NETRC_QUOTING & set(word):
            raise TokendError(f"{what} needs quotes, which not all .netrc readers read alike: use -o header or -o curl")
    return f"machine {found[2]} login {login} password {value}"


def _k8s(answer: "Mapping[str, Any]") -> str:
    """Format an ExecCredential for kubectl's exec plugins, in the version that kubectl asks for."""
    status: dict[str, str] = {"token": answer["access_token"]}
    if (end := asked_again_at(answer)) is not None:
        status["expirationTimestamp"] = end
    return json.dumps({"apiVersion": _exec_version(), "kind": "ExecCredential", "status": status})


def _exec_version() -> str:
    """Return the apiVersion from $KUBERNETES_EXEC_INFO, which kubectl sets; kubectl refuses any other."""
    import os

    known = "client.authentication.k8s.io/"
    try:
        asked = json.loads(os.environ.get("KUBERNETES_EXEC_INFO", ""))["apiVersion"]
    except (ValueError, KeyError, TypeError):
        asked = None
    return str(asked) if asked == known + "v1beta1" else known + "v1"


def _aws(answer: "Mapping[str, Any]") -> str:
    """Format the output of an AWS ``credential_process``. AWS takes no bearer tokens: the value must hold a key pair.

    The value may have the names of `credential_process`, or those of containers (Token instead of SessionToken).
    """
    try:
        keys = json.loads(answer["access_token"])
        shown = {"Version": 1, "AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"]}
    except (ValueError, KeyError, TypeError):
        # "from None", because the cause quotes the value.
        raise TokendError(
            f"{answer['name']} is no AWS key pair: that is a JSON object with AccessKeyId and SecretAccessKey, and "
            "AWS takes no bearer token here. An OIDC token goes to AWS as a file: a raw sink, whose path is in "
            "$AWS_WEB_IDENTITY_TOKEN_FILE"
        ) from None
    if session := keys.get("SessionToken") or keys.get("Token"):
        shown["SessionToken"] = session
    if answer["expires_at_unix"] is not None:
        shown["Expiration"] = _rfc3339(answer["expires_at_unix"])
    return json.dumps(shown)


def _gcp(answer: "Mapping[str, Any]") -> str:
    """Format the response of a Google `external_account` executable, of which tokend supports OIDC tokens."""
    value = str(answer["access_token"])
    if not _JWT.match(value):
        raise TokendError(
            f"{answer['name']} is no JWT: Google exchanges OIDC tokens (external_account with credential_source."
            "executable), and no others; a program that takes the token itself wants -o raw"
        )
    shown = {
        "version": 1, "success": True, "token_type": "urn:ietf:params:oauth:token-type:jwt", "id_token": value,
    }  # fmt: skip
    if answer["expires_at_unix"] is not None:
        shown["expiration_time"] = answer["expires_at_unix"]
    return json.dumps(shown)


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _unix(moment: str) -> int:
    """Read ``YYYY-MM-DDTHH:MM:SSZ``, as the daemon writes it. (`datetime` would cost a tenth of the whole command.)"""
    year, month, day, hour, minute, second = (int(moment[a:b]) for a, b in _PLACES)
    if month < 3:
        year, month = year - 1, month + 12
    # Days since 1970, in years that begin with March, so that the leap day is the last day.
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
    return ((days * 24 + hour) * 60 + minute) * 60 + second


_FORMS = {
    "header": _header, "headers-json": _headers_json, "curl": _curl, "git": _git, "k8s": _k8s, "aws": _aws, "gcp": _gcp,
}  # fmt: skip
