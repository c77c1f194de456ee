"""The advice where a provider needs a login: a pure rule of its name and settings."""

from tokend.plugin.login import has_interactive_login
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import HeldSettings
from tokend.values.login_advice import LoginAdvice


def login_command(name: str) -> str:
    """Return the command by which a person logs in."""
    return f"tokend login {name}"


def login_advice(name: str, settings: HeldSettings) -> LoginAdvice:
    """Return what a person does about a login of the provider ``name`` that is needed.

    Where nobody can log in for the settings, the login comes from their initial refresh token.
    """
    if has_interactive_login(settings):
        return LoginAdvice(login_command(name))
    if "refresh_token" not in type(settings).model_fields:
        return LoginAdvice(None, f"configure a newer refresh token for {name}")
    source = getattr(settings, "refresh_token", None)
    place = f" ({source})" if isinstance(source, SecretSource) else ""
    return LoginAdvice(None, f"put a newer refresh token into refresh_token{place}")


def another_login(name: str, settings: HeldSettings) -> str:
    """Say how another login begins where a login file, which has the one before, cannot be used."""
    advice = login_advice(name, settings)
    return "log in again" if advice.step is None else f"run tokend logout {name}, then {advice.step}"
