"""Names of faulty kinds in messages: a bug of a kind from another package is not a bug in tokend."""

from tokend.plugin.settings_base import Settings


def is_built_in(model: type) -> bool:
    """Return whether a kind's class belongs to tokend, not to another package."""
    return model.__module__.partition(".")[0] == "tokend"


def bug_in(settings: object) -> str:
    """Return the words for a bug that appeared in the kind of these settings: ``a bug in kind acme (acme.kinds)``."""
    model = type(settings)
    if is_built_in(model):
        return "a bug in tokend"
    return f"a bug in kind {getattr(settings, 'kind', model.__name__)} ({model.__module__})"


def bug_behind(error: BaseException) -> str:
    """Return the words for the bug that raised ``error``: that of the kind whose method raised it, or of tokend."""
    trace = error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if isinstance(owner, Settings) and not is_built_in(type(owner)):
            return bug_in(owner)
        trace = trace.tb_next
    return "a bug in tokend"
