"""``tokend get``: straight from argv to the socket. Imports nothing that costs time; click only shows its help."""

import os
import re
import sys
import time

from tokend.client.transport import NotRunningError, TokendError, UnavailableError, exchange, find_socket, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OUTPUTS = ("raw", "json", "env", "shell", "header", "curl", "k8s", "git")
EXIT_WAIT_RAN_OUT = 124
LONGEST_WAIT_SECONDS = 300
# Kubernetes asks again only after the expiry it was told: half a minute earlier there is a new token for sure.
K8S_MARGIN_SECONDS = 30
_VALUED = {"-o": "output", "--output": "output", "--min-ttl": "min_ttl", "--wait": "wait", "--socket": "socket"}
_FLAGS = {"--refresh": "refresh", "-n": "no_newline"}


def run(arguments: "Sequence[str]") -> "int | None":
    """Carry out ``tokend get ARGUMENTS``; None where click should explain (help, wrong usage)."""
    options = _parse(arguments)
    return None if options is None else get(**options)


def get(
    name: str,
    *,
    output: str = "raw",
    min_ttl: "str | None" = None,
    wait: "str | None" = None,
    refresh: bool = False,
    no_newline: bool = False,
    socket: "str | None" = None,
) -> int:
    """Print one token; returns the exit code. Errors are one sentence on stderr."""
    try:
        text = _fetch(find_socket(socket), name, output, min_ttl, None if wait is None else _seconds(wait), refresh)
    except TokendError as error:
        sys.stderr.write(f"tokend: {error}\n")
        return error.exit_code
    except _WaitRanOutError as error:
        sys.stderr.write(f"tokend: {error}\n")
        return EXIT_WAIT_RAN_OUT
    except (BrokenPipeError, KeyboardInterrupt):
        return 1
    try:
        os.write(1, (text if no_newline else text + "\n").encode())
    except BrokenPipeError:
        return 1
    return 0


class _WaitRanOutError(Exception):
    """--wait ended without a valid token."""


def _parse(arguments: "Sequence[str]") -> "dict[str, Any] | None":
    options: dict[str, Any] = {}
    names: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        key, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if key in _VALUED and (equals or rest):
            options[_VALUED[key]] = value if equals else rest.pop(0)
        elif word.startswith("-o") and len(word) > 2:
            options["output"] = word[2:]
        elif word in _FLAGS:
            options[_FLAGS[word]] = True
        elif word.startswith("-") or names:
            return None
        else:
            names.append(word)
    durations = [options[key] for key in ("min_ttl", "wait") if key in options]
    if not names or options.get("output", "raw") not in OUTPUTS or not all(map(is_duration, durations)):
        return None
    return {"name": names[0], **options}


def is_duration(text: str) -> bool:
    """Tell whether the text is ``[1-9][0-9]*(ms|s|m|h|d)``."""
    return re.fullmatch(r"[1-9][0-9]{0,11}(ms|s|m|h|d)", text, re.ASCII) is not None


def _seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", duration).groups()  # type: ignore[union-attr]
    return float(int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit])


def _fetch(path: str, name: str, output: str, min_ttl: "str | None", wait: "float | None", refresh: bool) -> str:
    deadline = None if wait is None else time.monotonic() + wait
    while True:
        try:
            return _once(path, name, output, min_ttl, deadline, refresh)
        except (NotRunningError, UnavailableError) as error:
            left = 0.0 if deadline is None else deadline - time.monotonic()
            if deadline is None:
                raise
            if left <= 0:
                raise _WaitRanOutError(f"waited {wait:g} s in vain: {error}") from None
            time.sleep(min(0.2, left))


def _once(path: str, name: str, output: str, min_ttl: "str | None", deadline: "float | None", refresh: bool) -> str:
    headers = [("Accept", "text/plain" if output == "raw" and not refresh else "application/json")]
    timeout = 40.0
    if deadline is not None:
        left = max(1, min(LONGEST_WAIT_SECONDS, int(deadline - time.monotonic())))
        headers.append(("Prefer", f"wait={left}"))
        timeout += left
    target = f"/v1/tokens/{_quoted(name)}"
    if refresh:
        status, _, body = exchange(path, "POST", target + "/refresh", headers=headers, timeout=timeout)
    else:
        query = "" if min_ttl is None else f"?min_ttl={min_ttl}"
        status, _, body = exchange(path, "GET", target + query, headers=headers, timeout=timeout)
    if status != 200:
        raise refusal(status, body)
    if output == "raw" and not refresh:
        return body.decode()
    if output == "json":
        return body.decode().rstrip("\n")
    import json

    return render(json.loads(body), output)


def render(answer: "dict[str, Any]", output: str) -> str:
    """Lay a token's answer out in the form of another program. Raises `TokendError` where it cannot carry it."""
    value = answer["access_token"]
    if output == "header":
        return "\n".join(f"{header}: {text}" for header, text in answer["headers"].items())
    if output == "env":
        if not re.fullmatch(r"[A-Za-z0-9_./+@%,^:=~-]+", value, re.ASCII):
            raise TokendError("the token needs quotes, which not all .env readers read alike: use -o shell or -o raw")
        return f"{variable(answer['name'])}={value}"
    if output == "shell":
        quoted = value.replace("'", "'\\''")
        return f"export {variable(answer['name'])}='{quoted}'"
    if output == "curl":
        escape = str.maketrans({"\\": "\\\\", '"': '\\"'})
        return "\n".join(
            f'header = "{h.translate(escape)}: {t.translate(escape)}"' for h, t in answer["headers"].items()
        )
    if output == "git":
        return f"username=x-access-token\npassword={value}"
    if output == "k8s":
        return _k8s(answer)
    return str(value)


def variable(name: str) -> str:
    """The environment variable of a token: ``NAME_TOKEN``."""
    text = re.sub(r"[^A-Z0-9]", "_", name.upper()) + "_TOKEN"
    return "_" + text if text[0].isdigit() else text


def _k8s(answer: "dict[str, Any]") -> str:
    import json

    status: dict[str, str] = {"token": answer["access_token"]}
    if answer["expires_at_unix"] is not None:
        moment = time.gmtime(answer["expires_at_unix"] - K8S_MARGIN_SECONDS)
        status["expirationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    version = "client.authentication.k8s.io/v1"
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def _quoted(name: str) -> str:
    """Percent-encode a name for the URL."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else _percent(c) for c in name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
