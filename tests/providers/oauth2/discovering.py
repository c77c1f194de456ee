"""One attempt that begins with a server's metadata."""

import json
from collections.abc import Callable
from typing import Any

import anyio

from tests.providers.live import LiveRuntime
from tests.providers.oauth2.asking import settings
from tests.upstream.loopback import Behaviour, Conversation, Loopback, reply, serving
from tokend.plugin.login import Remembered
from tokend.values.errors import AttemptError
from tokend.values.tokens import Token

NOT_FOUND = reply(b"{}", status=404)


def metadata(document: Callable[[str], Any]) -> Behaviour:
    """Answer with a document that is made for the server's URL."""

    async def behave(conversation: Conversation) -> None:
        url = f"http://{conversation.request.headers['host']}"
        await reply(json.dumps(document(url)).encode())(conversation)

    return behave


def discover(
    document: Callable[[str], Any] | None,
    *script: Behaviour,
    first: tuple[Behaviour, ...] = (),
    kept: dict[str, Remembered] | None = None,
    path: str = "",
    call: Callable[[Any, Any], Any] | None = None,
    **keys: Any,
) -> tuple[Any, Loopback]:
    """Make one attempt of an issuer whose metadata come after ``first``. URL in a key stands for the server's URL."""

    async def main() -> tuple[Token | AttemptError, Loopback]:
        told = () if document is None else (metadata(document),)
        async with serving(*first, *told, *script) as loopback:
            whole = {"issuer": "URL" + path, "token_url": None, **keys}
            made = {key: _filled(value, loopback.url) for key, value in whole.items()}
            made_settings = settings("", **made)
            runtime = LiveRuntime(made_settings)
            runtime.kept = {} if kept is None else kept
            for key in list(runtime.kept):
                runtime.kept[key.replace("URL", loopback.url)] = runtime.kept.pop(key)
            try:
                if call is not None:
                    return await call(made_settings, runtime), loopback
                return await made_settings.fetch(runtime, None), loopback
            except AttemptError as error:
                return error, loopback

    return anyio.run(main)


def _filled(value: Any, url: str) -> Any:
    return value.replace("URL", url) if isinstance(value, str) else value
