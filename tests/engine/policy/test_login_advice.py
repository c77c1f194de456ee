"""`login_advice`: what a person does where a provider needs a login."""

from pathlib import Path

from tests.fake_logins import FakeLogin
from tests.fakes import FakeHeld
from tokend.engine.policy.login_advice import another_login, login_advice
from tokend.plugin.secret_source import SecretSource
from tokend.values.login_advice import LoginAdvice


def test_the_advice_is_a_login_only_where_a_person_can_log_in() -> None:
    """Else it names the place of the initial refresh token, and never its value."""
    assert login_advice("a", FakeLogin()) == LoginAdvice("tokend login a")
    assert login_advice("a", FakeLogin(flows=(), refresh_token=SecretSource(file=Path("/run/fake")))).remedy == (
        "put a newer refresh token into refresh_token (file /run/fake)"
    )
    assert login_advice("a", FakeLogin(flows=())).remedy == "put a newer refresh token into refresh_token"
    assert login_advice("a", FakeHeld()).remedy == "configure a newer refresh token for a"


def test_where_nobody_can_log_in_a_logout_comes_before_another_refresh_token() -> None:
    """A file that is gone, or older, is replaced by a login or a logout only."""
    assert another_login("a", FakeLogin()) == "log in again"
    step = "put a newer refresh token into refresh_token"
    assert another_login("a", FakeLogin(flows=())) == f"run tokend logout a, then {step}"
