"""Functions that write a configuration to a real file and load it with the built-in kinds."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import trustme

from tokend.config import Config, ConfigProblem, InvalidConfigError, load
from tokend.kinds import PROVIDERS, SINKS

KEY = "obviously-fake-secret-of-32-bytes"
# Certificates as files for TLS need them: of an authority, and of a client with its key.
AUTHORITY = trustme.CA()
CA_PEM = AUTHORITY.cert_pem.bytes()
CLIENT_PEM = AUTHORITY.issue_cert("client.example").private_key_and_cert_chain_pem.bytes()
ENVIRON = {"KEY": KEY, "HOME": "/nonexistent"}
# A valid provider: only the lines that a test adds can be wrong.
PARTNER = '[providers.partner]\nkind = "jwt"\nsecret = { env = "KEY" }\n'
WALLET = '[providers.wallet]\nkind = "request-jwt"\nkey = { env = "KEY" }\nsecret = { env = "KEY" }\n'
TT = (
    '[providers.tt]\nkind = "tt"\nenvironment = "uat"\napi_key = { env = "KEY" }\napi_secret = { env = "KEY" }\n'
    'app_name = "App"\ncompany_name = "Company"\n'
)
PROJECTX = '[providers.topstepx]\nkind = "projectx"\nusername = { env = "KEY" }\napi_key = { env = "KEY" }\n'
AUTH_TOKEN = '[providers.links]\nkind = "auth-token"\nclient_secret = { env = "KEY" }\n'


def written(directory: Path, text: str | bytes, *, name: str = "config.toml", mode: int = 0o600) -> Path:
    """Write the file. Nobody else can read it unless ``mode`` allows it."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def loaded(
    path: Path, *, environ: Mapping[str, str] = ENVIRON, before: Config | None = None, starting: bool = False
) -> Config:
    """Load the file. Raises `InvalidConfigError`."""
    return load(path, providers=PROVIDERS, sinks=SINKS, environ=environ, before=before, starting=starting)


def refused(path: Path, *, environ: Mapping[str, str] = ENVIRON, before: Config | None = None) -> list[ConfigProblem]:
    """Return the errors of a file that must have some."""
    try:
        loaded(path, environ=environ, before=before)
    except InvalidConfigError as error:
        assert "\n".join(map(str, error.errors)) == str(error)
        return list(error.errors)
    raise AssertionError(f"accepted:\n{path.read_text()}")


def only(problems: list[ConfigProblem]) -> ConfigProblem:
    """Return the only error."""
    assert len(problems) == 1, problems
    return problems[0]


def in_words(duration: timedelta) -> str:
    """Return a duration as text: whole milliseconds, in the largest unit that fits."""
    for unit, one in (("d", "days"), ("h", "hours"), ("m", "minutes"), ("s", "seconds")):
        if not duration % timedelta(**{one: 1}):
            return f"{duration // timedelta(**{one: 1})}{unit}"
    return f"{duration // timedelta(milliseconds=1)}ms"
