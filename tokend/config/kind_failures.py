"""Configuration errors for exceptions of a kind from another package: a bug in its class must not crash a reload."""

from pydantic import BaseModel

from tokend.plugin.kind_bugs import is_built_in
from tokend.plugin.settings import HeldSettings, ProviderSettings, SinkSettings


def failure_of_kind(model: type[BaseModel], kind: object, error: Exception | SystemExit) -> str:
    """Return the message for an exception of a kind's class. Raises ``error`` again if the kind is built in.

    The message has the class of the exception and not its text, which may quote a secret.
    """
    if is_built_in(model):
        raise error
    return f'kind "{kind}" ({model.__module__}) cannot use these settings: {type(error).__name__}; repair its package'


def check_methods(settings: BaseModel) -> None:
    """Call the methods and properties of a kind's settings that the engine relies on. Built-in kinds are skipped.

    Raises whatever they raise, and TypeError for a value of another type.
    """
    if is_built_in(type(settings)):  # resolving the paths of thousands of file sinks takes long
        return
    if isinstance(settings, SinkSettings):
        _require(settings.target, str)
        _require(settings.exclusive_targets(), frozenset | set)
        for target in settings.exclusive_targets():
            _require(target, str)
        _require(settings.other_tokens(), tuple | list)
        _ = settings.file_path, settings.secrets(), settings.missing_secrets(frozenset())
    elif isinstance(settings, ProviderSettings):
        _require(settings.upstream, str | None)
        _ = settings.secrets(), settings.optional_secrets(), settings.missing_secrets(frozenset())
        if isinstance(settings, HeldSettings):
            _ = settings.account_fields, settings.fresh_life_seconds(), getattr(settings, "can_renew", None)


def _require(value: object, wanted: object) -> None:
    if not isinstance(value, wanted):  # type: ignore[arg-type]  # a type or a union of types
        raise TypeError
