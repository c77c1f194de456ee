"""Findings about the machine: versions, users, clock, environment, extras."""

import ctypes
import os
import platform
import pwd
import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from tokend import __version__
from tokend.cli.doctor.finding import Finding
from tokend.machine.tls_environment import tls_environment

# adjtimex(2).
_STA_UNSYNC = 0x0040
_TIMEX_BYTES = 208
# The status field of struct timex on 64-bit Linux: after modes (4, padded), offset, freq, maxerror, esterror.
_STATUS_AT = 40
# No clock is right that shows a time before this program was written.
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
EXTRAS = {"requests": "tokend.client.requests", "httpx": "tokend.client.httpx", "aiohttp": "tokend.client.aiohttp"}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
# Linux versions from which the kernel says what a peer is, and refuses what a client passes along.
PIDFD, PASSRIGHTS = (6, 5), (6, 16)


def findings(environ: Mapping[str, str], daemon_uid: int | None) -> Iterator[Finding]:
    """Yield the findings; ``environ`` is the daemon's, or ours if its is not known."""
    yield from _versions()
    yield from of_kernel(platform.release())
    yield from _user(daemon_uid)
    yield from _clock()
    yield from _environment(environ)
    yield _extras()


def _versions() -> Iterator[Finding]:
    release = platform.release()
    text = f"tokend {__version__}, Python {platform.python_version()}, Linux {release}, {ssl.OPENSSL_VERSION}"
    yield Finding("info", "version", text)


def of_kernel(release: str) -> Iterator[Finding]:
    """Yield what a Linux of this release cannot do for tokend."""
    kernel = _numbers(release)
    if kernel < PIDFD:
        message = f"Linux {release} cannot distinguish root of a container from root of this machine (6.5 can)"
        yield Finding(
            "warning", "kernel_containers", message, "do not mount the socket into containers: use [[sockets]]"
        )
    if kernel < PASSRIGHTS:
        message = f"Linux {release} lets clients pass descriptors (6.16 refuses them): tokend closes them in a thread"
        yield Finding("info", "kernel_descriptors", message)


def _numbers(release: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", release)
    return (0, 0) if found is None else (int(found[1]), int(found[2]))


def _user(daemon_uid: int | None) -> Iterator[Finding]:
    yield Finding("info", "user", f"this command runs as {_described(os.geteuid())}")
    if daemon_uid is not None and daemon_uid != os.geteuid():
        yield Finding("info", "daemon_user", f"the daemon runs as {_described(daemon_uid)}")


def _described(uid: int) -> str:
    import grp

    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return f"uid {uid}, which has no name"
    names = []
    for gid in os.getgrouplist(found.pw_name, found.pw_gid):
        try:
            names.append(grp.getgrgid(gid).gr_name)
        except KeyError:
            names.append(str(gid))
    return f"{found.pw_name} (uid {uid}), groups {', '.join(sorted(set(names)))}"


def _clock() -> Iterator[Finding]:
    now = datetime.now(UTC)
    if now < EARLIEST:
        yield Finding("error", "clock_wrong", f"the clock says {now:%Y-%m-%d}", "set it: timedatectl set-ntp true")
        return
    synchronised = _is_synchronised()
    if synchronised is False:
        message = "the kernel's clock is not synchronised: tokens may end earlier or later than it says"
        yield Finding("warning", "clock_unsynchronised", message, "timedatectl set-ntp true, or chrony")
    else:
        state = "is synchronised" if synchronised else "cannot be asked whether it is synchronised"
        yield Finding("info", "clock", f"the clock says {now:%Y-%m-%dT%H:%M:%SZ} and {state}")


def _is_synchronised() -> bool | None:
    """Return what adjtimex(2) says; None where it may not be asked."""
    try:
        timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        if ctypes.CDLL(None, use_errno=True).adjtimex(timex) == -1:
            return None
    except (OSError, AttributeError):
        return None
    return not int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little") & _STA_UNSYNC


def _environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name, value in tls_environment(environ).items():
        message = f"{name}={value}: OpenSSL obeys it"
        if name == "SSLKEYLOGFILE":
            yield Finding(
                "warning", "tls_environment", f"{message}, and writes the keys of connections there", "unset it"
            )
        elif value.startswith("/") and not Path(value).exists():
            yield Finding(
                "warning", "tls_environment", f"{message}, and it does not exist", "unset it, or make the file"
            )
        else:
            yield Finding(
                "info", "tls_environment", message, "unset it if it is not meant for tokend; ca_file is per provider"
            )
    if any(environ.get(name) for name in PROXIES):
        message = "proxy variables are set, which tokend ignores"
        yield Finding("info", "proxy_ignored", message, "proxy = in a provider's table sets one")


def _extras() -> Finding:
    there = [name for name in EXTRAS if find_spec(name) is not None]
    absent = [name for name in EXTRAS if name not in there]
    text = f"adapters of tokend.client can be used for: {', '.join(there) or 'none'}"
    if absent:
        return Finding(
            "info", "extras", f"{text}; not installed: {', '.join(absent)}", "pip install what programs here need"
        )
    return Finding("info", "extras", text)
