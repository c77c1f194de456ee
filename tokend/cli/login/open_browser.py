"""The person's browser: started with an address, and left alone."""

import os
import shlex
import shutil
from collections.abc import Mapping

_SILENT = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_DUP2, 1, 2),
]
_OPENERS = ("xdg-open", "gio", "wslview", "open")


def open_browser(address: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Start the browser of $BROWSER, or the desktop's, with an address; False if there is none.

    ``address`` has been checked (`shown_address`): it begins with http and has no space.
    """
    argv = _command(environ)
    if argv is None:
        return False
    try:
        # In a session of its own: Ctrl-C here must not end it. It may outlive this process.
        os.posix_spawn(argv[0], [*argv, address], environ, file_actions=_SILENT, setsid=True)
    except OSError:
        return False
    return True


def _command(environ: Mapping[str, str]) -> list[str] | None:
    try:
        chosen = shlex.split(environ.get("BROWSER", "").partition(":")[0])
    except ValueError:
        chosen = []
    path = environ.get("PATH")
    if chosen and (found := shutil.which(chosen[0], path=path)) is not None:
        return [found, *(one for one in chosen[1:] if one != "%s")]
    for name in _OPENERS:
        if (found := shutil.which(name, path=path)) is not None:
            return [found, "open"] if name == "gio" else [found]
    return None
