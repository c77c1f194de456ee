"""All names that the author of a kind imports, in one module: `tokend.plugin` has them, too, and imports this on use.

`docs/extending.md` has an example of each sort of kind. tokend's own modules import each name from the module that
defines it.
"""

from tokend.machine.clock import Clock
from tokend.plugin.bearer_reply import bearer_token, reply_object
from tokend.plugin.echoed_fields import field_errors
from tokend.plugin.field_roles import Absence, Disclosure, Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.login import RememberingRuntime, WithLogin
from tokend.plugin.provider import Issuer, Provider, Runtime
from tokend.plugin.remote_sink import HttpSinkSettings, RemoteSinkSettings, ValuesSettings
from tokend.plugin.request_signing import CallToSign, RequestSigner, SigningSettings
from tokend.plugin.response_status import refuse, token_value
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.secret_table import Variables
from tokend.plugin.settings import HeldSettings, NetworkSettings, OnDemandSettings, SinkSettings, part_of
from tokend.plugin.settings_base import AnchoredPath, Duration, Mode, Name, SocketPath, Strings
from tokend.plugin.sink import Content, ListeningSink, Mark, RemoteSink, Sink, SinkRuntime
from tokend.plugin.store_status import refuse_write
from tokend.plugin.strict_json import parse_object, try_object
from tokend.plugin.text import header_text, is_text, text_of
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.plugin.upstream_settings import UpstreamSettings
from tokend.values.errors import (
    AttemptError,
    ClockError,
    InvalidParametersError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    SecretError,
    SinkConflictError,
    SinkError,
    SinkFinalError,
    SinkRejectedError,
    SinkUnavailableError,
    TransientError,
)
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token
from tokend.values.url import host_of, path_of

__all__: list[str] = [
    "MISSING", "Absence", "AnchoredPath", "AttemptError", "CallToSign", "Clock", "ClockError", "Content",
    "Disclosure", "Duration", "Granted", "HeldSettings", "HttpSinkSettings", "Instant", "InvalidParametersError",
    "Issuer", "Lease", "ListeningSink", "Login", "LoginClient", "LoginRefusedError", "LostAnswerError", "Mark",
    "Mode", "Name", "NetworkSettings", "OnDemandSettings", "Provider", "RateLimitedError", "RejectedError",
    "RememberingRuntime", "RemoteSink", "RemoteSinkSettings", "RequestSigner", "Role", "Runtime", "Secret",
    "SecretError", "SecretField", "SecretSource", "SigningSettings", "Sink", "SinkConflictError", "SinkError",
    "SinkFinalError", "SinkRejectedError", "SinkRuntime", "SinkSettings", "SinkUnavailableError", "SocketPath",
    "Strings", "Token", "TransientError", "UpstreamReply", "UpstreamRequest", "UpstreamSettings",
    "ValuesSettings", "Variables", "WithLogin", "bearer_token", "expiry", "field_errors", "header_text",
    "host_of", "is_text", "parse_object", "part_of", "path_of", "refuse", "refuse_write", "reply_object",
    "text_of", "token_value", "try_object",
]  # fmt: skip
