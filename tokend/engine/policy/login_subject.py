"""Whose account a login may be: a pure rule. A login decides whose account every reader uses."""

from collections.abc import Iterable
from dataclasses import dataclass

from tokend.engine.policy.login_advice import login_command


@dataclass(frozen=True, slots=True)
class KnownSubjects:
    """What is known of the accounts before a login is accepted.

    ``previous`` is the account of the login that the provider has (or has set aside), ``pinned`` that of its key
    ``subject``; None where there is none. ``others`` are pairs of another provider of the same client and the account
    of its login.
    """

    previous: str | None = None
    pinned: str | None = None
    others: Iterable[tuple[str, str]] = ()


def refusal(name: str, granted: str | None, known: KnownSubjects) -> str | None:
    """Return why a login of the account ``granted`` is not accepted without ``--other-account``; None if it is.

    A server that names no account can break no rule but that of ``subject``, which nobody could check then.
    """
    again = f"if that is meant: {login_command(name)} --other-account"
    if known.pinned is not None and granted != known.pinned:
        found = "the server names no account" if granted is None else f"this login is of the account {_shown(granted)}"
        return f'{found}, and the table of {name} says subject = "{_shown(known.pinned)}"; {again}'
    if granted is None:
        return None
    if known.previous is not None and granted != known.previous and known.pinned is None:
        return (
            f"this login is of the account {_shown(granted)}, and the login of {name} was of {_shown(known.previous)}; "
            + again
        )
    holder = next((other for other, subject in known.others if subject == granted), None)
    if holder is not None:
        return f"the login of {holder} is of the account {_shown(granted)} already, at the same client; {again}"
    return None


def _shown(subject: str) -> str:
    """Shorten an account's name, which a server chose, and replace what could mean something to a terminal."""
    shown = "".join(one if one.isprintable() else "?" for one in subject)
    return shown if len(shown) <= LONGEST_SHOWN else shown[: LONGEST_SHOWN - 1] + "…"


LONGEST_SHOWN = 100
