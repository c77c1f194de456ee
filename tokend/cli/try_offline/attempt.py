"""One attempt of a kind's own code with given answers: what it would send, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlencode, urlsplit, urlunsplit

import anyio

from tokend.cli.try_offline.offline_runtime import Exchanged, NoMoreRepliesError, OfflineRuntime
from tokend.cli.try_offline.replies import GivenReply
from tokend.cli.try_offline.stand_ins import StandIns, stand_in
from tokend.plugin.login import (
    BeginsLogin,
    InteractiveLogin,
    WithLogin,
    begins_login,
    has_interactive_login,
    uses_login,
)
from tokend.plugin.provider import Issuer, Provider
from tokend.plugin.settings import HeldSettings, OnDemandSettings, ProviderSettings
from tokend.values.errors import AttemptError
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login
from tokend.values.secret import Secret
from tokend.values.tokens import Token

Way: TypeAlias = Literal["fetch", "renew", "refresh", "begin", "login", "issue"]
# A token that is held: half an hour old, and half an hour from its end.
HALF_A_LIFE_SECONDS = 1800.0
# Where the kind itself proposes no address.
REDIRECT = "http://127.0.0.1:1/"


class WrongWayError(ValueError):
    """The provider cannot be tried in the way that was asked for. The message says why, and what can be done."""


@dataclass
class Tried:
    """What an attempt would send, and what came of it.

    ``granted`` is that of a login, and ``token`` the token in it, too. ``is_unanswered``: no answer was given for the
    last request. ``bug`` is the name of an exception that is no `AttemptError`.
    """

    way: Way
    stand_ins: StandIns
    at: Instant
    exchanges: list[Exchanged] = field(default_factory=list)
    granted: Granted | None = None
    token: Token | None = None
    error: AttemptError | None = None
    is_unanswered: bool = False
    bug: str | None = None


def way_of(settings: ProviderSettings, asked: Way | None) -> Way:
    """Return how a provider is tried: as it is ``asked``, else as a daemon asks most of the time.

    Raises `WrongWayError`.
    """
    if settings.upstream is None:
        raise WrongWayError(f"kind {settings.kind} sends no request of its own: there is no answer to try")
    if isinstance(settings, OnDemandSettings):
        if asked not in {None, "issue"}:
            raise WrongWayError("its tokens are issued on demand: it has no login, and renews nothing")
        return "issue"
    assert isinstance(settings, HeldSettings)  # noqa: S101  (the other sort of kinds)
    if asked == "login":
        if not has_interactive_login(settings) or "browser" not in settings.login_flows:
            raise WrongWayError("it has no login in a browser: leave out --login")
        return "login"
    if uses_login(settings):
        return _way_of_login(settings, asked)
    return "fetch" if asked is None else asked


def _way_of_login(settings: WithLogin, asked: Way | None) -> Way:
    """Return the refresh of a login, or its beginning where that needs no person, or where nothing refreshes it."""
    if asked is None and begins_login(settings):
        return "begin"
    has_no_refresh = getattr(settings, "login", None) is not None and getattr(settings, "renew", None) is None
    if has_no_refresh and asked == "renew":
        raise WrongWayError("nothing renews its token: a person logs in again; leave out --renew")
    return "login" if has_no_refresh else "refresh"


def attempt(
    settings: ProviderSettings, replies: Sequence[GivenReply], way: Way, parameters: Mapping[str, str]
) -> Tried:
    """Make the attempt. Nothing is sent, saved or read. ``parameters`` are a caller's, for an `issue`.

    Raises `InvalidParametersError` for parameters that the kind does not take, `WrongWayError` for a held kind's.
    """
    if parameters and way != "issue":
        raise WrongWayError("parameters are for tokens that are issued on demand")
    if isinstance(settings, OnDemandSettings):
        _issuer(settings).check(parameters)
    stand_ins = StandIns(settings)
    runtime = OfflineRuntime(settings, replies, stand_ins)
    tried = Tried(way, stand_ins, runtime.clock.instant(), runtime.exchanges)
    anyio.run(_run, settings, runtime, tried, parameters)
    return tried


async def _run(
    settings: ProviderSettings, runtime: OfflineRuntime, tried: Tried, parameters: Mapping[str, str]
) -> None:
    try:
        if tried.way == "issue":
            tried.token = await _issuer(settings).issue(runtime, parameters)
        elif tried.way in {"refresh", "begin", "login"}:
            tried.granted = await _granted(settings, runtime, tried.way)
            tried.token, tried.error = tried.granted.token, tried.granted.fault
        else:
            assert isinstance(settings, Provider)  # noqa: S101  (`way_of`)
            previous = _held(settings, runtime) if tried.way == "renew" else None
            tried.token = await settings.fetch(runtime, previous)
    except AttemptError as error:
        tried.error = error
    except NoMoreRepliesError:
        tried.is_unanswered = True
    except Exception as error:  # a kind's bug: the daemon, too, says its class alone
        tried.bug = type(error).__name__


def _issuer(settings: ProviderSettings) -> Issuer:
    assert isinstance(settings, Issuer)  # noqa: S101  (every on-demand kind)
    return settings


async def _granted(settings: ProviderSettings, runtime: OfflineRuntime, way: Way) -> Granted:
    if way == "login":
        assert isinstance(settings, InteractiveLogin)  # noqa: S101  (`way_of`)
        begun = await settings.begin_browser(runtime, getattr(settings, "redirect_uri", None) or REDIRECT)
        ended = urlsplit(begun.redirect_uri)
        names = getattr(getattr(settings, "login", None), "callback", ("code",))
        brought = {name: f"{{{name}}}" for name in names}
        if begun.state.reveal() not in ended.query:
            brought["state"] = begun.state.reveal()
        joined = "&".join(filter(None, (ended.query, urlencode(brought))))
        return await settings.finish_browser(runtime, begun, urlunsplit(ended._replace(query=joined)))
    if way == "begin":
        assert isinstance(settings, BeginsLogin)  # noqa: S101  (`way_of`)
        return await settings.begin_login(runtime)
    assert isinstance(settings, WithLogin)  # noqa: S101  (`way_of`)
    now = runtime.clock.instant()
    login = Login(
        refresh_token=stand_in("refresh_token"),
        client=settings.login_client,
        origin=None,
        obtained_at=now.after(-HALF_A_LIFE_SECONDS),
        refreshed_at=now.after(-HALF_A_LIFE_SECONDS),
        parameters={"code_verifier": stand_in("code_verifier"), "redirect_uri": Secret(REDIRECT), **_kept(runtime)},
    )
    return await settings.refresh(runtime, login)


def _kept(runtime: OfflineRuntime) -> dict[str, Secret]:
    """Return what the login keeps of the token held, where a refresh needs it."""
    settings = runtime.settings
    if not getattr(settings, "refreshes_by_token", False):
        return {}
    from tokend.providers.http.kept_token import kept

    return kept(_held(settings, runtime))


def _held(settings: ProviderSettings, runtime: OfflineRuntime) -> Token:
    """Return a token that is held and valid, with a stand-in for each member that the settings name."""
    now = runtime.clock.instant()
    declared = getattr(settings, "answer", None)
    extra = {name: f"{{{name}}}" for name in getattr(declared, "extra", ())}
    secret = {name: stand_in(name) for name in getattr(declared, "secret_extra", ())}
    value = stand_in("token")
    return Token(
        value=value,
        token_type="Bearer",  # noqa: S106  (a scheme's name)
        issued_at=now.after(-HALF_A_LIFE_SECONDS),
        expires_at=now.after(HALF_A_LIFE_SECONDS),
        headers={"Authorization": Secret(f"Bearer {value.reveal()}")},
        extra={**extra, **secret},
    )
