"""Probe of a provider's server without a running provider: what it says of itself agrees with the settings, or not."""

from typing import Literal

from tokend.engine.context.context import Context
from tokend.plugin.kind_bugs import bug_in
from tokend.plugin.provider import checks_server
from tokend.plugin.settings import ProviderSettings
from tokend.values.errors import AttemptError, RejectedError

Outcome = Literal["ok", "refused", "failed"]


async def probe_server(settings: ProviderSettings, context: Context) -> tuple[Outcome, str] | None:
    """Ask the server of a provider what it is. Returns the outcome and the operator's sentence; None: nothing to ask.

    No secret is read or sent. ``refused``: a person must change the settings.
    """
    if not checks_server(settings):
        return None
    try:
        found = await settings.check_server(context.runtime(settings))
    except AttemptError as error:
        return "refused" if isinstance(error, RejectedError) else "failed", error.detail
    except Exception:  # of a kind from another package; the text may quote a secret
        return "failed", bug_in(settings)
    return None if found is None else ("ok", found)
