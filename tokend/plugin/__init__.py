"""Interfaces, settings and helper functions for the authors of provider and sink kinds.

A plug-in imports from here alone: ``from tokend.plugin import HeldSettings, Runtime, Token``. The names are those of
`tokend.plugin.authoring`, and `FileSink`. Each is imported on its first use. tokend's own modules import them from the
modules that define them.
"""

# ruff: noqa: F405  # the names of `__all__` come from the star, which type checkers alone import

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokend.plugin.authoring import *  # noqa: F403
    from tokend.sinks.files.base import FileSink

# The version of these interfaces. A plug-in that says ``API = 1`` is refused by a tokend whose number is another one.
API = 1

__all__ = [
    "API", "MISSING", "Absence", "AnchoredPath", "AttemptError", "CallToSign", "Clock", "ClockError", "Content",
    "Disclosure", "Duration", "FileSink", "Granted", "HeldSettings", "HttpSinkSettings", "Instant",
    "InvalidParametersError", "Issuer", "Lease", "ListeningSink", "Login", "LoginClient", "LoginRefusedError",
    "LostAnswerError", "Mark", "Mode", "Name", "NetworkSettings", "OnDemandSettings", "Provider",
    "RateLimitedError", "RejectedError", "RememberingRuntime", "RemoteSink", "RemoteSinkSettings",
    "RequestSigner", "Role", "Runtime", "Secret", "SecretError", "SecretField", "SecretSource", "SigningSettings",
    "Sink", "SinkConflictError", "SinkError", "SinkFinalError", "SinkRejectedError", "SinkRuntime",
    "SinkSettings", "SinkUnavailableError", "SocketPath", "Strings", "Token", "TransientError", "UpstreamReply",
    "UpstreamRequest", "UpstreamSettings", "ValuesSettings", "Variables", "WithLogin", "bearer_token", "expiry",
    "field_errors", "header_text", "host_of", "is_text", "parse_object", "part_of", "path_of", "refuse",
    "refuse_write", "reply_object", "text_of", "token_value", "try_object",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name of `__all__`."""
    if name == "FileSink":
        from tokend.sinks.files.base import FileSink

        return FileSink
    if name not in __all__:
        raise AttributeError(f"module 'tokend.plugin' has no attribute {name!r}")
    from tokend.plugin import authoring

    return getattr(authoring, name)
