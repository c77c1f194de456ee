"""Restrictions of the process, set before it reads the first secret."""

import faulthandler
import os
import resource

from tokend.machine import logs


def harden() -> None:
    """Forbid core dumps, readers of /proc and group access to new files; raise the limit of descriptors."""
    faulthandler.enable()
    logs.trace_uncaught()
    # Python's TLS would write the keys of every connection to this file: its readers could decrypt all traffic.
    os.environ.pop("SSLKEYLOGFILE", None)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _set_undumpable()


def _set_undumpable() -> None:
    import ctypes  # half a megabyte: only where a daemon runs

    prctl_set_dumpable = 4  # PR_SET_DUMPABLE, prctl(2)
    ctypes.CDLL(None, use_errno=True).prctl(prctl_set_dumpable, 0, 0, 0, 0)
