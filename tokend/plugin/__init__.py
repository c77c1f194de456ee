"""Interfaces, settings and helper functions for the authors of provider and sink kinds.

A plug-in imports from here alone: ``from tokend.plugin import HeldSettings, Runtime, Token``. The names are those of
`tokend.plugin.authoring`, and `FileSink`. Each is imported on its first use. tokend's own modules import them from the
modules that define them.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokend.plugin import authoring
    from tokend.plugin.authoring import *  # noqa: F403
    from tokend.sinks.files.base import FileSink

    __all__: list[str] = ["API", "FileSink"]
    __all__ += authoring.__all__

# The version of these interfaces. A plug-in that says ``API = 1`` is refused by a tokend whose number is another one.
API = 1


def __getattr__(name: str) -> Any:
    """Import a name of `authoring`, or `FileSink`."""
    if name == "FileSink":
        from tokend.sinks.files.base import FileSink

        return FileSink
    # ``from tokend.plugin import settings`` asks for the attribute before it imports the module.
    if name == "__all__" or not (name.startswith("__") or find_spec(f"{__name__}.{name}")):
        from tokend.plugin import authoring

        if name == "__all__":
            return ["API", "FileSink", *authoring.__all__]
        if name in authoring.__all__:
            return getattr(authoring, name)
    raise AttributeError(f"module 'tokend.plugin' has no attribute {name!r}")
