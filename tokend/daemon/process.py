"""Process of the daemon: hardening, inherited descriptors, configuration and state before the loop; the exit code."""

import gc
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import anyio

from tokend.daemon.app import serve
from tokend.daemon.single_run import SingleRun, serve_once
from tokend.daemon.state_opening import UnreadableKeyError, open_state
from tokend.daemon.wiring import launch
from tokend.files import be_strict
from tokend.kinds import load_config
from tokend.machine import hardening, logs
from tokend.machine.clock import SystemClock
from tokend.machine.command import end_commands
from tokend.machine.tls_environment import tls_environment
from tokend.plugin.plugin_run import threads_left
from tokend.service_manager import activation
from tokend.service_manager.notify import Notifier
from tokend.state import event_ids
from tokend.values.errors import ConfigError, StateLockedError, StoreError, TokendError

EXIT_OTHER, EXIT_CONFIG, EXIT_LOCKED, EXIT_CONFIG_SYSTEMD = 1, 2, 75, 78
# With Python's own limits (700, 10, 10) the garbage collector takes a fifth of a start with thousands of providers, in
# pauses of half a second, because it walks through every live object. tokend makes hardly any reference cycles.
GARBAGE_LIMITS = (20_000, 20, 50)

log = logs.get_logger()


def run(config_path: str | None, *, once: SingleRun | None = None, log_level: str | None = None) -> int:
    """Run tokend until a signal ends it, or for a single run (``once``); returns the exit code.

    ``log_level`` holds over the configuration's, also after a reload.
    """
    logs.force_level(log_level)
    if once is None:
        # SIGHUP means "reload". The configuration is about to be read; the default action would end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # The default action of these would end it, too, and nobody has a reason to send them.
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
    hardening.harden()
    gc.set_threshold(*GARBAGE_LIMITS)
    gc.freeze()  # what was imported stays until the end: no collection need look at it
    gc.enable()  # `tokend run` disabled it for the imports
    explicit = None if config_path is None else Path(config_path)
    under_systemd = "NOTIFY_SOCKET" in os.environ
    notifier = Notifier()
    notifier.extend()
    try:
        inherited = activation.inherit()
        config = load_config(explicit, starting=True)
        be_strict(config.daemon.strict_paths)
        logs.configure(level=config.daemon.log_level, form=config.daemon.log_format)
        _log_tls_environment(os.environ)
        if once is not None and (misuse := once.misused(config)) is not None:
            code, reason = misuse
            sys.stderr.write(f"tokend: {reason}\n")
            return code
        state = open_state(config, inherited, notifier)
        last_event = event_ids.take(config.daemon.state_directory, SystemClock().instant().wall)
    except UnreadableKeyError as error:
        # Also without systemd: to start again does not help, and to begin with nothing would lose what is sealed.
        sys.stderr.write(f"tokend: {error.detail}\n")
        return EXIT_CONFIG_SYSTEMD
    except ConfigError as error:
        sys.stderr.write(f"{error.detail}\n")
        return EXIT_CONFIG_SYSTEMD if under_systemd else EXIT_CONFIG
    except StateLockedError as error:
        sys.stderr.write(f"tokend: {error.detail}\n")
        return EXIT_LOCKED
    except StoreError as error:
        sys.stderr.write(f"tokend: {error.detail}\n")
        return EXIT_OTHER
    given = launch(config, explicit, state, last_event=last_event, inherited=inherited, notifier=notifier)
    del config  # its secrets must not outlive a reload
    try:
        main = partial(serve, given) if once is None else partial(serve_once, given, once)
        code = anyio.run(main, backend_options={"use_uvloop": True})
    except* (TokendError, OSError) as trouble:
        for one in _leaves(trouble):
            sys.stderr.write(f"tokend: {one}\n")
        code = EXIT_OTHER
    finally:
        end_commands()
        state.close()
    if left := threads_left():
        names = ", ".join(f'"{name}"' for name in left)
        sys.stderr.write(f"tokend: threads of plug-ins have not ended: {names}; the daemon ends without them\n")
    if given.pools.running:
        # A thread that waits for a hanging filesystem or for a command would keep the interpreter from ending.
        sys.stderr.flush()
        os._exit(code)
    return code


def _log_tls_environment(environ: Mapping[str, str]) -> None:
    """Log which variables change what OpenSSL trusts or allows. Proxies' variables count for nothing; these do."""
    if found := tls_environment(environ):
        text = ", ".join(f"{name}={value}" for name, value in found.items())
        log.info("tls.environment", detail=f"OpenSSL obeys these variables: {text}")


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one
